"""Lines of the inbox for given incidents, a page at a time; orchestration interpreter."""

from collections.abc import Sequence
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


def load_rows(connection: Connection, ids: Sequence[int], now: datetime) -> list[IncidentRow]:
    """Load these incidents in this order, with what they reach; those that are not there are left out."""
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
    consequences = _count_consequences(connection, ids)
    reach = count_reach(connection, {id_: row["dataset"] for id_, row in found.items()})
    return [_build(found[id_], consequences.get(id_, 0), reach[id_]) for id_ in ids if id_ in found]


def _build(row: Any, consequences: int, reach: tuple[int, int, int]) -> IncidentRow:
    downstream, runs, models = reach
    return IncidentRow(
        **row, consequences=consequences, downstream_datasets=downstream, blocked_runs=runs, models=models
    )


def _count_consequences(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    statement = (
        select(incident.c.caused_by, func.count())
        .where(incident.c.caused_by.in_(ids), incident.c.state != RESOLVED)
        .group_by(incident.c.caused_by)
    )
    counted: Any = connection.execute(statement)
    return dict(counted.all())
