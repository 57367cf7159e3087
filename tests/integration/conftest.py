"""A landed and built warehouse of two real months, made once a session; no Airflow."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PENGUINS = ROOT / "tests" / "foreign" / "penguins"


@dataclass(frozen=True)
class Built:
    """A warehouse and the artifacts of the dbt runs that built it."""

    warehouse: Path
    landing_dir: Path
    target: Path

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copy(self.warehouse, folder / self.warehouse.name))


def run_dbt(
    project: Path, landing_dir: Path, warehouse: Path, target: Path, keys: list[str], commands: list[list[str]]
) -> subprocess.CompletedProcess[str]:
    spec = {"project": project, "landing_dir": landing_dir, "warehouse": warehouse, "target": target}
    document = {**{name: str(path) for name, path in spec.items()}, "keys": keys, "commands": commands}
    target.mkdir(parents=True, exist_ok=True)
    (target / "spec.json").write_text(json.dumps(document))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "plugins"),
        "HEADRACE_WAREHOUSE": str(warehouse),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
        "DO_NOT_TRACK": "1",
    }
    script = Path(__file__).with_name("build_warehouse.py")
    return subprocess.run(
        [sys.executable, str(script), str(target / "spec.json")], env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="session")
def dbt() -> Callable[..., subprocess.CompletedProcess[str]]:
    return run_dbt


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """January and February 2013, landed and built one after the other, as the DAG does."""
    from headrace.examples.nycflights import write_landing_files

    folder = tmp_path_factory.mktemp("flights")
    built = Built(folder / "flights.duckdb", folder / "landing", folder / "target")
    write_landing_files(built.landing_dir, ["2013-01", "2013-02"])
    commands = [["build", "--vars", json.dumps({"partition_key": key})] for key in ("2013-01", "2013-02")]
    done = run_dbt(
        ROOT / "dbt_project", built.landing_dir, built.warehouse, built.target, ["2013-01", "2013-02"], commands
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return built


@pytest.fixture(scope="session")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Three years of penguins, built whole by one plain ``dbt build``."""
    folder = tmp_path_factory.mktemp("penguins")
    project = Path(shutil.copytree(PENGUINS / "dbt_project", folder / "dbt_project"))
    built = Built(folder / "penguins.duckdb", PENGUINS / "landing", folder / "target")
    done = run_dbt(project, built.landing_dir, built.warehouse, built.target, ["2007", "2008", "2009"], [["build"]])
    assert done.returncode == 0, done.stderr + done.stdout
    return built
