"""What tests of several folders share."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from postgres_server import PostgresServer, run_postgres

BY_THEMSELVES = tuple(Path("tests/e2e", f"test_{name}.py") for name in ("dag_parsing", "killed_scheduler", "up"))
"""Files that start what they need: the others of their folder share one project."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n``, keep the tests of a folder in one process: they share what takes long to start."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            return str(file if file in BY_THEMSELVES else file.parent)

    return ByFolder(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the time goes: by folder, set-up and tear-down included."""
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[str(Path(report.nodeid.partition("::")[0]).parent)] += report.duration
    if sum(seconds.values()) > 60:
        terminalreporter.section("seconds by folder")
        for folder, took in seconds.most_common():
            terminalreporter.write_line(f"{took:6.0f}  {folder}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real Postgres server; the test is skipped where none is installed, unless HEADRACE_REQUIRE_POSTGRES is set."""
    with run_postgres() as server:
        yield server
