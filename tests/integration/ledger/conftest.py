"""A ledger on SQLite and on a real Postgres server, and short words for what is recorded in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_book import Book

from headrace.ledger.database import Ledger, open_ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database in which nothing is yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger' / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres").create_database())


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with open_ledger(url) as opened:
        yield opened


@pytest.fixture
def book(ledger: Ledger) -> Book:
    return Book(ledger)
