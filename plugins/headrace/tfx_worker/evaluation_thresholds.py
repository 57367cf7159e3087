"""Reads the thresholds of a TFMA configuration, and holds values against them; TFX interpreter."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_LOWER_IS_BETTER = "LOWER_IS_BETTER"


@dataclass(frozen=True)
class Threshold:
    """One bound that a metric must keep.

    Attributes:
        metric: The metric's name.
        slice: Feature to value; empty: overall.
        is_change: Whether the bound is on the change from the baseline.
        lower: Least value; for a change, least absolute change where higher is better.
        upper: Largest value; for a change, largest absolute change where lower is better.
        relative: Largest loss (higher is better) or growth (lower is better) relative to the baseline, signed.
        higher_is_better: Direction of a change.
    """

    metric: str
    slice: Mapping[str, str] = field(default_factory=dict)
    is_change: bool = False
    lower: float | None = None
    upper: float | None = None
    relative: float | None = None
    higher_is_better: bool = True

    @property
    def slice_name(self) -> str:
        return ", ".join(f"{feature}={value}" for feature, value in sorted(self.slice.items()))

    @property
    def label(self) -> str:
        name = self.metric.upper() if len(self.metric) <= 3 else self.metric.replace("_", " ").capitalize()
        return f"{name} of {self.slice_name}" if self.slice else name

    def accepts(self, value: float) -> bool:
        return (self.lower is None or value >= self.lower) and (self.upper is None or value <= self.upper)

    def accepts_change(self, value: float, baseline: float) -> bool:
        """Decide as TFMA does: better than each of the absolute and the relative bound that are given."""
        change = value - baseline
        ratio = change / baseline if baseline else math.inf
        if self.higher_is_better:
            return (self.lower is None or change >= self.lower) and (self.relative is None or ratio >= self.relative)
        return (self.upper is None or change <= self.upper) and (self.relative is None or ratio <= self.relative)

    def describe_value(self, value: float) -> str:
        """Return for example ``is below the required 0.65``."""
        if self.lower is not None and value < self.lower:
            return f"is below the required {self.lower:g}"
        if self.upper is not None and value > self.upper:
            return f"is above the allowed {self.upper:g}"
        bounds = [f"reaches the required {self.lower:g}"] if self.lower is not None else []
        bounds += [f"stays within the allowed {self.upper:g}"] if self.upper is not None else []
        return " and ".join(bounds)

    def describe_change(self, value: float, baseline: float) -> str:
        """Return for example ``is 0.040 below the blessed baseline's 0.670, which may be 0.02 at most``."""
        change = value - baseline
        how = f"is {abs(change):.3f} {'above' if change >= 0 else 'below'} the blessed baseline's {baseline:.3f}"
        absolute = self.lower if self.higher_is_better else self.upper
        bounds = [f"{absolute:+g}"] if absolute is not None else []
        bounds += [f"{self.relative:+.1%}"] if self.relative is not None else []
        limit = "least" if self.higher_is_better else "most"
        verb = "keeps" if self.accepts_change(value, baseline) else "breaks"
        return f"{how}: that {verb} the bound on the change, at {limit} {' and '.join(bounds)}"

    def measure_change(self, value: float, baseline: float) -> float:
        """Return the change that the bound is on: the absolute one, or the relative where that alone is bounded."""
        change = value - baseline
        return change / baseline if self.lower is None and self.upper is None and baseline else change

    def to_json(self) -> dict[str, Any]:
        """Return the bounds on the value, or on :meth:`measure_change`, as Great Expectations names them."""
        lower, upper = self.lower, self.upper
        if self.is_change and lower is None and upper is None:
            lower, upper = (self.relative, None) if self.higher_is_better else (None, self.relative)
        kept = {"min_value": lower, "max_value": upper, "relative": self.relative}
        return {name: value for name, value in kept.items() if value is not None}


def read_thresholds(eval_config: str) -> list[Threshold]:
    """Read all thresholds of an EvalConfig in JSON, those of slices included."""
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2

    config = json_format.Parse(eval_config, config_pb2.EvalConfig(), ignore_unknown_fields=True)
    found: list[Threshold] = []
    for specs in config.metrics_specs:
        for metric in specs.metrics:
            name = json.loads(metric.config or "{}").get("name") or _default_name(metric.class_name)
            if metric.HasField("threshold"):
                # It applies to every slice; those that fail are found by TFMA's own result.
                found += _read_bounds(name, {}, metric.threshold)
            for per_slice in metric.per_slice_thresholds:
                for key in _read_slices(per_slice.slicing_specs):
                    found += _read_bounds(name, key, per_slice.threshold)
        for name, threshold in specs.thresholds.items():
            found += _read_bounds(name, {}, threshold)
        for name, slices in specs.per_slice_thresholds.items():
            for per_slice in slices.thresholds:
                for key in _read_slices(per_slice.slicing_specs):
                    found += _read_bounds(name, key, per_slice.threshold)
    return found


def _read_slices(specs: Any) -> Iterator[Mapping[str, str]]:
    """Yield the slices that are named by value; a slice by feature alone is left to TFMA's own result."""
    for spec in specs:
        if not spec.feature_keys:
            yield dict(spec.feature_values)


def _read_bounds(metric: str, key: Mapping[str, str], threshold: Any) -> Iterator[Threshold]:
    from tensorflow_model_analysis.proto import config_pb2

    if threshold.HasField("value_threshold"):
        bounds = threshold.value_threshold
        yield Threshold(
            metric,
            key,
            lower=bounds.lower_bound.value if bounds.HasField("lower_bound") else None,
            upper=bounds.upper_bound.value if bounds.HasField("upper_bound") else None,
        )
    if threshold.HasField("change_threshold"):
        change = threshold.change_threshold
        higher = config_pb2.MetricDirection.Name(change.direction) != _LOWER_IS_BETTER
        absolute = change.absolute.value if change.HasField("absolute") else None
        yield Threshold(
            metric,
            key,
            is_change=True,
            lower=absolute if higher else None,
            upper=None if higher else absolute,
            relative=change.relative.value if change.HasField("relative") else None,
            higher_is_better=higher,
        )


def _default_name(class_name: str) -> str:
    """Return the name that TFMA gives a metric that has none: ``BinaryAccuracy`` → ``binary_accuracy``."""
    if class_name.isupper():
        return class_name.lower()
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in class_name).lstrip("_")
