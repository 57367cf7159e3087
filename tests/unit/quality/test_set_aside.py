"""What a check says when its rows, or those of all checks together, are too many to be set aside."""

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.quality.set_aside import adjust_result

FAILED = CheckResult(
    "gx", "d", "2013-02", "expect_x", "c", Severity.WARNING, Status.FAILED, "3 rows are wrong", failed_rows=3
)


def test_too_many_rows_of_all_checks_together_are_said_as_such() -> None:
    said = adjust_result(FAILED, failed=3, total=100, set_aside=0, released={}, limit=0.05, together=7)
    assert said.severity is Severity.CRITICAL
    assert (said.failed_rows, said.quarantined_rows) == (3, 0)
    assert said.message == (
        "3 rows are wrong. All checks together would set aside 7 rows: that is 7 % of the partition's 100 rows, more "
        "than the 5 % that may be set aside (quarantine_limit), so none was"
    )


def test_too_many_rows_of_one_check_are_said_as_before() -> None:
    said = adjust_result(FAILED, failed=3, total=100, set_aside=0, released={}, limit=0.01)
    assert ". That is 3 % of the partition's 100 rows" in said.message
