"""What tests of several folders share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from postgres_server import PostgresServer, run_postgres

TESTS = Path(__file__).parent
WITH_THEIR_OWN_AIRFLOW = {"test_up", "test_killed_scheduler", "test_dag_parsing"}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep in one process of pytest-xdist what shares a server, a project or a pipeline's run: a folder's tests."""
    for item in items:
        place = item.path.relative_to(TESTS)
        group = place if place.stem in WITH_THEIR_OWN_AIRFLOW else place.parent
        item.add_marker(pytest.mark.xdist_group(str(group)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real Postgres server; the test is skipped where none is installed, unless HEADRACE_REQUIRE_POSTGRES is set."""
    with run_postgres() as server:
        yield server
