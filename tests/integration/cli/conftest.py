"""``headrace`` as its user types it, in a project with a real ledger."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.settings import Settings, load_settings

HEADRACE = Path(sys.executable).with_name("headrace")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    (tmp_path / "dags").mkdir()
    return load_settings(tmp_path)


@pytest.fixture
def type_in(project: Settings) -> Run:
    """Run a command of ``headrace`` in the project."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "HEADRACE"))}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [HEADRACE, *arguments], cwd=project.project_dir, env=clean, capture_output=True, text=True, timeout=300
        )

    return run
