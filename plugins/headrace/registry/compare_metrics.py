"""Whether a model that was made again is as good as the first one, overall and in every slice; pure, orchestration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""As the ledger writes numbers for which JSON has no word."""


@dataclass(frozen=True)
class MetricPair:
    """One metric of two models.

    Attributes:
        slice: Of which examples; empty: all of them.
        metric: Its name.
        recorded: When the version was registered; None: not measured.
        reproduced: Now; None: not measured.
        within: Whether they are the same, as far as was asked.
    """

    slice: str
    metric: str
    recorded: Any
    reproduced: Any
    within: bool


def compare_metrics(
    recorded: Mapping[str, Any], reproduced: Mapping[str, Any], tolerance: float
) -> Sequence[MetricPair]:
    """Compare two evaluations, each as :attr:`headrace.contracts.node_run.NodeOutcome.metrics`; not their baselines.

    Args:
        recorded: Of the registered version.
        reproduced: Of the one that was made again.
        tolerance: Largest absolute difference of two numbers, in the metric's own unit.

    Returns:
        Every metric that either has, overall first; NaN is the same as NaN, and nothing is as a missing metric.
    """
    first, second = _by_slice(recorded), _by_slice(reproduced)
    return [
        MetricPair(name, metric, one.get(metric), other.get(metric), _is_within(one, other, metric, tolerance))
        for name in dict.fromkeys([*first, *second])
        for one, other in [(first.get(name, {}), second.get(name, {}))]
        for metric in dict.fromkeys([*one, *other])
    ]


def find_difference(one: Any, other: Any) -> float | None:
    """Return the second number less the first; 0 for two that are the same, None where that makes no sense."""
    first, second = _as_number(one), _as_number(other)
    if first is None or second is None:
        return None
    if first == second or (math.isnan(first) and math.isnan(second)):
        return 0.0
    return second - first


def _by_slice(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    slices = {
        ", ".join(f"{key} {value}" for key, value in each["slice"].items()): each.get("metrics") or {}
        for each in metrics.get("slices") or ()
    }
    return {"": metrics.get("overall") or {}, **slices}


def _is_within(one: Mapping[str, Any], other: Mapping[str, Any], metric: str, tolerance: float) -> bool:
    return metric in one and metric in other and _is_same(one[metric], other[metric], tolerance)


def _is_same(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key], tolerance) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_is_same(*pair, tolerance) for pair in zip(one, other, strict=True))
    difference = find_difference(one, other)
    if difference is None:
        return bool(one == other)
    return abs(difference) <= tolerance  # a NaN beside a number is not


def _as_number(value: Any) -> float | None:
    if isinstance(value, str):
        return WORDS.get(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
