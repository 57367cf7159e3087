"""What a pipeline says of its own checks, applied where its node's task records them; orchestration interpreter."""

from typing import Any

from headrace.airflow.operators.tfx_node import TfxNodeOperator
from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.node_run import NodeOutcome
from headrace.contracts.pipeline import CompiledPipeline
from headrace.settings import load_settings

DRIFTED = CheckResult(
    "tfdv", "examples", "2013-02", "drift_train", "carrier", Severity.CRITICAL, Status.FAILED, "carrier has drifted"
)
STEADY = CheckResult(
    "tfdv", "examples", "2013-02", "drift_train", "origin", Severity.CRITICAL, Status.PASSED, "origin is as it was"
)


def build_task(tmp_path: Any, monkeypatch: Any, **metadata: Any) -> TfxNodeOperator:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    compiled = load_settings().compiled_pipeline_dir("p")
    CompiledPipeline(name="p", nodes=(), parameters={}, sources={}, metadata=metadata).write(compiled)
    return TfxNodeOperator(task_id="Validator", pipeline="p", node="Validator", partition_key="2013-02")


def test_a_failure_that_the_pipeline_calls_a_warning_does_not_stop_its_node(tmp_path: Any, monkeypatch: Any) -> None:
    task = build_task(tmp_path, monkeypatch, owner="anna", tier="1", severity={"drift": "warning"}, ir_sha256="0")
    metadata = task._load_metadata(load_settings())
    filed = task._file_check(DRIFTED, metadata)
    assert filed.severity is Severity.WARNING
    assert filed.dataset == "p.examples"
    assert filed.meta == {"owner": "anna", "tier": "1"}
    result = task._judge(NodeOutcome("Validator", "COMPLETE", checks=(filed,)))
    assert result["state"] == "COMPLETE"


def test_the_log_has_failures_and_a_count(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    task = build_task(tmp_path, monkeypatch, severity={"drift": {"carrier": "info"}})
    metadata = task._load_metadata(load_settings())
    checks = tuple(task._file_check(check, metadata) for check in (DRIFTED, *[STEADY] * 40))
    capsys.readouterr()
    task._judge(NodeOutcome("Validator", "COMPLETE", checks=checks))
    said = capsys.readouterr().out
    assert "FAILED (info): carrier has drifted" in said
    assert "40 of 41 checks passed" in said
    assert "origin is as it was" not in said
