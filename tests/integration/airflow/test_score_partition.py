"""``ScorePartition`` in a DAG that runs: a stand-in plays the TFX interpreter, the rest is real."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from model_book import MODEL, register, train

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.lineage import name_published
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.impact import find_impact
from headrace.ledger.query_versions import load_lineage
from headrace.ledger.recording import record_results
from headrace.ledger.runs import DataVersion, LineageRun, record_runs
from headrace.ledger.views import TaskTry
from headrace.registry.deploy import promote, rollback
from headrace.settings import Settings, load_settings
from headrace.warehouse.connection import open_warehouse

KEY = "2013-02"
PREDICTS = """
import duckdb
from headrace.contracts.scoring import ScoreOutcome, ScoreRequest
request = ScoreRequest.load(folder)
duckdb.sql(f"copy (select id, {request.number} / 10 as p from '{request.data}') to '{folder}/predictions.parquet'")
ScoreOutcome(3, "feed", "serving_columns", {"p": "double"}, 0.1).write(folder)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    interpreter = tmp_path / "tfx-python"
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_PYTHON", str(interpreter))
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    settings = load_settings(tmp_path)
    interpret(settings, PREDICTS)
    output = {"type": "duckdb", "path": str(tmp_path / "headrace.duckdb")}
    settings.dbt_profiles.parent.mkdir(parents=True)
    settings.dbt_profiles.write_text(json.dumps({"p": {"target": "dev", "outputs": {"dev": output}}}))
    folder = settings.features_dir / "features"
    folder.mkdir(parents=True)
    duckdb.sql(f"copy (select range as id from range(3)) to '{folder / KEY}.parquet' (format parquet)")
    with open_ledger(settings.ledger_path) as ledger:
        register(ledger, settings, 1)
        register(ledger, settings, 2, ["2013-01", KEY])
    return settings


def interpret(settings: Settings, code: str) -> None:
    head = f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\nfolder = Path(sys.argv[-1])\n"
    settings.tfx_python.write_text(head + code)
    settings.tfx_python.chmod(0o755)


@pytest.fixture
def ledger(project: Settings) -> Any:
    with open_ledger(project.ledger_path) as ledger:
        yield ledger


def build_tasks() -> dict[str, Any]:
    from airflow.sdk import DAG, Asset

    from headrace import ScorePartition

    with DAG("scoring", schedule=None) as dag:
        ScorePartition(MODEL, Asset("features"), key_columns=["id"])
    return dag.task_dict


def execute(task_id: str, try_number: int = 1) -> Any:
    task = build_tasks()[f"score.{task_id}"]
    task.partition_key = KEY
    instance = SimpleNamespace(dag_id="scoring", task_id=task.task_id, map_index=-1, try_number=try_number)
    return task.execute({"run_id": "r", "ti": instance, "partition_key": KEY})


def read(settings: Settings) -> list[Any]:
    with open_warehouse(settings.project_dir / "headrace.duckdb", read_only=True) as connection:
        return connection.execute(
            f"select id, p, partition_key, model_version from predictions.{MODEL} order by id"
        ).fetchall()


def test_the_champion_scores_and_lineage_says_which_content(project: Settings, ledger: Ledger) -> None:
    task = TaskTry("dataops", "r1", "publish", -1, 1)
    raw, file = (
        DataVersion("raw", KEY, "old", "source"),
        DataVersion(name_published("features"), KEY, "feed", "features"),
    )
    record_runs(ledger, task, KEY, [LineageRun("publish.features", "publish", [raw], [file])])
    promote(ledger, project, MODEL, 2, "anna", "better")
    assert execute("predict")["number"] == 2
    done = execute("load")
    assert (done["relation"], done["rows"]) == (f"predictions.{MODEL}", 3)
    assert read(project) == [(0, 0.2, KEY, 2), (1, 0.2, KEY, 2), (2, 0.2, KEY, 2)]
    made = load_lineage(ledger, f"predictions_{MODEL}", KEY, downstream=False)
    found = {(each["dataset"], each["partition_key"], each["fingerprint"]) for each in made.versions.values()}
    assert {("raw", KEY, "old"), ("features.published", KEY, "feed")} <= found
    (version,) = [each for each in found if each[0] == f"{MODEL}.versions"]
    assert version[1] == "2"
    assert ("scoring", "r") in [(each["dag_id"], each["run_id"]) for each in find_impact(ledger, "raw", KEY).dag_runs]


def test_again_by_another_champion_replaces_the_rows(project: Settings, ledger: Ledger) -> None:
    promote(ledger, project, MODEL, 1, "anna", "first")
    execute("predict")
    execute("load")
    promote(ledger, project, MODEL, 2, "anna", "better")
    execute("predict")  # cleared: by the champion of now
    execute("load")
    assert {row[3] for row in read(project)} == {2}
    assert len(read(project)) == 3


def test_without_a_champion_nothing_is_scored_and_it_says_what_to_do(project: Settings, ledger: Ledger) -> None:
    with pytest.raises(AirflowSkipException, match=r"delays has no champion yet.*clear this task"):
        execute("predict")


def test_a_blocked_partition_is_neither_scored_nor_written(project: Settings, ledger: Ledger) -> None:
    promote(ledger, project, MODEL, 2, "anna", "better")
    execute("predict")
    result = CheckResult(
        "gx", "features", KEY, "not_null", None, Severity.CRITICAL, Status.FAILED, "3 rows have no distance"
    )
    record_results(ledger, TaskTry("dataops", "r1", "gate", -1, 1), [result])
    for task in ("predict", "load"):
        with pytest.raises(AirflowFailException, match="features 2013-02 is blocked by"):
            execute(task)


def test_what_is_upstream_of_what_was_published_blocks_it(project: Settings, ledger: Ledger) -> None:
    task = TaskTry("dataops", "r1", "publish", -1, 1)
    table, file = DataVersion("mart", KEY, "1", "model"), DataVersion(name_published("features"), KEY, "2", "features")
    record_runs(ledger, task, KEY, [LineageRun("publish.features", "publish", [table], [file])])
    result = CheckResult("dbt", "mart", KEY, "unique", None, Severity.CRITICAL, Status.FAILED, "2 rows of one key")
    record_results(ledger, TaskTry("dataops", "r1", "dbt", -1, 1), [result])
    promote(ledger, project, MODEL, 2, "anna", "better")
    with pytest.raises(AirflowFailException, match="mart 2013-02 is blocked by"):
        execute("predict")


def test_what_a_version_predicted_that_was_rolled_back_is_not_written(project: Settings, ledger: Ledger) -> None:
    promote(ledger, project, MODEL, 1, "anna", "first")
    promote(ledger, project, MODEL, 2, "anna", "better")
    execute("predict")
    rollback(ledger, project, MODEL, "ben", "wrong on EWR")
    with pytest.raises(AirflowFailException, match=r"delays@2 scored this partition.*rolled back by ben"):
        execute("load")


def test_a_killed_scoring_is_retried_and_half_a_file_is_never_loaded(project: Settings, ledger: Ledger) -> None:
    promote(ledger, project, MODEL, 2, "anna", "better")
    dies = "(folder / 'predictions.parquet').write_bytes(b'half')\nimport os\nos.kill(os.getpid(), 9)\n"
    interpret(project, dies)
    with pytest.raises(AirflowException, match="ended by signal 9"):
        execute("predict")
    with pytest.raises(AirflowException, match=r"no whole predictions.*Clear score.predict"):
        execute("load")
    interpret(project, PREDICTS)
    execute("predict", 2)
    assert execute("load")["rows"] == 3


def test_a_copy_in_the_registry_that_is_not_whole_does_not_score(project: Settings, ledger: Ledger) -> None:
    promote(ledger, project, MODEL, 2, "anna", "better")
    (project.registry_dir / MODEL / "2" / "model" / "saved_model.pb").unlink()
    with pytest.raises(AirflowException, match="delays@2 is not whole in the registry"):
        execute("predict")


def test_no_published_partition_and_no_key_are_said(project: Settings, ledger: Ledger) -> None:
    train(ledger, "more")
    promote(ledger, project, MODEL, 2, "anna", "better")
    (project.features_dir / "features" / f"{KEY}.parquet").unlink()
    with pytest.raises(AirflowFailException, match="publish partition 2013-02 first"):
        execute("predict")
    with pytest.raises(ValueError, match="key_columns"):
        from airflow.sdk import DAG, Asset

        from headrace import ScorePartition

        with DAG("d", schedule=None):
            ScorePartition(MODEL, Asset("features"), key_columns=[])
