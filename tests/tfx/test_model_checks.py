"""What thresholds of TFMA and infra blessings become; both interpreters."""

from typing import Any

import pytest
from conftest import WarmWorker

from headrace.contracts.check_result import CheckResult, Status

VALUE, CHANGE, UNITED, LABEL = (
    ("auc_value", None),
    ("auc_change", None),
    ("auc_value", "carrier=UA"),
    (
        "mean_label_change",
        None,
    ),
)


@pytest.fixture(scope="module")
def cases(warm: WarmWorker) -> dict[str, dict[tuple[str, str | None], CheckResult]]:
    found: dict[str, Any] = warm.run_script("hold_thresholds")
    return {
        name: {(result["check"], result["column"]): CheckResult.from_json(result) for result in results}
        for name, results in found.items()
    }


def test_every_threshold_is_a_check_of_its_own_in_every_run(cases: dict[str, Any]) -> None:
    assert [set(checks) for checks in cases.values()] == [{VALUE, CHANGE, UNITED, LABEL}] * 4


def test_a_better_model_passes_with_its_numbers(cases: dict[str, Any]) -> None:
    checks = cases["better"]
    assert all(check.passed for check in checks.values())
    assert (checks[VALUE].observed, checks[VALUE].expected) == (0.70, {"min_value": 0.65})
    assert checks[CHANGE].observed == pytest.approx(0.02)
    assert checks[CHANGE].expected == {"min_value": -0.02}
    assert checks[UNITED].message == "AUC of carrier=UA 0.660 reaches the required 0.65."


def test_a_worse_model_fails_with_what_the_bound_is_on(cases: dict[str, Any]) -> None:
    checks = cases["worse"]
    assert {check.status for check in checks.values()} == {Status.FAILED}
    assert checks[CHANGE].observed == pytest.approx(-0.06)
    assert checks[LABEL].observed == pytest.approx(0.5), "a relative bound is on the relative change"
    assert checks[LABEL].expected == {"max_value": 0.1, "relative": 0.1}
    assert "0.060 below the blessed baseline's 0.700" in checks[CHANGE].message


def test_without_a_baseline_a_change_passes_and_says_why(cases: dict[str, Any]) -> None:
    check = cases["first"][CHANGE]
    assert check.passed
    assert check.observed is None
    assert check.message == "AUC 0.700 has no blessed baseline to be compared with."


def test_a_slice_that_has_no_value_could_not_be_evaluated(cases: dict[str, Any]) -> None:
    assert cases["without a slice"][UNITED].status is Status.ERROR


def test_an_infra_refusal_says_what_was_wrong_and_what_was_wanted(warm: WarmWorker) -> None:
    cases = warm.run_script("report_infra")
    [blessed], [refused], [unexplained] = (
        [CheckResult.from_json(result) for result in cases[name]]
        for name in ("blessed", "refused", "refused by TFX's InfraValidator")
    )
    assert blessed.passed
    assert blessed.observed is None
    assert {(check.tool, check.check, check.column) for check in (blessed, refused, unexplained)} == {
        ("tfx", "infra_check", None)
    }
    assert refused.status is Status.FAILED
    assert refused.observed == "The model has no signature serving_default; it has none."
    assert refused.expected == blessed.expected == "The model loads and answers real examples."
    assert unexplained.message == "The infra check did not bless the model."
