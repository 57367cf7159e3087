"""Says what an infra check found; TFX interpreter."""

from typing import Any

from headrace.contracts.check_result import CheckResult
from headrace.tfx_worker.checks import build_check


def report_infra_blessing(blessing: Any, partition_key: str | None) -> list[CheckResult]:
    """Report an InfraBlessing; the reason is there where our own InfraCheck wrote it."""
    blessed = blessing.get_int_custom_property("blessed") == 1
    reason = blessing.get_string_custom_property("reason") or "The infra check did not bless the model."
    expected = "The model loads and answers real examples"
    message = f"{expected}." if blessed else reason
    observed = None if blessed else reason
    return [
        build_check(
            "tfx", "infra_check", None, blessed, message, partition_key, observed=observed, expected=f"{expected}."
        )
    ]
