"""What each node of a run of dbt read and built, for lineage; pure, orchestration interpreter."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.dbt.manifest import DbtManifest
from headrace.exceptions import ConfigurationError

BUILT = ("model", "seed", "snapshot")
LOOKBACK = "lookback_partitions"
"""In a model's ``meta``: how many partitions of what it reads, before its own, it reads too; or ``all``."""
ALL = -1


@dataclass(frozen=True)
class NodeRun:
    """One node that dbt built, or failed to.

    Attributes:
        unique_id: dbt's id.
        name: Of the dataset.
        kind: ``model``, ``seed`` or ``snapshot``.
        relation: ``schema.table``; None where it makes none.
        reads: Names of the datasets that it is made from.
        lookback: How many earlier partitions of these it reads; :data:`ALL`: every one.
        checksum: SHA-256 of the compiled SQL, the partition's own key left out of it; None of a seed.
        succeeded: Whether it was built.
        rows: How many the adapter says were written; None where it does not say.
        started: When.
        ended: When.
    """

    unique_id: str
    name: str
    kind: str
    relation: str | None
    reads: tuple[str, ...]
    lookback: int
    checksum: str | None
    succeeded: bool
    rows: int | None
    started: datetime | None
    ended: datetime | None


def list_node_runs(run_results: Mapping[str, Any], manifest: DbtManifest, partition_key: str | None) -> list[NodeRun]:
    """List the nodes that were built, in dbt's order, in which each comes after what it reads.

    Args:
        run_results: The JSON of ``run_results.json``, version 6.
        manifest: Of the same project.
        partition_key: The partition that dbt was run for; None for all.

    Raises:
        ConfigurationError: A model's ``meta.lookback_partitions`` is no number, nor ``all``.
    """
    found = []
    for result in run_results["results"]:
        node = manifest.nodes.get(result["unique_id"])
        if node is None or node.resource_type not in BUILT or result["status"] == "skipped":
            continue
        upstream = [manifest.nodes[each] for each in node.upstream if each in manifest.nodes]
        started, ended = _read_times(result)
        rows = (result.get("adapter_response") or {}).get("rows_affected")
        found.append(
            NodeRun(
                unique_id=node.unique_id,
                name=node.name,
                kind=node.resource_type,
                relation=node.relation,
                reads=tuple(each.name for each in upstream if each.resource_type in (*BUILT, "source")),
                lookback=read_lookback(node.name, node.meta) if partition_key else ALL,
                checksum=digest_sql(result.get("compiled_code"), partition_key),
                succeeded=result["status"] == "success",
                rows=rows if isinstance(rows, int) and rows >= 0 else None,
                started=started,
                ended=ended,
            )
        )
    # By time, where dbt says it: threads end nodes in the order in which they are done.
    return sorted(found, key=lambda run: (run.ended is None, run.ended))


def read_lookback(name: str, meta: Mapping[str, Any]) -> int:
    """Read how many earlier partitions a model reads.

    Raises:
        ConfigurationError: It is no number, nor ``all``.
    """
    said = meta.get(LOOKBACK, 0)
    if said == "all":
        return ALL
    if isinstance(said, bool) or not isinstance(said, int) or said < 0:
        raise ConfigurationError(f"Model {name}: meta.{LOOKBACK} is {said!r}; write a number, or all.")
    return int(said)


def digest_sql(sql: object, partition_key: str | None) -> str | None:
    """Return the SHA-256 of compiled SQL, the same for each partition; None where there is none."""
    if not isinstance(sql, str) or not sql.strip():
        return None
    text = " ".join(sql.split())
    if partition_key:
        text = text.replace(f"'{partition_key}'", "'{partition_key}'")
    return hashlib.sha256(text.encode()).hexdigest()


def _read_times(result: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    for timing in result.get("timing") or ():
        if timing.get("name") == "execute" and timing.get("completed_at"):
            started, ended = (str(timing[name]).replace("Z", "+00:00") for name in ("started_at", "completed_at"))
            return datetime.fromisoformat(started), datetime.fromisoformat(ended)
    return None, None
