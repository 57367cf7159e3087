"""The outbox's first step: from one notification of a change to one for each route; orchestration interpreter."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from headrace.ledger.database import Ledger
from headrace.ledger.schema import notification

BATCH = 500
_unrouted = (notification.c.state == "pending") & notification.c.route.is_(None)


@dataclass(frozen=True)
class Unrouted:
    """A notification of which it is not decided yet who gets it.

    Attributes:
        told: The last change of the same incident that each route was told of, or is about to be.
    """

    id: int
    incident_id: int
    event_id: int
    change: str
    payload: Mapping[str, Any]
    told: Mapping[str, str]


Chooser = Callable[[Unrouted], Mapping[str, str | None]]
"""Returns the routes that get it; a text says why a route is broken, so that it must be held until it is mended."""


def has_unrouted(ledger: Ledger) -> bool:
    with ledger.connect() as connection:
        return connection.execute(select(notification.c.id).where(_unrouted).limit(1)).first() is not None


def drop_unrouted(ledger: Ledger) -> int:
    """Mark everything that waits for routes as routed, to nobody; returns how many that were."""
    with ledger.begin() as connection:
        return connection.execute(update(notification).where(_unrouted).values(state="routed")).rowcount


def route_unrouted(ledger: Ledger, choose: Chooser, now: datetime) -> int:
    """Route the oldest notifications, in one transaction: a notification is with all its routes or with none.

    Returns:
        How many were routed; less than ``BATCH`` where none is left.
    """
    with ledger.begin() as connection:
        rows = connection.execute(
            select(notification).where(_unrouted).order_by(notification.c.event_id, notification.c.id).limit(BATCH)
        ).all()
        told = _load_told(connection, [row.incident_id for row in rows])
        entries: list[dict[str, Any]] = []
        for row in rows:
            by_route = told[row.incident_id]
            chosen = choose(_unrouted_of(row, by_route))
            by_route.update({route: row.change for route, problem in chosen.items() if problem is None})
            entries += [
                {
                    "incident_id": row.incident_id,
                    "event_id": row.event_id,
                    "change": row.change,
                    "route": route,
                    "payload": row.payload,
                    "state": "pending" if problem is None else "held",
                    "attempts": 0,
                    "due_at": now,
                    "last_error": problem,
                    "created_at": row.created_at,
                }
                for route, problem in chosen.items()
            ]
        if entries:
            connection.execute(insert(notification), entries)
            _wake(connection, entries, now)
        if rows:
            done = update(notification).where(notification.c.id.in_([row.id for row in rows])).values(state="routed")
            connection.execute(done)
        return len(rows)


def load_held_routes(ledger: Ledger) -> set[str]:
    """Return the names of the routes for which something is held."""
    with ledger.connect() as connection:
        return set(
            connection.execute(select(notification.c.route).where(notification.c.state == "held").distinct()).scalars()
        )


def settle_held(ledger: Ledger, route: str, wants: Callable[[Unrouted], bool], now: datetime) -> int:
    """Decide on what was held for a route that is mended, or gone.

    Returns:
        How many notifications the route gets after all.
    """
    with ledger.begin() as connection:
        held = (notification.c.state == "held") & (notification.c.route == route)
        rows = connection.execute(select(notification).where(held).order_by(notification.c.event_id)).all()
        told = _load_told(connection, [row.incident_id for row in rows])
        wanted = []
        for row in rows:
            by_route = told[row.incident_id]
            if wants(_unrouted_of(row, by_route)):
                wanted.append(row.id)
                by_route[route] = row.change
        this = notification.c.id == bindparam("row_id")
        for row in rows:
            state = "pending" if row.id in wanted else "routed"
            values = {"state": state, "due_at": now, "last_error": None}
            connection.execute(update(notification).where(this).values(values), {"row_id": row.id})
        return len(wanted)


def _unrouted_of(row: Row[Any], told: Mapping[str, str]) -> Unrouted:
    return Unrouted(row.id, row.incident_id, row.event_id, row.change, row.payload, told=dict(told))


def _load_told(connection: Connection, incident_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    told: dict[int, dict[str, str]] = defaultdict(dict)
    rows = connection.execute(
        select(notification.c.incident_id, notification.c.route, notification.c.change)
        .where(
            notification.c.incident_id.in_(set(incident_ids)),
            notification.c.route.is_not(None),
            notification.c.state.in_(("pending", "delivered")),
        )
        .order_by(notification.c.event_id)
    )
    for row in rows:
        told[row.incident_id][row.route] = row.change
    return told


def _wake(connection: Connection, entries: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Let what quiet hours hold of these incidents be looked at again: it must go before what has come after it."""
    waiting = (
        (notification.c.incident_id.in_({entry["incident_id"] for entry in entries}))
        & (notification.c.route.in_({entry["route"] for entry in entries}))
        & (notification.c.state == "pending")
        & (notification.c.attempts == 0)
    )
    connection.execute(update(notification).where(waiting).values(due_at=now))
