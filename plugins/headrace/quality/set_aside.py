"""What setting rows aside makes of a check's result: pure decisions; either interpreter."""

from collections.abc import Mapping
from dataclasses import replace

from headrace.contracts.check_result import CheckResult, Severity, Status


def adjust_result(
    result: CheckResult,
    *,
    failed: int,
    total: int,
    set_aside: int,
    released: Mapping[str, int],
    limit: float,
    together: int | None = None,
) -> CheckResult:
    """Return a failed result as it is after its rows were placed.

    All failing rows set aside: it has failed and ``quarantined_rows`` says that they do not go on. All released: it is
    excused. Some of both: what was released is no longer counted. More than the limit: nothing was set aside, and the
    result is critical whatever the check's severity.

    Args:
        result: Of a check that sets rows aside.
        failed: Failing rows, those set aside included.
        total: Rows of the partition, those set aside included.
        set_aside: Failing rows that do not go on.
        released: ``anna: reason`` to the number of failing rows that she let go on.
        limit: Largest share of the partition's rows that may be set aside.
        together: Rows that all checks would have set aside, where it is that sum which is more than the limit.
    """
    if result.status is not Status.FAILED:
        return result
    let_go = sum(released.values())
    if failed and let_go >= failed:
        return replace(result, failed_rows=failed, excused=f"released by {'; '.join(released)}")
    remaining = failed - let_go
    message = result.message
    if let_go:
        message += f"; {let_go:,} of them released by {'; '.join(released)}"
    if set_aside < remaining:
        share = (together or remaining) / total if total else 1.0
        what = f"All checks together would set aside {together:,} rows: that" if together else "That"
        message += (
            f". {what} is {_percent(share)} of the partition's {total:,} rows, more than the {_percent(limit)} that "
            "may be set aside (quarantine_limit), so none was"
        )
        return replace(result, failed_rows=remaining, severity=Severity.CRITICAL, message=message)
    return replace(result, failed_rows=remaining, quarantined_rows=set_aside, message=message)


def _percent(share: float) -> str:
    return f"{share * 100:.6g} %"


def describe_rule(result: CheckResult) -> str:
    """Say what a row that is set aside is against: it goes with the row into the warehouse."""
    subject = f"{result.check} of {result.column}" if result.column else result.check
    bounds = ", ".join(f"{name} {value}" for name, value in (result.expected or {}).items())
    return f"{subject} ({bounds})" if bounds else subject
