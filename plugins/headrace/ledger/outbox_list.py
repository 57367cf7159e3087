"""The outbox as people see it: what waits, what failed, what was given up; orchestration interpreter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from headrace.ledger.database import Ledger
from headrace.ledger.schema import notification

STATES = ("pending", "held", "dead", "delivered", "routed")


@dataclass(frozen=True)
class NotificationRow:
    """One notification, for one route; ``route`` is None where it is not decided yet who gets it.

    Attributes:
        state: ``pending``; ``held`` for a route that is broken; ``delivered``; ``dead`` when given up; ``routed`` for
            what became a notification for each route, maybe for none.
        due_at: When it is tried next, while it is pending.
        leased: A notifier is delivering it.
    """

    id: int
    incident_id: int
    change: str
    route: str | None
    state: str
    attempts: int
    due_at: datetime
    leased: bool
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None


def list_notifications(
    ledger: Ledger,
    now: datetime,
    *,
    states: Sequence[str] = ("pending", "held", "dead"),
    incident_id: int | None = None,
    limit: int = 100,
) -> list[NotificationRow]:
    """List notifications, newest first."""
    query = select(notification).where(notification.c.state.in_(states))
    if incident_id is not None:
        query = query.where(notification.c.incident_id == incident_id)
    with ledger.connect() as connection:
        rows = connection.execute(query.order_by(notification.c.id.desc()).limit(limit)).all()
    return [
        NotificationRow(
            id=row.id,
            incident_id=row.incident_id,
            change=row.change,
            route=row.route,
            state=row.state,
            attempts=row.attempts,
            due_at=row.due_at,
            leased=row.lease_until is not None and row.lease_until > now,
            last_error=row.last_error,
            created_at=row.created_at,
            delivered_at=row.delivered_at,
        )
        for row in rows
    ]


def retry_notifications(ledger: Ledger, now: datetime, ids: Sequence[int] | None = None) -> list[int]:
    """Try again at once what waits or was given up.

    What was given up is not tried again where a later change of the same incident has been delivered by the same
    route since: the news would come after what it was followed by.

    Args:
        ids: Which; None for everything that was given up.

    Returns:
        The ids of those that will be tried.
    """
    later = notification.alias("later")
    is_overtaken = (
        select(later.c.id)
        .where(
            later.c.incident_id == notification.c.incident_id,
            later.c.route == notification.c.route,
            later.c.event_id > notification.c.event_id,
            later.c.state == "delivered",
        )
        .exists()
    )
    which = notification.c.state == "dead"
    if ids is not None:
        which = notification.c.id.in_(ids) & notification.c.state.in_(("dead", "pending"))
    with ledger.begin() as connection:
        found: list[int] = list(
            connection.execute(
                select(notification.c.id)
                .where(which, notification.c.route.is_not(None), ~is_overtaken)
                .order_by(notification.c.id)
            ).scalars()
        )
        for start in range(0, len(found), 500):
            connection.execute(
                update(notification)
                .where(notification.c.id.in_(found[start : start + 500]))
                .values(state="pending", attempts=0, due_at=now)
            )
    return found
