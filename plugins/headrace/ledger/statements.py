"""Small things that every statement on the ledger shares; orchestration interpreter."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Connection, Table, cast, false, func, literal, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from headrace.ledger.database import Ledger

CHUNK = 1_000
"""So many values go in one ``IN`` list; databases bound the parameters of a statement."""
MOST_BOUND = 5_000
T = TypeVar("T")


def upsert(connection: Connection, table: Table) -> Any:
    """Return the dialect's ``INSERT``, which has ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


@cache
def _build_upsert(dialect: str, table: Table, changing: tuple[str, ...], key: tuple[str, ...]) -> Any:
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    # By name: asking ``statement.excluded`` for its columns takes longer than executing the statement.
    values: dict[str, Any] = {name: literal_column(f"excluded.{name}") for name in changing}
    statement = statement.on_conflict_do_update(index_elements=list(key), set_=values)
    return statement.returning(*([table.c.id] if "id" in table.c else []), *(table.c[name] for name in key))


def upsert_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    key: tuple[str, ...],
    fixed: tuple[str, ...] = (),
) -> Any:
    """Insert rows, or change those that are there, with few statements.

    Args:
        connection: A write transaction.
        table: The table.
        rows: At least one; each with the same columns.
        key: Columns by which a row is known.
        fixed: Columns that never change for a key: setting them would write their indexes.

    Returns:
        A result of each row's id, where it has one, and key; in any order.
    """
    changing = tuple(name for name in rows[0] if name not in (*key, *fixed))
    return connection.execute(_build_upsert(connection.dialect.name, table, changing, key), list(rows))


def is_one_of(connection: Connection, column: Any, ids: Collection[int]) -> Any:
    """Return the condition that a column is one of these ids, however many: a statement takes few bound values."""
    if len(ids) <= MOST_BOUND:
        return column.in_(sorted(ids)) if ids else false()
    document = json.dumps(sorted(ids))
    if connection.dialect.name == "sqlite":
        return column.in_(select(func.json_each(document).table_valued("value").c.value))
    each = func.jsonb_array_elements_text(cast(literal(document), postgresql.JSONB)).column_valued("one_of_these")
    return column.in_(select(cast(each, BigInteger)))


def chunk(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def write_on(ledger: Ledger | Connection) -> AbstractContextManager[Connection]:
    """Begin a write transaction, or go on in the caller's."""
    return nullcontext(ledger) if isinstance(ledger, Connection) else ledger.begin()


def read_on(ledger: Ledger | Connection) -> AbstractContextManager[Connection]:
    """Begin a read transaction, or go on in the caller's."""
    return nullcontext(ledger) if isinstance(ledger, Connection) else ledger.connect()


def tell_time(now: datetime | None) -> datetime:
    return now if now is not None else datetime.now(UTC)
