"""The example project in a git checkout of its own, and commands typed in it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Checkout:
    folder: Path
    warehouse: Path

    def git(self, *arguments: str) -> str:
        told = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
        return subprocess.run(
            ["git", *told, *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new, 1))

    def check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("check-dbt", *arguments)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "plugins"),
            "HEADRACE_WAREHOUSE": str(self.warehouse),
            "AIRFLOW__HEADRACE__PROJECT_DIR": str(self.folder),
        }
        command = [sys.executable, "-c", "from headrace.cli.app import main; main()", *arguments]
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True)

    def judge(self, code: int, *arguments: str) -> dict[str, Any]:
        done = self.check("--json", "--sample", "500", *arguments)
        assert done.returncode == code, done.stderr + done.stdout
        assert "leaked" not in done.stderr
        return dict(json.loads(done.stdout))


@pytest.fixture(scope="package")
def checkout_of_package(flights: Any, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("dbt_project", "expectations"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("target", "logs"))
    (folder / "dags").mkdir()
    (folder / ".gitignore").write_text(".headrace/\nlogs/\ntarget/\n")
    made = Checkout(folder, flights.copy(tmp_path_factory.mktemp("warehouse")))
    made.git("init", "-q")
    made.git("add", ".")
    made.git("commit", "-qm", "The project")
    return made


@pytest.fixture
def checkout(checkout_of_package: Checkout) -> Iterator[Checkout]:
    yield checkout_of_package
    checkout_of_package.git("checkout", "-q", "main")
    checkout_of_package.git("checkout", "-q", ".")
