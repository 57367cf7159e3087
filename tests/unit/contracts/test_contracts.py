"""Documents that cross the interpreters: what is written is what is read, and nothing else is."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.files import ContractError, read_json, write_json
from headrace.contracts.node_run import OUTCOME_FILE, NodeOutcome, NodeRequest
from headrace.contracts.pipeline import NODES_FILE, CompiledPipeline, Node

CHECK = CheckResult(
    tool="tfdv",
    dataset="flight_features",
    partition_key="2013-02",
    check="anomaly",
    column="wind_speed",
    severity=Severity.CRITICAL,
    status=Status.FAILED,
    message="wind_speed has values above 200",
    observed=1048.36,
    expected={"max": 200},
    failed_rows=1,
    total_rows=2010,
    sample=({"origin": "EWR", "wind_speed": 1048.36},),
)


def test_a_check_result_survives_json() -> None:
    assert CheckResult.from_json(json.loads(json.dumps(CHECK.to_json()))) == CHECK


def test_what_json_has_no_word_for_does_not_keep_a_result_from_being_told(tmp_path: Path) -> None:
    nan = float("nan")
    odd = replace(CHECK, observed=nan, expected={"max": float("inf")}, meta={"unit": b"mph"}, sample=({"wind": nan},))
    metrics = {"overall": {"auc": nan}, "baseline": None, "slices": [{"slice": {}, "metrics": {}}] * 300}
    outputs = {"model": [{"uri": "/m", "properties": {"loss": nan}}]}
    NodeOutcome("Evaluator", "COMPLETE", checks=(odd,), metrics=metrics, outputs=outputs).write(tmp_path)
    outcome = NodeOutcome.load(tmp_path)
    (check,) = outcome.checks
    assert (check.observed, check.expected, check.meta) == ("NaN", {"max": "Infinity"}, {"unit": "mph"})
    assert check.sample == ({"wind": "NaN"},)
    assert outcome.metrics is not None
    assert outcome.metrics["overall"] == {"auc": "NaN"}
    assert len(outcome.metrics["slices"]) == 300
    assert outcome.outputs["model"][0]["properties"] == {"loss": "NaN"}


def test_an_outcome_survives_its_file(tmp_path: Path) -> None:
    outcome = NodeOutcome(
        node="Evaluator",
        state="COMPLETE",
        execution_id=7,
        checks=(CHECK,),
        blessed=False,
        partitions=("2013-01", "2013-02"),
    )
    outcome.write(tmp_path)
    assert NodeOutcome.load(tmp_path) == outcome


def test_an_outcome_of_before_partitions_were_told_is_read(tmp_path: Path) -> None:
    NodeOutcome(node="Trainer", state="COMPLETE").write(tmp_path)
    document = read_json(tmp_path / OUTCOME_FILE)
    del document["partitions"]
    write_json(tmp_path / OUTCOME_FILE, document)
    assert NodeOutcome.load(tmp_path) == NodeOutcome(node="Trainer", state="COMPLETE")


def test_a_request_survives_its_file(tmp_path: Path) -> None:
    request = NodeRequest("p", "Trainer", "/c", "/p", "manual__2013-01", {"partition_key": "2013-01"})
    request.write(tmp_path)
    assert NodeRequest.load(tmp_path) == request


def test_a_compiled_pipeline_names_the_files_that_changed(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "pipeline.py").write_text("one")
    compiled = CompiledPipeline(
        name="p",
        nodes=(Node("A", "t", (), ("Examples",)), Node("B", "t", ("A",))),
        parameters={"partition_key": None},
        sources={"p/pipeline.py": "0" * 64, "p/gone.py": "0" * 64},
        metadata={},
    )
    compiled.write(tmp_path / "compiled")
    loaded = CompiledPipeline.load(tmp_path / "compiled")
    assert loaded == compiled
    assert loaded.changed_sources(tmp_path) == ["p/pipeline.py", "p/gone.py"]


def test_a_pipeline_that_was_compiled_before_outputs_were_told_is_to_be_compiled_again(tmp_path: Path) -> None:
    CompiledPipeline("p", (Node("A", "t", ()),), {}, {}, {}).write(tmp_path)
    document = read_json(tmp_path / NODES_FILE)
    del document["pipeline"]["nodes"][0]["outputs"]
    write_json(tmp_path / NODES_FILE, document)
    with pytest.raises(ContractError, match="not a compiled pipeline of this Headrace: KeyError\\('outputs'\\)"):
        CompiledPipeline.load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"contract_version": 999}', "null"])
def test_what_is_not_a_document_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(ContractError, match=r"x\.json"):
        read_json(file)


def test_a_half_written_document_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"
    write_json(file, {"value": "old"})

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(file, {"value": "new"})
    monkeypatch.undo()
    assert read_json(file)["value"] == "old"
    assert os.listdir(tmp_path) == ["x.json"]


def test_nan_is_refused_because_it_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
