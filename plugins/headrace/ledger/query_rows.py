"""Lines of the inbox for given incidents, a page at a time; orchestration interpreter."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from headrace.ledger.query_conditions import RESOLVED, effective_state
from headrace.ledger.query_reach import count_reach
from headrace.ledger.schema import check, incident
from headrace.ledger.views import IncidentRow

_OWN = (
    "id", "severity", "title", "dataset", "tool", "owner", "tier", "assignee", "opened_at", "first_seen", "last_seen",
    "occurrences", "failing_partitions", "snoozed_until", "resolved_at", "resolution", "flapping", "caused_by",
    "dag_id",
)  # fmt: skip


def load_rows(
    connection: Connection, ids: Sequence[int], now: datetime, dag_ids: Sequence[str] | None = None
) -> list[IncidentRow]:
    """Load these incidents in this order, with what they reach; those that are not there are left out.

    Args:
        connection: To the ledger.
        ids: The incidents, whatever their DAG.
        now: By which a snooze has run out or not.
        dag_ids: Causes, consequences, runs and models of other DAGs than these are neither named nor counted.
    """
    if not ids:
        return []
    statement = (
        select(
            *(incident.c[name] for name in _OWN),
            effective_state(now).label("state"),
            check.c.name.label("check"),
            check.c["column"].label("column"),
        )
        .join(check, check.c.id == incident.c.check_id)
        .where(incident.c.id.in_(ids))
    )
    found = {row["id"]: row for row in connection.execute(statement).mappings()}
    consequences = _count_consequences(connection, ids, dag_ids)
    reach = count_reach(connection, {id_: row["dataset"] for id_, row in found.items()}, dag_ids)
    causes = _find_causes(connection, [row["caused_by"] for row in found.values()], dag_ids)
    return [_build(found[id_], causes, consequences.get(id_, 0), reach[id_]) for id_ in ids if id_ in found]


def _build(row: Any, causes: Collection[int], consequences: int, reach: tuple[int, int, int]) -> IncidentRow:
    downstream, runs, models = reach
    cause = row["caused_by"] if row["caused_by"] in causes else None
    return IncidentRow(
        **{**row, "caused_by": cause}, consequences=consequences, downstream_datasets=downstream, blocked_runs=runs,
        models=models,
    )  # fmt: skip


def _find_causes(connection: Connection, causes: Sequence[int | None], dag_ids: Sequence[str] | None) -> set[int]:
    """Return those of the causes that these DAGs recorded."""
    named = {cause for cause in causes if cause is not None}
    if dag_ids is None or not named:
        return named
    statement = select(incident.c.id).where(incident.c.id.in_(named), incident.c.dag_id.in_(list(dag_ids)))
    return set(connection.execute(statement).scalars())


def _count_consequences(connection: Connection, ids: Sequence[int], dag_ids: Sequence[str] | None) -> dict[int, int]:
    statement = select(incident.c.caused_by, func.count()).where(
        incident.c.caused_by.in_(ids), incident.c.state != RESOLVED
    )
    if dag_ids is not None:
        statement = statement.where(incident.c.dag_id.in_(list(dag_ids)))
    counted: Any = connection.execute(statement.group_by(incident.c.caused_by))
    return dict(counted.all())
