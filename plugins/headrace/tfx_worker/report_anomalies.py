"""Says in plain words what TFDV found wrong with examples; TFX interpreter."""

from collections.abc import Mapping
from typing import Any

from headrace.contracts.check_result import CheckResult
from headrace.tfx_worker.anomaly_findings import DRIFT, SCHEMA, SKEW, find_anomalies, read_anomalies
from headrace.tfx_worker.checks import build_check
from headrace.tfx_worker.metadata_store import NodeExecution
from headrace.tfx_worker.report_comparisons import is_measured, report_comparisons
from headrace.tfx_worker.report_schema import report_schema

_BLESSED = "blessed"
# What DistributionValidator puts there.
_REFUSED, _NO_BASELINE = 0, 2


def report_anomalies(artifact: Any, execution: NodeExecution, partition_key: str | None) -> list[CheckResult]:
    """Report every feature of every split, also those in order: an incident ends when its check is seen to pass.

    Args:
        artifact: The ExampleAnomalies, of ExampleValidator, DistributionValidator or a user's own component.
        execution: That made it; its inputs hold the schema, and the baseline where it compared.
        partition_key: The partition that was checked.
    """
    schema = _read_schema(execution.inputs.get("schema", []))
    compares = "baseline_statistics" in execution.inputs
    holds_schema = schema is not None or not compares
    blessed = artifact.get_json_value_custom_property(_BLESSED)
    blessed = blessed if isinstance(blessed, Mapping) else {}
    results: list[CheckResult] = []
    for split, stored, anomalies in read_anomalies(artifact):
        found = find_anomalies(anomalies, SCHEMA if holds_schema else DRIFT)
        by_kind = {kind: [finding for finding in found if finding.kind == kind] for kind in (SCHEMA, DRIFT, SKEW)}
        of_split: list[CheckResult] = []
        if holds_schema:
            of_split += report_schema(schema, split, anomalies, by_kind[SCHEMA], partition_key)
        for kind in (DRIFT, SKEW):
            if by_kind[kind] or is_measured(kind, anomalies) or (kind == DRIFT and compares):
                of_split += report_comparisons(kind, split, anomalies, by_kind[kind], partition_key)
        if blessed.get(stored) == _REFUSED and all(result.passed for result in of_split):
            of_split.append(_build_unexplained(split, partition_key))
        results += of_split
    uncompared = [split for split, value in blessed.items() if value == _NO_BASELINE]
    return results + [_build_uncompared(split, partition_key) for split in uncompared]


def _build_unexplained(split: str, partition_key: str | None) -> CheckResult:
    """Fail closed: examples that were refused for a reason that we did not find are refused."""
    message = f"The {split} examples were not blessed; no anomaly says why."
    return build_check("tfdv", "validation", split, False, message, partition_key)


def _build_uncompared(split: str, partition_key: str | None) -> CheckResult:
    message = f"There are no baseline statistics yet, so the {split} examples were compared with nothing."
    return build_check("tfdv", f"{DRIFT}_{split}", None, True, message, partition_key)


def _read_schema(artifacts: list[Any]) -> Any:
    from tfx.utils import io_utils

    if not artifacts:
        return None
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(artifacts[0].uri))
