"""Says what of examples does not match their schema; TFX interpreter."""

from collections.abc import Iterator, Sequence
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity
from headrace.tfx_worker.anomaly_findings import SCHEMA, Finding
from headrace.tfx_worker.checks import build_check
from headrace.tfx_worker.schema_words import describe_feature, index_features

_SHOWN = 8


def report_schema(
    schema: Any, split: str, anomalies: Any, findings: Sequence[Finding], partition_key: str | None
) -> Iterator[CheckResult]:
    """Report the split as a whole, then each feature of the schema.

    A feature that the schema does not know has no check of its own, for nobody would see it pass once it is gone: such
    features are reported with the split.

    Args:
        schema: TensorFlow Metadata's Schema; None where the node had none.
        split: Name of the split.
        anomalies: TensorFlow Metadata's Anomalies.
        findings: Of kind ``schema``.
        partition_key: Of the run.
    """
    features = index_features(schema)
    yield _report_dataset(split, anomalies, findings, len(features), partition_key)
    if anomalies.data_missing:
        return
    found = {finding.feature: finding for finding in findings if finding.feature and not finding.is_new}
    for name in sorted({*features, *found}):
        finding = found.get(name)
        expected = describe_feature(schema, features.get(name)) if finding else None
        if finding is None:
            message = f"Feature {name} of the {split} examples matches the schema."
        else:
            wanted = f" The schema expects {expected}." if expected else ""
            message = f"Feature {name} in the {split} examples: {'. '.join(finding.reasons[:_SHOWN])}.{wanted}"
        yield build_check(
            "tfdv",
            f"{SCHEMA}_{split}",
            name,
            finding is None,
            message,
            partition_key,
            severity=finding.severity if finding else Severity.CRITICAL,
            observed=list(finding.reasons) if finding else None,
            expected=expected,
        )


def _report_dataset(
    split: str, anomalies: Any, findings: Sequence[Finding], count: int, partition_key: str | None
) -> CheckResult:
    """Report what is wrong with a split as a whole: no rows, its size, features that the schema does not know."""
    whole = [finding for finding in findings if finding.feature is None]
    new = [finding for finding in findings if finding.feature is not None and finding.is_new]
    said = [reason for finding in whole for reason in finding.reasons]
    if anomalies.data_missing:
        said.append("there are no examples, so nothing could be held against the schema")
    if new:
        names = ", ".join(str(finding.feature) for finding in new[:_SHOWN])
        said.append(f"the schema does not know {names}{f' and {len(new) - _SHOWN} more' if len(new) > _SHOWN else ''}")
    severities = {finding.severity for finding in (*whole, *new)}
    mild = severities == {Severity.WARNING} and not anomalies.data_missing
    if said:
        message = f"The {split} examples: {'. '.join(said)}."
    elif findings:
        message = f"The {split} examples have rows, and no feature that the schema does not know."
    elif count:
        message = f"The {split} examples match the schema in all {count} features."
    else:
        message = f"TFDV found nothing wrong with the {split} examples."
    return build_check(
        "tfdv",
        f"{SCHEMA}_{split}",
        None,
        not said,
        message,
        partition_key,
        severity=Severity.WARNING if mild else Severity.CRITICAL,
        observed=said or None,
    )
