"""Turns what ML Metadata and the artifacts hold into a node's outcome; TFX interpreter."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.contracts.check_result import CheckResult
from headrace.contracts.node_run import NodeOutcome
from headrace.tfx_worker.code_digest import PROPERTY as CODE_DIGEST
from headrace.tfx_worker.metadata_store import NodeExecution
from headrace.tfx_worker.report_anomalies import report_anomalies
from headrace.tfx_worker.report_evaluation import report_evaluation
from headrace.tfx_worker.report_infra import report_infra_blessing
from headrace.tfx_worker.signatures import find_features, read_signatures

UNRESOLVED = "UNRESOLVED"
SKIPPED = "SKIPPED"
_PARTITIONS = "partitions"
"""Custom property of Examples: a list of keys. ParquetExampleGen writes it; a user's own ExampleGen may."""
RESOLVER = "tfx.dsl.components.common.resolver.Resolver"


def build_outcome(
    node: Any, execution: NodeExecution | None, error: str | None, seconds: float, partition_key: str | None
) -> NodeOutcome:
    """Build the outcome of a node.

    Args:
        node: The node's IR.
        execution: What ML Metadata knows of it; None where TFX made no execution.
        error: Why launching it raised; None where it did not.
        seconds: Wall time of the node, imports excluded.
        partition_key: The partition that the run is about.
    """
    node_id = node.node_info.id
    if execution is None:
        return _build_unstarted(node, error, seconds)
    if error is None and not execution.succeeded:
        # The launcher returns as if nothing were wrong when an input cannot be resolved.
        why = execution.error or f"ML Metadata says {execution.state}"
        return NodeOutcome(
            node=node_id,
            state=UNRESOLVED,
            execution_id=execution.id,
            seconds=seconds,
            error=f"the inputs of {node_id} could not be resolved: {why}",
        )
    if error is not None:
        return NodeOutcome(node_id, "FAILED", execution_id=execution.id, seconds=seconds, error=error)
    # A resolver passes on what earlier runs made; nothing of that is its own decision.
    resolved = node.node_info.type.name == RESOLVER
    checks, metrics = ((), None) if resolved else _report(execution, partition_key)
    return NodeOutcome(
        node=node_id,
        state=execution.state,
        execution_id=execution.id,
        seconds=round(seconds, 3),
        outputs={key: [_describe(artifact) for artifact in found] for key, found in execution.outputs.items()},
        # Two validators of one pipeline ask the same of the same feature, each with another answer.
        checks=tuple(replace(check, check_id=node_id) for check in checks),
        blessed=None if resolved else _read_blessing(execution.outputs),
        metrics=metrics,
        pushed_to=_read_push(execution.outputs),
        partitions=() if resolved else _read_partitions(execution),
        inputs={key: [_describe(artifact) for artifact in found] for key, found in execution.inputs.items()},
        execution_type=node.node_info.type.name,
        code_digest=_read_text(execution.properties.get(CODE_DIGEST)),
        **({} if resolved else _read_model(execution)),
    )


def _read_model(execution: NodeExecution) -> dict[str, Any]:
    """Return what a node's own model says of itself: a Trainer's features, a Pusher's signatures."""
    for found in execution.outputs.values():
        for artifact in found:
            if artifact.type_name == "Model":
                return {"features": find_features(artifact.uri)}
            if artifact.type_name == "PushedModel" and artifact.get_int_custom_property("pushed") == 1:
                pushed = artifact.get_string_custom_property("pushed_destination") or str(artifact.uri)
                return {"signature": read_signatures(pushed)}
    return {}


def _read_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _build_unstarted(node: Any, error: str | None, seconds: float) -> NodeOutcome:
    node_id = node.node_info.id
    if error is not None:
        return NodeOutcome(node_id, "FAILED", seconds=seconds, error=error)
    if node.inputs.conditionals:
        return NodeOutcome(node_id, SKIPPED, seconds=seconds)
    upstream = ", ".join(node.upstream_nodes) or "none"
    return NodeOutcome(
        node_id,
        UNRESOLVED,
        seconds=seconds,
        error=f"an input of {node_id} has no artifact in this run; its upstream nodes are {upstream}",
    )


def _report(
    execution: NodeExecution, partition_key: str | None
) -> tuple[Sequence[CheckResult], Mapping[str, Any] | None]:
    """Report what a node checked, by the types of its outputs: a user's own component is reported as TFX's is."""
    checks: list[CheckResult] = []
    metrics = None
    by_type = {artifact.type_name: artifact for found in execution.outputs.values() for artifact in found}
    if "ExampleAnomalies" in by_type:
        checks += report_anomalies(by_type["ExampleAnomalies"], execution, partition_key)
    if "ModelEvaluation" in by_type:
        found, metrics = report_evaluation(
            by_type["ModelEvaluation"], by_type.get("ModelBlessing"), execution, partition_key
        )
        checks += found
    if "InfraBlessing" in by_type:
        checks += report_infra_blessing(by_type["InfraBlessing"], partition_key)
    return checks, metrics


def _read_blessing(outputs: Mapping[str, list[Any]]) -> bool | None:
    """Return whether every blessing among the outputs was given; None where there is none."""
    blessings = [
        artifact.get_int_custom_property("blessed") == 1
        for found in outputs.values()
        for artifact in found
        if artifact.type_name in ("ModelBlessing", "InfraBlessing")
    ]
    return all(blessings) if blessings else None


def _read_push(outputs: Mapping[str, list[Any]]) -> str | None:
    for found in outputs.values():
        for artifact in found:
            if artifact.type_name == "PushedModel" and artifact.get_int_custom_property("pushed") == 1:
                return artifact.get_string_custom_property("pushed_destination") or str(artifact.uri)
    return None


def _read_partitions(execution: NodeExecution) -> tuple[str, ...]:
    """Return what the examples that a node made, or else those that it read, say they were made of."""
    for artifacts in (execution.outputs, execution.inputs):
        said = [
            _parse_partitions(artifact.get_custom_property(_PARTITIONS))
            for found in artifacts.values()
            for artifact in found
            if artifact.type_name == "Examples"
        ]
        if any(said):
            return tuple(sorted({key for keys in said for key in keys}))
    return ()


def _parse_partitions(said: Any) -> list[str]:
    """Return the keys of a list, of a list in JSON, or the one key that a plain text is."""
    if isinstance(said, str) and said.lstrip().startswith("["):
        said = json.loads(said)
    return [str(key) for key in (said if isinstance(said, list) else [said] if said else [])]


def _describe(artifact: Any) -> dict[str, Any]:
    """Describe an artifact in JSON: uri, type, MLMD id, and its own and custom properties."""
    proto = artifact.mlmd_artifact
    properties: dict[str, Any] = {}
    for name, value in [*proto.properties.items(), *proto.custom_properties.items()]:
        kind = value.WhichOneof("value")
        if kind in ("int_value", "double_value", "string_value", "bool_value"):
            properties[name] = getattr(value, kind)
        elif kind is not None:
            properties[name] = json.loads(json.dumps(getattr(value, kind), default=str))
    return {
        "uri": artifact.uri,
        "type": artifact.type_name,
        "id": artifact.id,
        "created": int(proto.create_time_since_epoch),
        "properties": properties,
    }
