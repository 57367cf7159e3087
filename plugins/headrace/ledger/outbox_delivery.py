"""The outbox's second step: each notification is leased, delivered, and marked so; orchestration interpreter."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update

from headrace.ledger.database import Ledger
from headrace.ledger.schema import notification

LONGEST_WAIT = timedelta(hours=1)
"""Until when at most a notification waits before it is looked at again. One that waits longer was written by a
clock that has been put back since."""
LONGEST_LEASE = timedelta(minutes=15)
LONGEST_ERROR = 2000
_PER_ROUTE = 100


@dataclass(frozen=True)
class Leased:
    """A notification that one notifier has taken to deliver.

    Attributes:
        attempts: Tries so far, this one among them.
        lease_owner: Who has taken it.
    """

    id: int
    incident_id: int
    event_id: int
    change: str
    route: str
    payload: Mapping[str, Any]
    attempts: int
    created_at: datetime
    lease_owner: str


Postpone = Callable[[str, Mapping[str, Any]], datetime | None]
"""Of a route and a payload: until when it must wait; None for not at all."""


def lease_due(
    ledger: Ledger,
    owner: str,
    now: datetime,
    *,
    lease: Callable[[str], timedelta],
    postpone: Postpone,
    busy: Collection[str] = (),
    limit: int = 8,
) -> list[Leased]:
    """Take what is due, at most one notification of each route, and not of busy ones.

    Nothing is taken while an earlier notification of the same incident for the same route, or one that is not routed
    yet, is still to be delivered. A lease that has run out is no lease: whoever held it is taken for dead.

    Args:
        lease: How long a delivery of a route may take.
    """
    with ledger.connect() as connection:
        candidates = connection.execute(_select_due(now, busy)).all()
    if not candidates or limit < 1:
        return []
    taken: dict[str, Leased] = {}
    with ledger.begin() as connection:
        # Looked up again: another notifier may have taken them since, and from here on none can.
        for row in connection.execute(_select_due(now, busy)):
            if row.route in taken:
                continue
            this = update(notification).where(notification.c.id == row.id)
            until = _postponed_until(connection, row, postpone)
            if until is not None:
                connection.execute(this.values(due_at=min(until, now + LONGEST_WAIT)))
            elif len(taken) < limit:
                attempts = row.attempts + 1
                lease_until = now + min(lease(row.route), LONGEST_LEASE)
                connection.execute(this.values(attempts=attempts, lease_owner=owner, lease_until=lease_until))
                taken[row.route] = Leased(
                    row.id,
                    row.incident_id,
                    row.event_id,
                    row.change,
                    row.route,
                    row.payload,
                    attempts,
                    row.created_at,
                    owner,
                )
    return list(taken.values())


def mark_delivered(ledger: Ledger, leased: Leased, now: datetime) -> None:
    """Mark a notification as delivered, whoever holds its lease by now: it has been."""
    with ledger.begin() as connection:
        connection.execute(
            update(notification)
            .where(notification.c.id == leased.id, notification.c.state != "delivered")
            .values(state="delivered", delivered_at=now, lease_owner=None, lease_until=None, last_error=None)
        )


def mark_failed(ledger: Ledger, leased: Leased, error: str, due_at: datetime | None) -> None:
    """Mark a try as failed; ``due_at`` is when to try again, None for never."""
    state: dict[str, Any] = {"state": "dead"} if due_at is None else {"due_at": due_at}
    with ledger.begin() as connection:
        connection.execute(
            update(notification)
            .where(
                notification.c.id == leased.id,
                notification.c.state == "pending",
                notification.c.lease_owner == leased.lease_owner,
            )
            .values(last_error=error[:LONGEST_ERROR], lease_owner=None, lease_until=None, **state)
        )


def wake_routes(ledger: Ledger, routes: Collection[str], now: datetime) -> int:
    """Let everything that waits for these routes be tried at once: their configuration has changed."""
    waiting = (notification.c.state == "pending") & notification.c.route.in_(routes) & (notification.c.due_at > now)
    with ledger.begin() as connection:
        return connection.execute(update(notification).where(waiting).values(due_at=now)).rowcount


def _select_due(now: datetime, busy: Collection[str]) -> Any:
    earlier = notification.alias("earlier")
    is_blocked = (
        select(earlier.c.id)
        .where(
            earlier.c.incident_id == notification.c.incident_id,
            earlier.c.event_id < notification.c.event_id,
            earlier.c.state.in_(("pending", "held")),
            or_(earlier.c.route == notification.c.route, earlier.c.route.is_(None)),
        )
        .exists()
    )
    place = func.row_number().over(
        partition_by=notification.c.route, order_by=(notification.c.due_at, notification.c.event_id)
    )
    due = (
        select(*notification.c, place.label("place"))
        .where(
            notification.c.state == "pending",
            notification.c.route.is_not(None),
            notification.c.route.not_in(busy),
            or_(notification.c.due_at <= now, notification.c.due_at > now + LONGEST_WAIT),
            or_(
                notification.c.lease_until.is_(None),
                notification.c.lease_until <= now,
                notification.c.lease_until > now + LONGEST_LEASE,
            ),
            ~is_blocked,
        )
        .subquery("due")
    )
    return select(due).where(due.c.place <= _PER_ROUTE).order_by(due.c.place, due.c.due_at, due.c.event_id)


def _postponed_until(connection: Any, row: Any, postpone: Postpone) -> datetime | None:
    """Return until when a notification waits: not at all where one after it, for the same route, must not."""
    until = postpone(row.route, row.payload)
    if until is None:
        return None
    after = select(notification.c.payload).where(
        notification.c.incident_id == row.incident_id,
        notification.c.route == row.route,
        notification.c.event_id > row.event_id,
        notification.c.state == "pending",
    )
    if any(postpone(row.route, payload) is None for payload in connection.execute(after).scalars()):
        return None
    return until
