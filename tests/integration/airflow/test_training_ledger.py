"""What training tells the ledger, and what it is refused by it: a stand-in plays TFX, the ledger is real."""

import hashlib
import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from model_book import push_model
from sqlalchemy import Table, select

from headrace.airflow.operators.tfx_node import TfxNodeOperator
from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.files import fingerprint_files, read_json
from headrace.contracts.lineage import Dataset, Lineage
from headrace.contracts.pipeline import Build, CompiledPipeline, Node
from headrace.exceptions import InvalidActionError
from headrace.ledger import schema
from headrace.ledger.actions import waive
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.query_models import list_versions
from headrace.ledger.recording import record_results
from headrace.ledger.verdicts import load_verdict
from headrace.ledger.views import TaskTry
from headrace.registry.sources import unpack_sources
from headrace.settings import load_settings

KEY = "2013-02"
WINDOW = ("2013-01", KEY)
WEATHER = CheckResult(
    "gx", "raw_weather", KEY, "expect_column_max_to_be_between", "wind_speed", Severity.CRITICAL, Status.FAILED,
    "2013-02 raw_weather: 1 row has wind_speed above 200 mph", check_id="e1",
)  # fmt: skip
DRIFT = CheckResult(
    "tfdv", "examples", KEY, "schema_train", "carrier", Severity.CRITICAL, Status.FAILED, "carrier has a new value ZZ"
)

NODES = (
    Node("ExampleGen", "tfx.ExampleGen", (), ("Examples",)),
    Node("ExampleGen.weather", "tfx.ExampleGen", (), ("Examples",)),
    Node("ExampleValidator", "tfx.ExampleValidator", ("ExampleGen",), ("ExampleAnomalies",)),
    Node("StatisticsGen", "tfx.StatisticsGen", ("ExampleGen.weather",), ("ExampleStatistics",)),
    Node("Trainer", "tfx.Trainer", ("ExampleGen",), ("Model",)),
    Node("Evaluator", "tfx.Evaluator", ("Trainer",), ("ModelEvaluation",)),
    Node("Pusher", "tfx.Pusher", ("Trainer",), ("PushedModel",)),
    Node("push_to_serving", "tfx.extensions.Pusher", ("Trainer",), ("PushedModel",)),
)


class Project:
    """A project with a pipeline ``p`` that reads ``features``, which are made from ``raw_weather``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.interpreter = folder / "tfx-python"
        self.started = folder / "started"
        settings = load_settings()
        datasets = [Dataset(name) for name in ("raw_weather", "features", "p.examples", "p.model")]
        edges = [("raw_weather", "features"), ("features", "p.examples"), ("p.examples", "p.model")]
        Lineage.of(str(folder), datasets, edges).write(settings.lineage_file)
        about = {"owner": "ml@example.com", "runbook": "https://r", "tier": "gold", "pipeline_name": "p"}
        CompiledPipeline("p", NODES, {}, {}, about).write(settings.compiled_pipeline_dir("p"))
        self.ledger_path = settings.ledger_path
        self.leave("NodeOutcome(node, 'COMPLETE', 3)")

    def leave(self, outcome: str, checks: Sequence[CheckResult] = (), more: str = "") -> None:
        """Say what the next nodes come to: an expression of ``node`` and ``checks``."""
        documents = json.dumps([check.to_json() for check in checks])
        self.interpreter.write_text(
            f"#!{sys.executable}\n"
            "import json, sys\nfrom pathlib import Path\n"
            "from headrace.contracts.node_run import NodeOutcome, NodeRequest\n"
            "from headrace.contracts.check_result import CheckResult\n"
            "from headrace.contracts.statistics import write_statistics\n"
            "folder = Path(sys.argv[-1])\nnode = NodeRequest.load(folder).node\n"
            f"open({str(self.started)!r}, 'a').write(node + chr(10))\n"
            f"checks = tuple(CheckResult.from_json(each) for each in json.loads({documents!r}))\n"
            f"{more}\n{outcome}.write(folder)\n"
        )
        self.interpreter.chmod(0o755)

    def run(self, node: str, try_number: int = 1, run_id: str = "r") -> Any:
        task = TfxNodeOperator(
            task_id=f"p.{node}", dag=None, pipeline="p", node=node, project_dir=self.folder, partition_key=KEY,
            parameters={"window": 2},
        )  # fmt: skip
        task_instance = SimpleNamespace(dag_id="dag", task_id=f"p.{node}", map_index=-1, try_number=try_number)
        context: Any = {"run_id": run_id, "ti": task_instance}
        return task.execute(context)

    def find(self, result: CheckResult, run_id: str = "earlier") -> None:
        """Let another task record something."""
        with self.open() as ledger:
            record_results(ledger, TaskTry("dataops", run_id, "check_raw"), [result])

    def open(self) -> Ledger:
        return open_ledger(self.ledger_path)

    def rows(self, table: Table) -> list[Any]:
        with self.open() as ledger, ledger.connect() as connection:
            return list(connection.execute(select(table)))

    def decision(self, dataset: str) -> str | None:
        with self.open() as ledger:
            verdict = load_verdict(ledger, dataset, KEY)
        return verdict and verdict.decision

    @property
    def nodes_started(self) -> list[str]:
        return self.started.read_text().split() if self.started.exists() else []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_RUNTIME", "off")  # the stand-in plays fresh processes only
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_PYTHON", str(tmp_path / "tfx-python"))
    monkeypatch.setattr(TfxNodeOperator, "dag_id", "dag", raising=False)
    return Project(tmp_path)


def test_a_node_is_refused_while_what_it_is_made_from_is_blocked(project: Project) -> None:
    project.find(WEATHER)
    with pytest.raises(AirflowFailException) as refused:
        project.run("Trainer")
    message = str(refused.value)
    assert "Trainer of p was refused: raw_weather 2013-02 is blocked by expect_column_max_to_be_between" in message
    assert "1 row has wind_speed above 200 mph" in message
    assert "headrace incidents list --dataset raw_weather" in message
    assert project.nodes_started == []


def test_a_waiver_lets_it_run(project: Project) -> None:
    project.find(WEATHER)
    (incident,) = project.rows(schema.incident)
    with project.open() as ledger:
        waive(ledger, incident.id, "anna", [KEY], "the sensor was hit by a bird")
    assert project.run("Trainer")["state"] == "COMPLETE"


def test_the_verdict_on_another_partition_is_none_of_its_business(project: Project) -> None:
    project.find(replace(WEATHER, partition_key="2013-03"))
    assert project.run("Trainer")["state"] == "COMPLETE"


def test_a_dataset_that_is_blocked_as_a_whole_blocks_every_partition(project: Project) -> None:
    project.find(replace(WEATHER, partition_key=None))
    with pytest.raises(AirflowFailException, match="raw_weather is blocked by"):
        project.run("Trainer")


def test_after_its_examples_are_known_every_partition_of_the_window_counts(project: Project) -> None:
    project.find(replace(WEATHER, partition_key="2013-01"))
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, partitions={WINDOW!r})")
    with pytest.raises(AirflowFailException, match="ExampleGen of p was refused: raw_weather 2013-01 is blocked"):
        project.run("ExampleGen")
    with pytest.raises(AirflowFailException, match="Trainer of p was refused: raw_weather 2013-01 is blocked"):
        project.run("Trainer")
    assert project.nodes_started == ["ExampleGen"]


def test_a_partition_that_is_blocked_in_mid_training_does_not_get_pushed(project: Project) -> None:
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, partitions={WINDOW!r})")
    project.run("ExampleGen")
    project.leave("NodeOutcome(node, 'COMPLETE', 3)")
    project.run("Trainer")
    project.find(replace(WEATHER, partition_key="2013-01"))
    with pytest.raises(AirflowFailException, match="Pusher of p was refused: raw_weather 2013-01"):
        project.run("Pusher")
    assert project.nodes_started == ["ExampleGen", "Trainer"]


def test_an_anomaly_is_recorded_before_the_task_is_red_and_keeps_the_model_from_being_pushed(project: Project) -> None:
    project.leave("NodeOutcome(node, 'COMPLETE', 3, checks=checks)", [DRIFT])
    with pytest.raises(AirflowFailException, match="carrier has a new value ZZ"):
        project.run("ExampleValidator")
    (incident,) = project.rows(schema.incident)
    assert (incident.dataset, incident.state, incident.severity) == ("p.examples", "open", "critical")
    assert (incident.owner, incident.runbook, incident.tier) == ("ml@example.com", "https://r", "gold")
    assert project.decision("p.examples") == "block"
    project.leave("NodeOutcome(node, 'COMPLETE', 3)")
    project.run("Trainer")  # beside the validation, whose next run may say otherwise
    with pytest.raises(AirflowFailException, match=r"Pusher of p was refused: p\.examples 2013-02 is blocked"):
        project.run("Pusher")
    passed = replace(DRIFT, status=Status.PASSED, message="carrier is as the schema says")
    project.leave("NodeOutcome(node, 'COMPLETE', 3, checks=checks)", [passed])
    project.run("ExampleValidator", try_number=2)
    assert project.rows(schema.incident)[0].state == "resolved"
    project.run("Pusher")


def test_a_pipeline_that_does_not_know_its_partition_pushes_no_model_on_blocked_examples(project: Project) -> None:
    project.leave("NodeOutcome(node, 'COMPLETE', 3, checks=checks)", [replace(DRIFT, partition_key=None)])
    with pytest.raises(AirflowFailException, match="carrier has a new value ZZ"):
        project.run("ExampleValidator")
    assert project.decision("p.examples") == "block"
    with pytest.raises(AirflowFailException, match=r"Pusher of p was refused: p\.examples 2013-02 is blocked"):
        project.run("Pusher")
    with pytest.raises(AirflowFailException, match=r"push_to_serving of p was refused: p\.examples 2013-02 is blocked"):
        project.run("push_to_serving")


def test_a_waived_anomaly_lets_the_validation_pass(project: Project) -> None:
    project.leave("NodeOutcome(node, 'COMPLETE', 3, checks=checks)", [DRIFT])
    with pytest.raises(AirflowFailException):
        project.run("ExampleValidator")
    with project.open() as ledger:
        again = waive(ledger, project.rows(schema.incident)[0].id, "anna", [KEY], "a new carrier it is")
    assert [each.task_id for each in again] == ["p.ExampleValidator"]
    project.run("ExampleValidator", try_number=2)
    assert project.decision("p.examples") == "pass"


def test_what_a_model_was_trained_on_and_where_it_went_is_recorded(project: Project) -> None:
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, partitions={WINDOW!r})")
    project.run("ExampleGen")
    project.leave("NodeOutcome(node, 'COMPLETE', 3, blessed=True)")
    project.run("Evaluator")
    pushed = push_model(project.folder / "pushed" / "p" / "1700000001")
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, pushed_to={str(pushed)!r})")
    project.run("Pusher")
    (model,) = project.rows(schema.trained_model)
    assert (model.pipeline, model.run_id, model.partition_key) == ("p", "r", KEY)
    assert (model.blessed, model.pushed_to) == (True, str(pushed))
    seen = {(row.dataset, row.partition_key) for row in project.rows(schema.trained_on)}
    assert seen == {(name, key) for name in ("features", "p.examples") for key in WINDOW}


def test_a_pushed_model_is_a_version_with_what_its_run_told(project: Project) -> None:
    compiled = load_settings().compiled_pipeline_dir("p")
    Build("1" * 64, "c0ffee", True, "2" * 64, "2026-11-24T09:00:00Z").write(compiled)
    model = project.folder / "tfx_pipelines" / "p" / "model.py"
    model.parent.mkdir(parents=True)
    model.write_text("steps = 300")
    ran = fingerprint_files(model.parents[1], ["p/model.py"])
    earlier = push_model(project.folder / "models" / "1" / "Format-Serving", "earlier")
    pushed = push_model(project.folder / "pushed" / "p" / "1700000001", "earlier")
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, pushed_to={str(pushed)!r})")
    project.run("Pusher", run_id="before")

    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, partitions={WINDOW!r})")
    project.run("ExampleGen")
    schema_file = project.folder / "schema" / "schema.pbtxt"
    schema_file.parent.mkdir()
    schema_file.write_text("feature {}")
    read = {"schema": [{"uri": str(schema_file.parent), "type": "Schema"}]}
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, features=('distance',), inputs={read!r}, code={ran!r})")
    project.run("Trainer")
    metrics = {"overall": {"auc": 0.7}, "baseline": {"auc": 0.69}, "slices": []}
    compared = {"baseline_model": [{"uri": str(earlier.parent), "type": "Model"}]}
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, blessed=True, metrics={metrics!r}, inputs={compared!r})")
    project.run("Evaluator")
    pushed = push_model(project.folder / "pushed" / "p" / "1700000002", "newer")
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, pushed_to={str(pushed)!r}, signature={{'serving': {{}}}})")
    project.run("Pusher")
    project.run("Pusher", try_number=2)  # its task was cleared

    with project.open() as ledger:
        newest, first = list_versions(ledger, "p")
    assert (first.number, first.metrics, first.baseline) == (1, {}, None)
    assert (newest.number, newest.run_id, newest.partition_key) == (2, "r", KEY)
    assert newest.baseline == {"version": 1, "metrics": {"auc": 0.69}}
    assert (newest.metrics, newest.features, newest.signature) == (metrics, ["distance"], {"serving": {}})
    assert (newest.ir, newest.commit, newest.dirty, newest.lock) == ("1" * 64, "c0ffee", True, "2" * 64)
    assert newest.schema_digest == hashlib.sha256(b"feature {}").hexdigest()
    assert {each["partition_key"] for each in newest.verdicts} == set(WINDOW)
    folder = load_settings().registry_dir / "p" / "2"
    assert newest.code == ran, "what the nodes ran, though the compile never saw it"
    assert unpack_sources(folder / "sources.tar.gz", project.folder / "unpacked", newest.code) == []
    assert read_json(folder / "version.json")["parameters"] == {"window": 2}


def test_a_push_to_another_system_is_not_registered(project: Project) -> None:
    project.leave("NodeOutcome(node, 'COMPLETE', 3, pushed_to='projects/x/models/y')")
    project.run("Pusher")
    assert project.rows(schema.model_version) == []


def test_half_a_push_fails_the_pusher_and_the_next_try_looks_again(project: Project) -> None:
    pushed = push_model(project.folder / "pushed" / "p" / "1700000001")
    graph = pushed / "saved_model.pb"
    graph.rename(project.folder / "elsewhere")
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, pushed_to={str(pushed)!r})")
    with pytest.raises(AirflowException, match=r"holds no saved_model\.pb"):
        project.run("Pusher")
    assert project.rows(schema.model_version) == []
    (project.folder / "elsewhere").rename(graph)
    project.run("Pusher", try_number=2)
    assert len(project.rows(schema.model_version)) == 1


def test_the_content_that_an_example_gen_read_is_kept_where_publishing_kept_none(project: Project) -> None:
    features = load_settings().features_dir / "features"
    features.mkdir(parents=True)
    (features / "2013-01.parquet").write_bytes(b"as it was read")
    (features / f"{KEY}.parquet").write_bytes(b"replaced since")
    digests = {"2013-01": hashlib.sha256(b"as it was read").hexdigest(), KEY: hashlib.sha256(b"before").hexdigest()}
    examples = {
        "examples": [{"properties": {"partition_digests": json.dumps(digests)}, "type": "Examples", "uri": "/e"}]
    }
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, partitions={WINDOW!r}, outputs={examples!r})")
    project.run("ExampleGen")
    (kept,) = (features / ".versions").iterdir()
    assert (kept.stem, kept.read_bytes()) == (digests["2013-01"], b"as it was read")


def test_what_two_example_gens_read_is_put_together(project: Project) -> None:
    project.leave(f"NodeOutcome(node, 'COMPLETE', 3, partitions={WINDOW!r})")
    project.run("ExampleGen")
    project.leave("NodeOutcome(node, 'COMPLETE', 3, partitions=('2012-12',))")
    project.run("ExampleGen.weather")
    seen = {row.partition_key for row in project.rows(schema.trained_on) if row.dataset == "p.examples"}
    assert seen == {"2012-12", *WINDOW}
    project.leave("NodeOutcome(node, 'COMPLETE', 3, partitions=('2012-12',))")
    project.run("StatisticsGen")  # of one of them
    seen = {row.partition_key for row in project.rows(schema.trained_on) if row.dataset == "p.examples"}
    assert seen == {"2012-12", *WINDOW}
    project.find(replace(WEATHER, partition_key="2013-01"))
    with pytest.raises(AirflowFailException, match="Trainer of p was refused: raw_weather 2013-01"):
        project.run("Trainer")
    project.find(replace(WEATHER, partition_key="2013-01", status=Status.PASSED))
    project.find(replace(WEATHER, partition_key="2012-12"))
    with pytest.raises(AirflowFailException, match="Trainer of p was refused: raw_weather 2012-12"):
        project.run("Trainer")


def test_a_refused_model_is_recorded_as_such(project: Project) -> None:
    refused = CheckResult("tfma", "model", KEY, "auc", None, Severity.CRITICAL, Status.FAILED, "AUC 0.6 is below 0.65")
    project.leave("NodeOutcome(node, 'COMPLETE', 3, checks=checks, blessed=False)", [refused])
    with pytest.raises(AirflowFailException, match="NOT BLESSED"):
        project.run("Evaluator")
    assert project.decision("p.model") == "block"
    assert project.rows(schema.trained_model)[0].blessed is False
    with project.open() as ledger, pytest.raises(InvalidActionError, match="not pushed on anybody's word"):
        waive(ledger, project.rows(schema.incident)[0].id, "anna", [KEY], "good enough")
    with pytest.raises(AirflowFailException, match="NOT BLESSED"):
        project.run("Evaluator", try_number=2)
    project.leave("NodeOutcome(node, 'COMPLETE', 3)")
    assert project.run("Trainer", run_id="next")["state"] == "COMPLETE", "the next model may be better"


def test_statistics_are_kept_for_the_charts(project: Project) -> None:
    project.leave(
        "NodeOutcome(node, 'COMPLETE', 3)",
        more="write_statistics(folder, {'train': {'distance': {'type': 'int', 'mean': 7.5}}})",
    )
    project.run("StatisticsGen")
    (row,) = project.rows(schema.feature_statistics)
    assert (row.dataset, row.partition_key, row.split, row.feature) == ("p.examples", KEY, "train", "distance")
    assert row.statistics == {"type": "int", "mean": 7.5}


def test_a_locked_ledger_fails_the_task_and_its_retry_takes_the_result(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.ledger.database.WAIT_SECONDS", 1)
    project.run("SchemaGen")  # makes the ledger
    project.leave("NodeOutcome(node, 'COMPLETE', 3, checks=checks)", [DRIFT])
    other = sqlite3.connect(project.ledger_path, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(AirflowException, match=r"The ledger .* another process has been writing to it") as failed:
        project.run("ExampleValidator")
    assert not isinstance(failed.value, AirflowFailException), "it is tried again"
    other.execute("rollback")
    with pytest.raises(AirflowFailException, match="carrier has a new value ZZ"):
        project.run("ExampleValidator", try_number=2)
    assert project.nodes_started == ["SchemaGen", "ExampleValidator"], "the node did not run again"
    (attempt,) = [row for row in project.rows(schema.attempt) if row.task_id.endswith("ExampleValidator")]
    assert attempt.try_number == 2


def test_a_ledger_that_cannot_be_reached_fails_the_task_without_a_password(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__HEADRACE__LEDGER_CONN_ID", "ledger")
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", "postgres://me:hush-hush@127.0.0.1:1/ledger")
    with pytest.raises(AirflowException, match="cannot be reached") as failed:
        project.run("Trainer")
    assert not isinstance(failed.value, AirflowFailException)
    assert "hush-hush" not in f"{failed.value!r} {failed.value.__cause__!r}"
    monkeypatch.delenv("AIRFLOW_CONN_LEDGER")
    with pytest.raises(AirflowFailException, match="There is no connection 'ledger'"):
        project.run("Trainer")
    assert project.nodes_started == []


def test_a_project_compiled_without_lineage_goes_on(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    load_settings().lineage_file.unlink()
    project.leave("NodeOutcome(node, 'COMPLETE', 3, checks=checks)", [DRIFT])
    with pytest.raises(AirflowFailException, match="carrier has a new value ZZ"):
        project.run("ExampleValidator")
    assert len(project.rows(schema.incident)) == 1
    assert "run 'headrace compile'" in caplog.text
