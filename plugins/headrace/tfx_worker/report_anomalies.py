"""Says in plain words what TFDV found wrong with examples; TFX interpreter."""
# ruff: noqa: PTH118 - these are URIs (gs://…), which Path would break

import os
from collections.abc import Iterator
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.tfx_worker.metadata_store import NodeExecution
from headrace.tfx_worker.schema_words import describe_expectation

_FILE = "SchemaDiff.pb"
_SHOWN = 8


def report_anomalies(artifact: Any, execution: NodeExecution, partition_key: str | None) -> list[CheckResult]:
    """Report each anomaly of each split; a split without one is reported as passed.

    Args:
        artifact: The ExampleAnomalies.
        execution: That made it; its inputs hold schema and statistics.
        partition_key: The partition that was checked.
    """
    from tfx.types import artifact_utils

    schema = _read_schema(execution.inputs.get("schema", []))
    results: list[CheckResult] = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        found = list(_find_anomalies(artifact_utils.get_split_uri([artifact], split)))
        for feature, reasons, severity in found:
            expected = describe_expectation(schema, feature)
            results.append(_build_result(split, feature, reasons, severity, expected, partition_key))
        if not found:
            count = len(schema.feature) if schema is not None else 0
            results.append(
                _result(
                    split,
                    None,
                    Severity.CRITICAL,
                    Status.PASSED,
                    partition_key,
                    f"The {split} examples match the schema in all {count} features.",
                    None,
                    None,
                )
            )
    return results


def _find_anomalies(split_uri: str) -> Iterator[tuple[str | None, list[str], Severity]]:
    """Yield feature (None: the whole dataset), TFDV's reasons, and severity."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2
    from tfx.dsl.io import fileio

    with fileio.open(os.path.join(split_uri, _FILE), "rb") as file:
        anomalies = anomalies_pb2.Anomalies.FromString(file.read())
    if anomalies.HasField("dataset_anomaly_info"):
        yield None, _reasons(anomalies.dataset_anomaly_info), Severity.CRITICAL
    for feature, info in sorted(anomalies.anomaly_info.items()):
        warning = info.severity == anomalies_pb2.AnomalyInfo.WARNING
        yield feature, _reasons(info), Severity.WARNING if warning else Severity.CRITICAL


def _reasons(info: Any) -> list[str]:
    """Return TFDV's findings; it says some of them twice, and ends some with a full stop."""
    said = [reason.description or reason.short_description for reason in info.reason]
    said = said or [info.description or info.short_description or "TFDV does not say what is wrong"]
    return list(dict.fromkeys(reason.strip().rstrip(".") for reason in said))


def _build_result(
    split: str,
    feature: str | None,
    reasons: list[str],
    severity: Severity,
    expected: str | None,
    partition_key: str | None,
) -> CheckResult:
    subject = f"Feature {feature}" if feature else "The dataset"
    shown = ". ".join(reasons[:_SHOWN])
    wanted = f" The schema expects {expected}." if expected else " The schema does not know it."
    return _result(
        split,
        feature,
        severity,
        Status.FAILED,
        partition_key,
        f"{subject} in the {split} examples: {shown}.{wanted if feature else ''}",
        reasons,
        expected,
    )


def _result(
    split: str,
    feature: str | None,
    severity: Severity,
    status: Status,
    partition_key: str | None,
    message: str,
    observed: Any,
    expected: Any,
) -> CheckResult:
    return CheckResult(
        tool="tfdv",
        dataset="examples",
        partition_key=partition_key,
        check=f"schema_{split}",
        column=feature,
        severity=severity,
        status=status,
        message=message,
        observed=observed,
        expected=expected,
    )


def _read_schema(artifacts: list[Any]) -> Any:
    from tfx.utils import io_utils

    if not artifacts:
        return None
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(artifacts[0].uri))
