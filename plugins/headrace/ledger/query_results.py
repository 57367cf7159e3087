"""Check results, as they were recorded; orchestration interpreter."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, select

from headrace.ledger.schema import attempt, check, check_result, incident
from headrace.ledger.views import ResultRow, TaskTry

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger

_OWN = (
    "id", "partition_key", "severity", "status", "message", "observed", "expected", "failed_rows", "total_rows",
    "quarantined_rows", "excused", "sample", "recorded_at",
)  # fmt: skip
TRY = ("dag_id", "run_id", "task_id", "map_index", "try_number")


def list_results(
    ledger: "Ledger",
    *,
    dag_id: str,
    run_id: str,
    task_id: str | None = None,
    map_index: int | None = None,
    limit: int = 1000,
) -> list[ResultRow]:
    """Return what the tasks of a run recorded: the newest try first, within it in the order of recording."""
    statement = select_results().where(attempt.c.dag_id == dag_id, attempt.c.run_id == run_id)
    if task_id is not None:
        statement = statement.where(attempt.c.task_id == task_id)
    if map_index is not None:
        statement = statement.where(attempt.c.map_index == map_index)
    statement = statement.order_by(attempt.c.id.desc(), check_result.c.id).limit(limit)
    with ledger.connect() as connection:
        return build_results(connection.execute(statement).mappings())


def load_results(connection: Connection, ids: Iterable[int]) -> list[ResultRow]:
    """Load these results, newest first."""
    statement = select_results().where(check_result.c.id.in_(list(ids))).order_by(check_result.c.id.desc())
    return build_results(connection.execute(statement).mappings())


def select_results() -> Select[Any]:
    """Select what :func:`build_results` reads, of every result."""
    return (
        select(
            *(check_result.c[name] for name in _OWN),
            *(attempt.c[name] for name in TRY),
            check.c.dataset,
            check.c.tool,
            check.c.name.label("check"),
            check.c["column"].label("column"),
            incident.c.id.label("incident_id"),
        )
        .join(attempt, attempt.c.id == check_result.c.attempt_id)
        .join(check, check.c.id == check_result.c.check_id)
        .join(incident, incident.c.check_id == check_result.c.check_id, isouter=True)
    )


def build_results(rows: Iterable[Any]) -> list[ResultRow]:
    """Build the rows of a query by :func:`select_results`."""
    return [
        ResultRow(**{name: value for name, value in row.items() if name not in TRY}, task=build_try(row))
        for row in rows
    ]


def build_try(row: Any) -> TaskTry:
    """Build the try from a row that has the columns ``TRY``."""
    return TaskTry(**{name: row[name] for name in TRY})
