"""What the inbox offers to filter by, and whether all of it is alive; orchestration interpreter."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from headrace.ledger.query_conditions import OPEN, build_conditions, list_branches
from headrace.ledger.query_distinct import select_distinct
from headrace.ledger.query_incidents import count_states
from headrace.ledger.schema import attempt, heartbeat, incident, notification, severity_number
from headrace.ledger.views import COUNTED, IncidentFilter, Overview

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger

NOTIFIER = "notifier"
_WAITING = ("pending", "held")
_FACETS = {"owners": "owner", "datasets": "dataset", "tools": "tool", "assignees": "assignee"}


def list_facets(ledger: "Ledger", *, dag_ids: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return what occurs among incidents, sorted: ``owners``, ``datasets``, ``tools``, ``assignees``."""
    with ledger.connect() as connection:
        if dag_ids is None:
            statements = {name: select_distinct(incident.c[column]) for name, column in _FACETS.items()}
        else:
            statements = {
                name: select(incident.c[column])
                .where(incident.c.dag_id.in_(list(dag_ids)), incident.c[column].is_not(None))
                .distinct()
                .order_by(incident.c[column])
                for name, column in _FACETS.items()
            }
        return {name: list(connection.execute(statement).scalars()) for name, statement in statements.items()}


def load_overview(ledger: "Ledger", *, dag_ids: Sequence[str] | None = None, now: datetime | None = None) -> Overview:
    """Return how many incidents there are, who waits longest, and whether notifications go out."""
    now = now or datetime.now(UTC)
    conditions = build_conditions(IncidentFilter(dag_ids=dag_ids))
    with ledger.connect() as connection:
        seen = connection.execute(select(heartbeat).where(heartbeat.c.component == NOTIFIER)).mappings().first()
        told: Any = connection.execute(
            select(notification.c.state, func.count())
            .where(notification.c.state.in_([*_WAITING, "dead"]))
            .group_by(notification.c.state)
        )
        outbox = dict(told.all())
        oldest_waiting = connection.execute(
            select(func.min(notification.c.created_at)).where(notification.c.state.in_(_WAITING))
        ).scalar()
        return Overview(
            counts=count_states(connection, conditions, now),
            severities=_count_severities(connection, conditions, now),
            oldest_open=_find_oldest_open(connection, conditions, now),
            notifier_seen=seen["at"] if seen else None,
            notifier_detail=seen["detail"] if seen else {},
            outbox_waiting=sum(outbox.get(state, 0) for state in _WAITING),
            outbox_oldest=oldest_waiting,
            outbox_dead=outbox.get("dead", 0),
            last_recorded=connection.execute(
                select(attempt.c.recorded_at).order_by(attempt.c.id.desc()).limit(1)
            ).scalar(),
        )


def _count_severities(connection: Connection, conditions: Sequence[Any], now: datetime) -> dict[str, int]:
    found = dict.fromkeys(severity_number, 0)
    for branch in list_branches([OPEN], now):
        for severity, rank in severity_number.items():
            some = (
                select(incident.c.id)
                .where(*branch.conditions, incident.c.severity_rank == rank, *conditions)
                .limit(COUNTED + 1)
                .subquery()
            )
            found[severity] += connection.execute(select(func.count()).select_from(some)).scalar() or 0
    return {severity: min(count, COUNTED + 1) for severity, count in found.items()}


def _find_oldest_open(connection: Connection, conditions: Sequence[Any], now: datetime) -> tuple[int, datetime] | None:
    oldest = []
    for branch in list_branches([OPEN], now):
        statement = select(incident.c.id, incident.c.opened_at).where(*branch.conditions, *conditions)
        found = connection.execute(statement.order_by(incident.c.opened_at, incident.c.id).limit(1)).first()
        if found:
            oldest.append((found.id, found.opened_at))
    return min(oldest, key=lambda each: (each[1], each[0]), default=None)
