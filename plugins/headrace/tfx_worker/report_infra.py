"""Says what an infra check found; TFX interpreter."""

from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status


def report_infra_blessing(blessing: Any, partition_key: str | None) -> list[CheckResult]:
    """Report an InfraBlessing; the reason is there where our own InfraCheck wrote it."""
    blessed = blessing.get_int_custom_property("blessed") == 1
    reason = blessing.get_string_custom_property("reason") or "The infra check did not bless the model."
    return [
        CheckResult(
            tool="tfx",
            dataset="model",
            partition_key=partition_key,
            check="infra_check",
            column=None,
            severity=Severity.CRITICAL,
            status=Status.PASSED if blessed else Status.FAILED,
            message="The model loads and answers real examples." if blessed else reason,
        )
    ]
