"""The inbox: a page of incidents, and how many there are; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, false, func, literal, select, tuple_, union_all

from headrace.exceptions import ConfigurationError
from headrace.ledger.query_conditions import STATES, build_conditions, effective_state, stored_branches
from headrace.ledger.query_cursor import Cursor, decode_cursor, encode_cursor
from headrace.ledger.query_rows import load_rows
from headrace.ledger.schema import Id, UtcDateTime, incident, severity_number
from headrace.ledger.views import COUNTED, IncidentFilter, IncidentPage

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger

MOST = 200
"""The largest page."""


@dataclass(frozen=True)
class Order:
    """An order of the inbox: by severity or not, then by a time, then by id."""

    by_severity: bool
    time: Any
    falling: bool


ORDERS: Mapping[str, Order] = {
    "severity": Order(True, incident.c.last_seen, falling=True),
    "newest": Order(False, incident.c.last_seen, falling=True),
    "oldest": Order(False, incident.c.opened_at, falling=False),
}


def list_incidents(
    ledger: "Ledger",
    wanted: IncidentFilter,
    *,
    sort: str = "severity",
    limit: int = 50,
    cursor: str | None = None,
    now: datetime | None = None,
) -> IncidentPage:
    """Return one page; see :func:`headrace.ledger.queries.list_incidents`."""
    if sort not in ORDERS:
        raise ConfigurationError(f"incidents cannot be sorted by {sort[:40]!r}: use one of {', '.join(ORDERS)}")
    after = decode_cursor(cursor, sort) if cursor else None
    limit = min(max(limit, 1), MOST)
    now = now or datetime.now(UTC)
    with ledger.connect() as connection:
        keys = connection.execute(_select_page(wanted, ORDERS[sort], after, limit + 1, now)).all()
        counts = count_states(connection, wanted, now)
        rows = load_rows(connection, [key.id for key in keys[:limit]], now)
    matching = sum(counts[state] for state in wanted.states or STATES if state in counts)
    rank = keys[limit - 1].rank if ORDERS[sort].by_severity and len(keys) > limit else 0
    return IncidentPage(
        rows=rows,
        total=None if matching > COUNTED else matching,
        next=encode_cursor(Cursor(sort, rank, keys[limit - 1].at, keys[limit - 1].id)) if len(keys) > limit else None,
        counts=counts,
    )


def count_states(connection: Connection, wanted: IncidentFilter, now: datetime) -> dict[str, int]:
    """Count what matches by effective state, whatever states are wanted, no further than just beyond ``COUNTED``."""
    conditions = build_conditions(wanted)
    state = effective_state(now).label("state")
    counted = [
        select(state).where(incident.c.state == stored, *conditions).limit(COUNTED + 1).subquery() for stored in STATES
    ]
    each = union_all(*(select(found.c.state) for found in counted)).subquery()
    found: Any = connection.execute(select(each.c.state, func.count()).group_by(each.c.state))
    return dict.fromkeys(STATES, 0) | {name: min(count, COUNTED + 1) for name, count in found}


def _select_page(wanted: IncidentFilter, order: Order, after: Cursor | None, limit: int, now: datetime) -> Any:
    """Return ids with what they are sorted by.

    Each stored state and severity is read by itself and in order from an index, no further than the page is long.
    """
    conditions = build_conditions(wanted)
    ranks = sorted({severity_number[name] for name in wanted.severities or severity_number if name in severity_number})
    read = [
        _select_branch([branch, *conditions], rank, order, after, limit)
        for branch in stored_branches(wanted.states, now)
        for rank in ranks
        if not (order.by_severity and after and rank < after.rank)
    ]
    if not read:
        return select(incident.c.id, incident.c.severity_rank.label("rank"), order.time.label("at")).where(false())
    found = union_all(*(select(branch.subquery()) for branch in read)).subquery()
    return select(found).order_by(*_sorted_by(found.c.rank, found.c.at, found.c.id, order)).limit(limit)


def _select_branch(conditions: Sequence[Any], rank: int, order: Order, after: Cursor | None, limit: int) -> Select[Any]:
    key = tuple_(order.time, incident.c.id)
    statement = select(incident.c.id, incident.c.severity_rank.label("rank"), order.time.label("at")).where(
        incident.c.severity_rank == rank, *conditions
    )
    if after and not (order.by_severity and rank > after.rank):
        last = tuple_(literal(after.at, UtcDateTime()), literal(after.id, Id))
        statement = statement.where(key < last if order.falling else key > last)
    return statement.order_by(*_sorted_by(None, order.time, incident.c.id, order)).limit(limit)


def _sorted_by(rank: Any, at: Any, id_: Any, order: Order) -> list[Any]:
    by = [at.desc(), id_.desc()] if order.falling else [at, id_]
    return [rank, *by] if order.by_severity and rank is not None else by
