"""The inbox: a page of incidents, and how many there are; orchestration interpreter.

A filter that many incidents may match is read in order, from an index that holds all it needs, no further than the
page is long. One that few match (a dataset, a partition, a rare word) is looked up whole, once, and its matches sorted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, String, case, cast, func, literal, select, tuple_

from headrace.exceptions import ConfigurationError
from headrace.ledger.query_conditions import STATES, Branch, build_conditions, effective_state, is_narrow, list_branches
from headrace.ledger.query_cursor import Cursor, decode_cursor, encode_cursor
from headrace.ledger.query_rows import load_rows
from headrace.ledger.schema import Id, UtcDateTime, incident, severity_number
from headrace.ledger.views import COUNTED, IncidentFilter, IncidentPage

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger

MOST = 200
"""The largest page."""
_FEW = 2000
_IDS = func.aggregate_strings(cast(incident.c.id, String), ",")


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
    """Return one page of the inbox.

    Args:
        ledger: The ledger.
        wanted: Which incidents.
        sort: ``severity`` (worst, then last seen first), ``newest`` (last seen first) or ``oldest`` (opened first).
        limit: Rows of the page, 1 to 200.
        cursor: ``next`` of the page before; None for the first. A page is found by its last row, not by counting, so
            that a deep page costs what the first one costs.
        now: By which a snooze has run out or not; the clock's time when None.

    Raises:
        InvalidCursorError: The cursor is none, or of another sort.
        ConfigurationError: No such sort.
    """
    if sort not in ORDERS:
        raise ConfigurationError(f"incidents cannot be sorted by {sort[:40]!r}: use one of {', '.join(ORDERS)}")
    order, after = ORDERS[sort], decode_cursor(cursor, sort) if cursor else None
    limit = min(max(limit, 1), MOST)
    now = now or datetime.now(UTC)
    with ledger.connect() as connection:
        conditions = build_conditions(wanted)
        if is_narrow(wanted):
            counts, ids = _look_up(connection, conditions, now)
        elif wanted.text:
            counts, ids = _search(connection, conditions, now)
        else:
            counts, ids = count_states(connection, conditions, now), None
        if ids is None:
            keys = _walk(connection, conditions, wanted, order, after, limit + 1, now)
        else:
            keys = _read_few(connection, ids, wanted, order, after, now)[: limit + 1]
        rows = load_rows(connection, [key.id for key in keys[:limit]], now, wanted.dag_ids)
    matching = sum(counts.get(state, 0) for state in set(wanted.states or STATES))
    end = keys[limit - 1] if len(keys) > limit else None
    return IncidentPage(
        rows=rows,
        total=None if matching > COUNTED else matching,
        next=encode_cursor(Cursor(sort, end.rank if order.by_severity else 0, end.at, end.id)) if end else None,
        counts=counts,
    )


def count_states(connection: Connection, conditions: Sequence[Any], now: datetime) -> dict[str, int]:
    """Count what matches by effective state, each no further than just beyond ``COUNTED``."""
    counts, branches = dict.fromkeys(STATES, 0), list_branches(STATES, now)
    found = [select(incident.c.id).where(*each.conditions, *conditions).limit(COUNTED + 1) for each in branches]
    numbers = [select(func.count()).select_from(each.subquery()).scalar_subquery() for each in found]
    row: Any = connection.execute(select(*numbers)).one()
    for branch, number in zip(branches, row, strict=True):
        counts[branch.state] += number
    return _cap(counts)


def _look_up(
    connection: Connection, conditions: Sequence[Any], now: datetime
) -> tuple[dict[str, int], list[int] | None]:
    """Count what matches by effective state in one pass, and return the ids too where they are few."""
    state = effective_state(now)
    counted = [func.sum(case((state == name, 1), else_=0)) for name in STATES]
    row: Any = connection.execute(select(*counted, _IDS).where(*conditions)).one()
    counts = dict(zip(STATES, (count or 0 for count in row[:-1]), strict=True))
    return _cap(counts), _split(row[-1]) if sum(counts.values()) <= _FEW else None


def _search(
    connection: Connection, conditions: Sequence[Any], now: datetime
) -> tuple[dict[str, int], list[int] | None]:
    """Do the same for words, which are looked for in every incident of a state, until ``COUNTED`` are found."""
    counts, ids = dict.fromkeys(STATES, 0), list[str]()
    for branch in list_branches(STATES, now):
        found = select(incident.c.id).where(*branch.conditions, *conditions).limit(COUNTED + 1).subquery()
        in_text = func.aggregate_strings(cast(found.c.id, String), ",")
        row: Any = connection.execute(select(func.count(), in_text).select_from(found)).one()
        counts[branch.state] += row[0]
        ids.append(row[1] or "")
    return _cap(counts), _split(",".join(ids)) if sum(counts.values()) <= _FEW else None


def _cap(counts: Mapping[str, int]) -> dict[str, int]:
    return {state: min(count, COUNTED + 1) for state, count in counts.items()}


def _split(ids: str | None) -> list[int]:
    return [int(id_) for id_ in (ids or "").split(",") if id_]


def _read_few(
    connection: Connection,
    ids: Sequence[int],
    wanted: IncidentFilter,
    order: Order,
    after: Cursor | None,
    now: datetime,
) -> list[Any]:
    """Return what these few are sorted by, in order, from where the page before ended."""
    state = effective_state(now)
    statement = select(*_sorted_by(order)).where(incident.c.id.in_(ids), state.in_(list(wanted.states or STATES)))
    found = _sort(list(connection.execute(statement)), order)
    if after is None:
        return found
    return [key for key in found if key.id != after.id and _sort([key, after], order)[0] is after]


def _walk(
    connection: Connection,
    conditions: Sequence[Any],
    wanted: IncidentFilter,
    order: Order,
    after: Cursor | None,
    limit: int,
    now: datetime,
) -> list[Any]:
    """Return what a page is sorted by: the rows of each severity and stored state by themselves, then merged."""
    ranks = sorted({severity_number[name] for name in wanted.severities or severity_number if name in severity_number})
    found: list[Any] = []
    for rank in ranks:
        if order.by_severity and (len(found) >= limit or (after and rank < after.rank)):
            continue
        for branch in list_branches(wanted.states, now):
            found += _read_branch(connection, conditions, branch, rank, order, after, limit)
    return _sort(found, order)[:limit]


def _sort(keys: list[Any], order: Order) -> list[Any]:
    """Sort what has ``rank``, ``at`` and ``id``."""
    found = sorted(keys, key=lambda key: (key.at, key.id), reverse=order.falling)
    return sorted(found, key=lambda key: key.rank) if order.by_severity else found


def _sorted_by(order: Order) -> tuple[Any, ...]:
    return incident.c.id, incident.c.severity_rank.label("rank"), order.time.label("at")


def _read_branch(
    connection: Connection,
    conditions: Sequence[Any],
    branch: Branch,
    rank: int,
    order: Order,
    after: Cursor | None,
    limit: int,
) -> Sequence[Any]:
    key = tuple_(order.time, incident.c.id)
    statement = select(*_sorted_by(order)).where(*branch.conditions, incident.c.severity_rank == rank, *conditions)
    if after and not (order.by_severity and rank > after.rank):
        last = tuple_(literal(after.at, UtcDateTime()), literal(after.id, Id))
        statement = statement.where(key < last if order.falling else key > last)
    by = (order.time.desc(), incident.c.id.desc()) if order.falling else (order.time, incident.c.id)
    return connection.execute(statement.order_by(*by).limit(limit)).all()
