"""Severities that a user says in place of the tools' own."""

import pytest

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.exceptions import ConfigurationError
from headrace.quality.severity import check_severity_rules, override_severity


def build_result(check: str, column: str | None) -> CheckResult:
    return CheckResult("tfdv", "flight_delay.examples", "2013-02", check, column, Severity.CRITICAL, Status.FAILED, "…")


@pytest.mark.parametrize(
    ("check", "column", "wanted"),
    [
        ("drift_train", "carrier", Severity.WARNING),
        ("drift_train", None, Severity.WARNING),
        ("drift", "carrier", Severity.WARNING),
        ("drift_eval", "carrier", Severity.INFO),
        ("drift_eval", "origin", Severity.WARNING),  # the longer rule does not speak of it
        ("drifting", "carrier", Severity.CRITICAL),
        ("skew_train", "carrier", Severity.WARNING),
        ("skew_train", "origin", Severity.INFO),
        ("skew_train", None, Severity.INFO),
        ("schema_train", "carrier", Severity.CRITICAL),
        ("schema_train", None, Severity.CRITICAL),
        ("auc_change", None, Severity.WARNING),
        ("auc_value", None, Severity.CRITICAL),
    ],
)
def test_the_longest_rule_that_speaks_of_a_column_wins(check: str, column: str | None, wanted: Severity) -> None:
    rules = {
        "drift": "warning",
        "drift_eval": {"carrier": "info"},
        "skew": {"carrier": "warning", "*": "info"},
        "schema": {"origin": "info"},
        "auc_change": "warning",
    }
    result = override_severity(build_result(check, column), rules)
    assert result == CheckResult.from_json({**build_result(check, column).to_json(), "severity": wanted.value})


def test_no_rules_change_nothing() -> None:
    result = build_result("schema_train", "carrier")
    assert override_severity(result, {}) is result


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"drift": "error"}, "the severity of drift is 'error': it may be info, warning, critical"),
        ({"drift": {"carrier": 1}}, "the severity of drift.carrier is 1"),
        ({"drift": ["warning"]}, r"the severity of drift is \['warning'\]"),
        (["drift"], "write a mapping of check to severity"),
        ("warning", "write a mapping of check to severity"),
    ],
)
def test_rules_that_nobody_understands_are_refused(rules: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_severity_rules(rules)


def test_rules_that_are_understood_are_given_back() -> None:
    rules = {"drift": "warning", "schema": {"carrier": "info", "*": "warning"}}
    assert check_severity_rules(rules) is rules
