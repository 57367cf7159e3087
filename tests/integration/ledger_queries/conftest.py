"""A ledger on SQLite and on a real Postgres server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ledger_book import Book

from headrace.ledger.database import Ledger, open_ledger


@contextmanager
def _open(request: pytest.FixtureRequest, folder: Path) -> Iterator[Ledger]:
    is_file = request.param == "sqlite"
    url = folder / "ledger.sqlite" if is_file else str(request.getfixturevalue("postgres").create_database())
    with open_ledger(url) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with _open(request, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One for all tests of a module, which only read it."""
    with _open(request, tmp_path_factory.mktemp("ledger")) as opened:
        yield opened


@pytest.fixture
def book(ledger: Ledger) -> Book:
    return Book(ledger)
