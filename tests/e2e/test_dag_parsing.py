"""What the dag-processor does: load every DAG file, cheaply, and refuse a stale one by name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.dag_parse import HEAVY, PARSE
from tests.e2e.conftest import clean_environment, run_headrace

pytestmark = [pytest.mark.e2e, pytest.mark.tfx]


def parse(project: Path, home: Path) -> dict:
    environment = {
        **clean_environment(),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    command = [sys.executable, "-c", PARSE, str(project / "dags")]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def compiled(project: Path) -> Path:
    for arguments in ([], ["--project-dir", "penguins"]):
        done = run_headrace(project, "compile", *arguments)
        assert done.returncode == 0, done.stderr
    return project


def test_every_dag_loads_and_nothing_heavy_is_imported(compiled: Path, tmp_path: Path) -> None:
    parsed = parse(compiled, tmp_path)
    assert parsed["errors"] == {}
    assert parsed["dags"] == [
        "flight_delay_scoring",
        "flight_delay_training",
        "flights_dataops",
        "penguin_training",
        "penguins_dataops",
    ]
    assert {"tfx", "tensorflow", "dbt", "great_expectations"} <= set(HEAVY)
    assert parsed["heavy"] == []


def test_a_stale_pipeline_does_not_load_and_says_which_file_changed(compiled: Path, tmp_path: Path) -> None:
    file = compiled / "penguins" / "tfx_pipelines" / "penguin" / "pipeline.py"
    before = file.read_bytes()
    file.write_bytes(before + b"\n# edited\n")
    try:
        parsed = parse(compiled, tmp_path)
    finally:
        file.write_bytes(before)
    (error,) = parsed["errors"].values()
    assert "was compiled before penguin/pipeline.py changed: run 'headrace compile'" in error
    assert parsed["dags"] == ["flight_delay_scoring", "flight_delay_training", "flights_dataops"]


def test_a_dbt_selection_that_matches_nothing_does_not_load(compiled: Path, tmp_path: Path) -> None:
    file = compiled / "dags" / "flights_dataops.py"
    before = file.read_text()
    file.write_text(before.replace("+flight_features", "+flght_features"))
    try:
        parsed = parse(compiled, tmp_path)
    finally:
        file.write_text(before)
    (error,) = parsed["errors"].values()
    assert "dbt selection +flght_features matches no model" in error


def test_the_dag_files_are_short() -> None:
    for file in (Path(__file__).parents[2] / "dags").glob("*.py"):
        assert len(file.read_text().splitlines()) <= 30, file
