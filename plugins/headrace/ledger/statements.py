"""Small things that every statement on the ledger shares; orchestration interpreter."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from headrace.ledger.database import Ledger

CHUNK = 1_000
"""So many values go in one ``IN`` list; databases bound the parameters of a statement."""
T = TypeVar("T")


def upsert(connection: Connection, table: Table) -> Any:
    """Return the dialect's ``INSERT``, which has ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


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
