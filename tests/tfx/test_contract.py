"""What one interpreter writes the other reads; both interpreters."""

from pathlib import Path

from conftest import WarmWorker

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.node_run import NodeOutcome, NodeRequest
from headrace.contracts.statistics import load_statistics, write_statistics


def test_outcome_request_and_statistics_survive_both_interpreters(warm: WarmWorker, tmp_path: Path) -> None:
    check = CheckResult(
        "tfdv", "examples", "2013-02", "schema_train", "carrier", Severity.WARNING, Status.ERROR, "…", observed=["1 %"],
        sample=({"carrier": "ZZ"},),
    )  # fmt: skip
    outcome = NodeOutcome(
        node="Evaluator", state="CACHED", execution_id=3, seconds=1.5, blessed=False,
        outputs={"model": [{"uri": "/m", "type": "Model"}]},
        partitions=("2013-01", "2013-02"),
        checks=(check,), metrics={"overall": {"auc": 0.7}, "baseline": None, "slices": []},
    )  # fmt: skip
    request = NodeRequest("p", "Trainer", "/c", "/p", "manual__2013-01-01T00:00:00+00:00", {"window": 3}, rerun=True)
    source, target = tmp_path / "source", tmp_path / "target"
    outcome.write(source)
    request.write(source)
    statistics = {"train": {"carrier": {"type": "string", "mean": None, "top": [["naïve \u2028", 0.1]]}}, "eval": {}}
    write_statistics(source, statistics)
    version = warm.run_script("echo_contract", source, target)
    assert version == [3, 10]
    assert NodeOutcome.load(target) == outcome
    assert NodeRequest.load(target) == request
    assert load_statistics(target) == statistics
