"""What tests of several folders share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from postgres_server import PostgresServer, run_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real Postgres server; the test is skipped where none is installed, unless HEADRACE_REQUIRE_POSTGRES is set."""
    with run_postgres() as server:
        yield server
