"""A registry in a project of its own, with a ledger on SQLite and on a real Postgres server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.ledger.database import Ledger, open_ledger
from headrace.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "project" / "dags").mkdir(parents=True)
    return load_settings(tmp_path / "project")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, settings: Settings) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{settings.ledger_path}"
    return str(request.getfixturevalue("postgres").create_database())


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with open_ledger(url) as opened:
        yield opened
