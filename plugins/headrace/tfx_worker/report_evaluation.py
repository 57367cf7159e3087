"""Says what TFMA measured and why a model was refused; TFX interpreter."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.check_result import CheckResult, Status
from headrace.tfx_worker.checks import build_check
from headrace.tfx_worker.evaluation_metrics import read_metrics
from headrace.tfx_worker.evaluation_thresholds import Threshold, read_thresholds
from headrace.tfx_worker.metadata_store import NodeExecution

_BLESSED = "blessed"


def report_evaluation(
    evaluation: Any, blessing: Any, execution: NodeExecution, partition_key: str | None
) -> tuple[list[CheckResult], Mapping[str, Any]]:
    """Report an Evaluator's metrics, and a check for each threshold it was given.

    Args:
        evaluation: The ModelEvaluation artifact.
        blessing: The ModelBlessing artifact; None where the Evaluator gave none.
        execution: Of the Evaluator; its properties hold the EvalConfig.
        partition_key: The partition of the run.

    Returns:
        The checks, and ``{"overall": …, "baseline": … or None, "slices": […]}``.
    """
    metrics = read_metrics(evaluation.uri)
    thresholds = read_thresholds(str(execution.properties.get("eval_config", "{}")))
    results = [check_threshold(threshold, metrics, partition_key) for threshold in thresholds]
    if blessing is not None and blessing.get_int_custom_property(_BLESSED) != 1 and all(r.passed for r in results):
        results.append(_build_unexplained(evaluation.uri, partition_key))
    return results, metrics


def check_threshold(threshold: Threshold, metrics: Mapping[str, Any], partition_key: str | None) -> CheckResult:
    """Hold one threshold against the overall metrics or its slice's.

    TFMA ignores a change threshold while there is no blessed baseline, and so do we: it passes, and says so.

    Args:
        threshold: From :func:`headrace.tfx_worker.evaluation_thresholds.read_thresholds`.
        metrics: From :func:`headrace.tfx_worker.evaluation_metrics.read_metrics`.
        partition_key: Of the run.
    """
    value = _find_slice(metrics, threshold.slice, "metrics").get(threshold.metric)
    if value is None:
        message = f"{threshold.label} could not be measured, so it cannot be held against its threshold."
        return _build_result(threshold, partition_key, Status.ERROR, None, message)
    if not threshold.is_change:
        message = f"{threshold.label} {value:.3f} {threshold.describe_value(value)}."
        return _build_result(threshold, partition_key, threshold.accepts(value), value, message)
    baseline = _find_slice(metrics, threshold.slice, "baseline").get(threshold.metric)
    if baseline is None:
        message = f"{threshold.label} {value:.3f} has no blessed baseline to be compared with."
        return _build_result(threshold, partition_key, True, None, message)
    message = f"{threshold.label} {value:.3f} {threshold.describe_change(value, baseline)}."
    change = threshold.measure_change(value, baseline)
    return _build_result(threshold, partition_key, threshold.accepts_change(value, baseline), change, message)


def _find_slice(metrics: Mapping[str, Any], wanted: Mapping[str, str], kind: str) -> Mapping[str, float]:
    if not wanted:
        return metrics["overall" if kind == "metrics" else "baseline"] or {}
    for found in metrics["slices"]:
        if found["slice"] == wanted:
            return found.get(kind) or {}
    return {}


def _build_result(
    threshold: Threshold, partition_key: str | None, status: Status | bool, observed: Any, message: str
) -> CheckResult:
    check = f"{threshold.metric}_{'change' if threshold.is_change else 'value'}"
    return build_check(
        "tfma",
        check,
        threshold.slice_name or None,
        status,
        message,
        partition_key,
        observed=observed,
        expected=threshold.to_json(),
    )


def _build_unexplained(uri: str, partition_key: str | None) -> CheckResult:
    """Fail closed: a model that TFMA refused for a reason that we did not find is refused, in TFMA's own words."""
    said = _read_failures(uri) or ["TFMA did not bless the model; no threshold of its configuration says why"]
    return build_check(
        "tfma",
        "validation",
        None,
        False,
        f"{'; '.join(said)}.",
        partition_key,
        observed=list(said),
        expected="Every threshold of the EvalConfig is kept.",
    )


def _read_failures(uri: str) -> Sequence[str]:
    import tensorflow_model_analysis as tfma

    result = tfma.load_validation_result(uri)
    failures = [
        f"{failure.metric_key.name}: {' '.join(failure.message.split())}"
        for found in result.metric_validations_per_slice
        for failure in found.failures
    ]
    return failures + [f"a slice has no data: {missing}" for missing in result.missing_slices]
