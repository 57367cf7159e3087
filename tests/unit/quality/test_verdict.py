"""What a gate decides."""

import pickle
from dataclasses import replace

import pytest

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.exceptions import CheckFailedError, NoResultsError
from headrace.quality.verdict import Decision, decide_verdict, require_usable


def result(severity: str, status: str, failed_rows: int | None = None) -> CheckResult:
    message = f"{severity} {status}"
    return CheckResult(
        "gx", "raw_weather", "2013-02", "check", "wind_speed", Severity(severity), Status(status), message,
        failed_rows=failed_rows,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("results", "decision"),
    [
        ([("critical", "passed")], Decision.PASS),
        ([("info", "failed")], Decision.PASS),
        ([("warning", "failed"), ("critical", "passed")], Decision.WARN),
        ([("critical", "failed"), ("critical", "passed")], Decision.BLOCK),
        ([("info", "error")], Decision.BLOCK),
        ([("warning", "error")], Decision.BLOCK),
        ([], Decision.BLOCK),
    ],
)
def test_severity_decides(results: list[tuple[str, str]], decision: Decision) -> None:
    assert decide_verdict([result(*each) for each in results]).decision is decision


def test_causes_come_worst_first() -> None:
    results = [
        result("info", "failed"),
        result("warning", "failed", 1),
        result("warning", "failed", 9),
        result("critical", "passed"),
        result("critical", "failed"),
        result("warning", "error"),
    ]
    causes = decide_verdict(results).causes
    assert [(cause.message, cause.failed_rows) for cause in causes] == [
        ("critical failed", None),
        ("warning error", None),
        ("warning failed", 9),
        ("warning failed", 1),
        ("info failed", None),
    ]


def test_nothing_checked_is_refused() -> None:
    with pytest.raises(NoResultsError, match="2013-02 raw_weather: no check gave a result"):
        require_usable(decide_verdict([]), "2013-02 raw_weather")


def test_a_refusal_spells_out_every_failing_check_and_survives_pickling() -> None:
    verdict = decide_verdict([result("critical", "failed"), result("warning", "error"), result("info", "passed")])
    with pytest.raises(CheckFailedError) as caught:
        require_usable(verdict, "2013-02 raw_weather")
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == (
        "2013-02 raw_weather blocked: 1 of 3 checks passed\n"
        "  critical: critical failed\n"
        "  warning (could not be evaluated): warning error"
    )
    assert len(error.attrs()["causes"]) == 2


def test_a_warning_is_no_refusal() -> None:
    require_usable(decide_verdict([result("warning", "failed")]), "2013-02 raw_weather")


def test_a_failure_whose_rows_were_all_set_aside_warns() -> None:
    aside = [replace(result("critical", "failed", 9), quarantined_rows=rows) for rows in (8, 9, 10)]
    assert [decide_verdict([each]).decision for each in aside] == [Decision.BLOCK, Decision.WARN, Decision.WARN]
    assert decide_verdict([replace(result("critical", "failed", 0), quarantined_rows=0)]).blocks
    assert decide_verdict([replace(result("critical", "error", 9), quarantined_rows=9)]).blocks
    assert "critical (its rows were set aside): critical failed" in decide_verdict([aside[1]]).describe()


@pytest.mark.parametrize("status", ["failed", "error"])
def test_an_excused_failure_does_not_count_and_is_shown_last_but_for_info(status: str) -> None:
    excused = replace(result("critical", status), excused="waived by anna: a known outage")
    verdict = decide_verdict([excused, result("warning", "failed")])
    assert (verdict.decision, verdict.checked) == (Decision.WARN, 2)
    assert verdict.causes[-1] is excused
    assert f"critical (waived by anna: a known outage): critical {status}" in verdict.describe()
    assert decide_verdict([excused]).decision is Decision.PASS
