"""What the report says of a partition, from what its runs left behind."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.airflow_api import TaskState
from headrace.cli.demo import went_the_whole_way
from headrace.cli.report import build_report
from headrace.cli.watch import WatchedRun
from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.files import write_json
from headrace.contracts.node_run import NodeOutcome
from headrace.settings import Settings, load_settings

METRICS = {"overall": {"auc": 0.7}, "baseline": None, "slices": []}


def check(status: Status, severity: Severity = Severity.CRITICAL) -> CheckResult:
    return CheckResult("gx", "raw_weather", "2013-02", "max", "wind_speed", severity, status, f"wind {status.value}")


class Runs:
    """A DataOps and a training run of one partition, and their folders."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        task = TaskState("land", "success", 1, 2.5, None, None)
        self.dataops = WatchedRun("flights_dataops", "r", "2013-02", "success", [task])
        self.training = WatchedRun("flight_delay_training", "r", "2013-02", "success", [])

    def folder(self, run: WatchedRun, task_id: str) -> Path:
        folder = self.settings.task_folder(run.dag_id, run.run_id, task_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def evaluated(self, blessed: bool, *checks: CheckResult) -> None:
        outcome = NodeOutcome("Evaluator", "COMPLETE", 1, checks=checks, blessed=blessed, metrics=METRICS)
        outcome.write(self.folder(self.training, "flight_delay.Evaluator"))

    def report(self) -> dict[str, Any]:
        return build_report(self.settings, "2013-02", [self.dataops, self.training])


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(load_settings(tmp_path))


def test_checks_are_counted_and_the_failing_ones_spelt_out(runs: Runs) -> None:
    checks = [check(Status.PASSED), check(Status.FAILED, Severity.WARNING), check(Status.ERROR)]
    write_json(runs.folder(runs.dataops, "check_raw") / "checks.json", {"checks": [each.to_json() for each in checks]})
    report = runs.report()
    assert report["checks"] == {"gx": {"critical": {"passed": 1, "failed": 1}, "warning": {"passed": 0, "failed": 1}}}
    assert [each["message"] for each in report["failing"]] == ["wind failed", "wind error"]
    assert report["runs"][0]["tasks"] == {"land": {"state": "success", "seconds": 2.5}}


def test_dbt_nodes_are_counted_by_kind_and_status(runs: Runs) -> None:
    results = [("model.p.a", "success"), ("model.p.b", "success"), ("test.p.t.1", "warn"), ("unit_test.p.u", "pass")]
    document = {"results": [{"unique_id": unique_id, "status": status} for unique_id, status in results]}
    (runs.folder(runs.dataops, "dbt.dbt_build") / "run_results.json").write_text(json.dumps(document))
    assert runs.report()["dbt"] == {"model": {"success": 2}, "test": {"warn": 1}, "unit_test": {"pass": 1}}


def test_no_model_is_no_model(runs: Runs) -> None:
    report = runs.report()
    assert (report["model"], report["scored"]) == (None, [])
    assert not went_the_whole_way(report)


def test_a_refused_model_is_not_blessed_and_not_the_whole_way(runs: Runs) -> None:
    runs.evaluated(False, check(Status.FAILED))
    report = runs.report()
    assert not report["model"]["blessed"]
    assert not went_the_whole_way(report)


def test_a_blessing_that_a_threshold_contradicts_is_none(runs: Runs) -> None:
    runs.evaluated(True, check(Status.FAILED))
    assert not runs.report()["model"]["blessed"]


def score_with(runs: Runs, monkeypatch: pytest.MonkeyPatch, script: str) -> dict[str, Any]:
    """Report on a pushed model that a stand-in for the TFX interpreter scores."""
    interpreter = runs.settings.state_dir / "tfx-python"
    interpreter.parent.mkdir(parents=True, exist_ok=True)
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_PYTHON", str(interpreter))
    runs.settings = load_settings(runs.settings.project_dir)
    runs.evaluated(True)
    NodeOutcome("Pusher", "COMPLETE", 2, pushed_to="/m").write(runs.folder(runs.training, "flight_delay.Pusher"))
    published = {"path": "/features/2013-02.parquet", "rows": 3}
    write_json(runs.folder(runs.dataops, "publish") / "published.json", published)
    return runs.report()


def test_a_pushed_model_that_scores_goes_the_whole_way(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    report = score_with(runs, monkeypatch, """echo '[{"probability": 0.4}]'""")
    assert report["scored"] == [{"probability": 0.4}]
    assert went_the_whole_way(report)


def test_a_pushed_model_that_cannot_score_is_reported_and_not_the_whole_way(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = score_with(runs, monkeypatch, "echo 'headrace: no such signature' >&2; exit 12")
    assert report["scored"] == []
    assert "no such signature" in report["score_error"]
    assert not went_the_whole_way(report)


@pytest.mark.parametrize("state", ["failed", "running"])
def test_a_run_that_did_not_succeed_is_not_the_whole_way(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    runs.training.state = state
    assert not went_the_whole_way(score_with(runs, monkeypatch, """echo '[{"probability": 0.4}]'"""))
