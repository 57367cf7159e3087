"""Says how far examples are from earlier ones and from those of serving; TFX interpreter."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity
from headrace.tfx_worker.anomaly_findings import DRIFT, SKEW, Finding
from headrace.tfx_worker.checks import build_check, to_finite

_METRICS = {
    "L_INFTY": "L-infinity distance",
    "JENSEN_SHANNON_DIVERGENCE": "Jensen-Shannon divergence",
    "NORMALIZED_ABSOLUTE_DIFFERENCE": "normalized absolute difference",
}
_OTHERS = {DRIFT: "the baseline", SKEW: "the examples of serving"}
_MOST_CHANGED = re.compile(r"maximum difference is: (.+)", re.DOTALL)


def report_comparisons(
    kind: str, split: str, anomalies: Any, findings: Sequence[Finding], partition_key: str | None
) -> Iterator[CheckResult]:
    """Report each feature that was compared, or that should have been, and the dataset as a whole.

    Args:
        kind: ``drift`` or ``skew``.
        split: Name of the split.
        anomalies: TensorFlow Metadata's Anomalies; it holds the distances of all features that were compared.
        findings: Of this kind.
        partition_key: Of the run.
    """
    found = {finding.feature: finding for finding in findings}
    measured = _read_measurements(kind, anomalies)
    yield _report_dataset(kind, split, found.get(None), len(measured), partition_key)
    for feature in sorted({*measured, *(name for name in found if name is not None)}):
        yield _report_feature(kind, split, feature, measured.get(feature), found.get(feature), partition_key)


def is_measured(kind: str, anomalies: Any) -> bool:
    """Return whether any feature was compared in this way."""
    return bool(_read_measurements(kind, anomalies))


def _read_measurements(kind: str, anomalies: Any) -> dict[str, Any]:
    """Return by feature the measurement that is worst against its threshold; most features have one."""
    by_feature = {}
    for info in anomalies.drift_skew_info:
        measurements = info.skew_measurements if kind == SKEW else info.drift_measurements
        if measurements:
            by_feature[".".join(info.path.step)] = max(measurements, key=_badness)
    return by_feature


def _badness(measurement: Any) -> float:
    if measurement.threshold:
        return float(measurement.value / measurement.threshold)
    return math.inf if measurement.value else 0.0


def _report_feature(
    kind: str, split: str, feature: str, measurement: Any | None, finding: Finding | None, partition_key: str | None
) -> CheckResult:
    subject = f"Feature {feature} of the {split} examples"
    if measurement is None:
        reasons = ". ".join(finding.reasons) if finding else ""
        message = f"{subject} could not be compared with {_OTHERS[kind]}: {reasons}."
        numbers: Mapping[str, Any] = {"observed": list(finding.reasons) if finding else None}
    else:
        metric = _METRICS.get(type(measurement).Type.Name(measurement.type), "distance")
        verb = f"is far from {_OTHERS[kind]}" if finding else f"is close to {_OTHERS[kind]}"
        message = (
            f"{subject} {verb}: its {metric} is {measurement.value:.3g}, "
            f"at most {measurement.threshold:g} is allowed{_name_most_changed(finding)}."
        )
        numbers = {
            "observed": to_finite(measurement.value),
            "expected": {"max_value": to_finite(measurement.threshold)},
            "unit": metric,
        }
    return build_check(
        "tfdv",
        f"{kind}_{split}",
        feature,
        finding is None,
        message,
        partition_key,
        severity=finding.severity if finding else Severity.CRITICAL,
        **numbers,
    )


def _report_dataset(
    kind: str, split: str, finding: Finding | None, compared: int, partition_key: str | None
) -> CheckResult:
    if finding is None:
        message = f"The {split} examples were compared with {_OTHERS[kind]} in {compared} features."
    else:
        message = f"The {split} examples as a whole are far from {_OTHERS[kind]}: {'. '.join(finding.reasons)}."
    return build_check(
        "tfdv",
        f"{kind}_{split}",
        None,
        finding is None,
        message,
        partition_key,
        severity=finding.severity if finding else Severity.CRITICAL,
        observed=list(finding.reasons) if finding else None,
    )


def _name_most_changed(finding: Finding | None) -> str:
    """Name the value that TFDV says differs most, where it says so."""
    for reason in finding.reasons if finding else ():
        if match := _MOST_CHANGED.search(reason):
            return f"; the value that differs most is {match[1].strip()[:100]}"
    return ""
