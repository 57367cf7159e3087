"""Builds the check results of TFX nodes; TFX interpreter."""

import math
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status

# What each tool checks: the dataset's name within its pipeline.
_DATASETS = {"tfdv": "examples", "tfma": "model", "tfx": "model"}


def build_check(
    tool: str,
    check: str,
    column: str | None,
    status: Status | bool,
    message: str,
    partition_key: str | None,
    *,
    severity: Severity = Severity.CRITICAL,
    observed: Any = None,
    expected: Any = None,
    unit: str | None = None,
) -> CheckResult:
    """Build a result of a node's check.

    Args:
        tool: ``tfdv``, ``tfma`` or ``tfx``.
        check: Name; with ``column`` it is what one incident is about, so both must not vary with what was found.
        column: Feature or slice.
        status: A boolean says whether it passed.
        message: One plain sentence.
        partition_key: Of the run.
        severity: Of a failure.
        observed: What was found; a number where there is one, so that a chart can be drawn.
        expected: What was wanted; bounds are ``min_value`` and ``max_value``, as Great Expectations names them.
        unit: Of the number.
    """
    if isinstance(status, bool):
        status = Status.PASSED if status else Status.FAILED
    return CheckResult(
        tool=tool,
        dataset=_DATASETS[tool],
        partition_key=partition_key,
        check=check,
        column=column,
        severity=severity,
        status=status,
        message=message,
        observed=observed,
        expected=expected,
        meta={"unit": unit} if unit else {},
    )


def to_finite(value: float) -> float | None:
    """Return the number if JSON has it; None for NaN and the infinities."""
    return float(value) if math.isfinite(value) else None
