"""Lineage and impact for machines: what ``--json`` prints and REST answers; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from headrace.ledger.impact import Impact, ModelHit
from headrace.ledger.query_versions import LineageView


def describe_lineage(
    view: LineageView, columns: Mapping[bool, Sequence[Mapping[str, str]]] | None = None
) -> dict[str, Any]:
    """Return a lineage as data versions, runs, and edges that name both by their ids.

    Args:
        view: The lineage.
        columns: Edges between columns, by whether they are those upstream; none are told where there are none.
    """
    document: dict[str, Any] = {
        "dataset": view.dataset,
        "partition_key": view.partition_key,
        "start": list(view.start),
        "versions": list(view.versions.values()),
        "runs": list(view.runs.values()),
        "edges": [{"from": one, "run": run or None, "to": other} for one, run, other in view.edges],
        "truncated": view.truncated,
    }
    if columns:
        document["columns"] = {"upstream": columns[True], "downstream": columns[False]}
    return document


def describe_impact(impact: Impact) -> dict[str, Any]:
    """Return what a partition reaches."""
    return {**asdict(impact), "models": [describe_hit(hit) for hit in impact.models]}


def describe_hit(hit: ModelHit) -> dict[str, Any]:
    return {**asdict(hit), "name": hit.name, "serving": hit.serving}
