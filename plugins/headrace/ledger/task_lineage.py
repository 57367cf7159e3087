"""What one try of a task recorded, as it is told to others; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from headrace.ledger.database import Ledger
from headrace.ledger.runs import READ
from headrace.ledger.schema import (
    attempt,
    check,
    check_result,
    column_edge,
    data_version,
    dataset,
    dataset_column,
    lineage_io,
    lineage_run,
)
from headrace.ledger.views import TaskTry


@dataclass(frozen=True)
class RecordedRun:
    """One run, with the data versions that it read and wrote, as mappings of ``data_version``'s columns."""

    job: str
    kind: str
    state: str
    code: str | None
    execution_id: int | None
    started: datetime | None
    ended: datetime | None
    detail: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TaskLineage:
    """What one try recorded.

    Attributes:
        runs: Its runs.
        results: Its check results: ``dataset``, ``tool``, ``name``, ``column`` and columns of ``check_result``.
        datasets: By name, what is known of each: relation, owner, description.
        columns: By dataset, the names of its columns in order.
        column_edges: By dataset, what its columns are made from, as mappings of ``column_edge``'s columns.
    """

    runs: Sequence[RecordedRun] = ()
    results: Sequence[Mapping[str, Any]] = ()
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    column_edges: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


def load_task_lineage(ledger: Ledger, task: TaskTry) -> TaskLineage:
    """Load what a try recorded; empty where it recorded nothing.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    a = attempt.c
    mine = (a.dag_id == task.dag_id, a.run_id == task.run_id, a.task_id == task.task_id)
    with ledger.connect() as connection:
        query = select(a.id).where(*mine, a.map_index == task.map_index, a.try_number == task.try_number)
        attempt_id = connection.execute(query).scalar()
        if attempt_id is None:
            return TaskLineage()
        runs = _load_runs(connection, int(attempt_id))
        results = _load_results(connection, int(attempt_id))
        names = {version["dataset"] for run in runs for version in (*run.inputs, *run.outputs)}
        names |= {result["dataset"] for result in results}
        edges = _group(connection, column_edge, column_edge.c.dataset, names)
        names |= {edge["from_dataset"] for of_one in edges.values() for edge in of_one}
        about = connection.execute(select(dataset).where(dataset.c.name.in_(sorted(names)))).mappings()
        columns = _group(connection, dataset_column, dataset_column.c.dataset, names, dataset_column.c.position)
        return TaskLineage(
            runs=runs,
            results=results,
            datasets={str(row["name"]): dict(row) for row in about},
            columns={name: [row["name"] for row in rows] for name, rows in columns.items()},
            column_edges=edges,
        )


def _load_runs(connection: Connection, attempt_id: int) -> list[RecordedRun]:
    rows = connection.execute(select(lineage_run).where(lineage_run.c.attempt_id == attempt_id)).mappings().all()
    io = (
        select(lineage_io.c.run_id.label("of_run"), lineage_io.c.role, data_version)
        .join(data_version, data_version.c.id == lineage_io.c.version_id)
        .join(lineage_run, lineage_run.c.id == lineage_io.c.run_id)
        .where(lineage_run.c.attempt_id == attempt_id)
        .order_by(data_version.c.dataset, data_version.c.partition_key)
    )
    read: dict[int, list[dict[str, Any]]] = {}
    written: dict[int, list[dict[str, Any]]] = {}
    for row in connection.execute(io).mappings():
        (read if row["role"] == READ else written).setdefault(int(row["of_run"]), []).append(dict(row))
    names = ("job", "kind", "state", "code", "execution_id", "started", "ended", "detail")
    return [
        RecordedRun(
            **{name: row[name] for name in names}, inputs=read.get(row["id"], ()), outputs=written.get(row["id"], ())
        )
        for row in rows
    ]


def _load_results(connection: Connection, attempt_id: int) -> list[dict[str, Any]]:
    c = check.c
    own = ("partition_key", "severity", "status", "message", "observed", "expected", "failed_rows", "total_rows")
    query = (
        select(c.dataset, c.tool, c.name, c.column, *(check_result.c[name] for name in own))
        .join(check, check.c.id == check_result.c.check_id)
        .where(check_result.c.attempt_id == attempt_id)
        .order_by(check_result.c.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _group(connection: Connection, table: Any, column: Any, names: set[str], order: Any = None) -> dict[str, list[Any]]:
    query = select(table).where(column.in_(sorted(names))).order_by(*(() if order is None else (order,)))
    found: dict[str, list[Any]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(str(row["dataset"]), []).append(dict(row))
    return found
