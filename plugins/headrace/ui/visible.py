"""Leaves out what belongs to DAGs that the user may not read; api-server."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from headrace.ledger.views import BlastRadius, Graph, IncidentDetail, IncidentRow, TaskTry, VerdictRow
from headrace.ui.security import Access


class _OfTask(Protocol):
    @property
    def task(self) -> TaskTry: ...


Row = TypeVar("Row", bound=_OfTask)


def keep_rows(rows: Sequence[Row], access: Access) -> list[Row]:
    """Keep results or quarantine that a readable DAG recorded."""
    return [row for row in rows if access.may_read(row.task.dag_id)]


def keep_incidents(rows: Sequence[IncidentRow], access: Access) -> list[IncidentRow]:
    return [row for row in rows if access.may_read(row.dag_id)]


def keep_verdicts(rows: Sequence[VerdictRow], access: Access) -> list[VerdictRow]:
    """Keep verdicts that a readable DAG caused, and people's decisions where one of these is among them."""
    readable = {row.id for row in rows if row.task is not None and access.may_read(row.task.dag_id)}
    return [row for row in rows if row.id in readable or (row.task is None and readable)]


def keep_detail(detail: IncidentDetail, access: Access) -> IncidentDetail:
    """Keep what the user may read of an incident that the user may read."""
    consequences = keep_incidents(detail.consequences, access)
    cause = detail.cause if detail.cause is not None and access.may_read(detail.cause.dag_id) else None
    shown = {detail.row.id, *(row.id for row in consequences), *([cause.id] if cause else ())}
    return replace(
        detail,
        results=keep_rows(detail.results, access),
        quarantine=keep_rows(detail.quarantine, access),
        consequences=consequences,
        cause=cause,
        graph=_keep_graph(detail.graph, shown),
        blast=_keep_blast(detail.blast, access),
    )


def _keep_graph(graph: Graph, shown: set[int]) -> Graph:
    """Keep the datasets, which are no secret of a DAG, and the incidents on them that are shown beside."""
    nodes = [replace(node, incident_ids=[id_ for id_ in node.incident_ids if id_ in shown]) for node in graph.nodes]
    return replace(graph, nodes=nodes)


def _keep_blast(blast: BlastRadius, access: Access) -> BlastRadius:
    return replace(
        blast,
        dag_runs=[(dag_id, run_id) for dag_id, run_id in blast.dag_runs if access.may_read(dag_id)],
        models=[model for model in blast.models if "dag_id" not in model or access.may_read(str(model["dag_id"]))],
    )
