"""A registry in a project of its own, with a ledger on SQLite and on a real Postgres server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.ledger.database import Ledger, open_ledger
from headrace.settings import Settings, load_settings

ROOT = Path(__file__).parents[3]
PLUGINS = str(ROOT / "plugins")
STAND_IN = ROOT / "tests" / "serving_stand_in.py"


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


@pytest.fixture
def serve(settings: Settings) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a stand-in for a model server; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(STAND_IN), str(settings.serving_dir), *words]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": PLUGINS}
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
