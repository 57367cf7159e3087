"""A TFX pipeline as a task group, one task a node, from its compiled node list; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import TaskGroup

from headrace.airflow.operators.tfx_node import TfxNodeOperator
from headrace.contracts.files import ContractError
from headrace.contracts.pipeline import CompiledPipeline, Node
from headrace.exceptions import ConfigurationError, StaleCompileError
from headrace.settings import Settings, load_settings

PARTITION_PARAMETER = "partition_key"


def TfxPipeline(  # noqa: N802 - reads as a building block in a DAG file
    pipeline: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    project_dir: str | Path | None = None,
    group_id: str | None = None,
    **node_kwargs: Any,
) -> TaskGroup:
    """Build the task group of a pipeline that ``headrace compile`` compiled.

    Args:
        pipeline: Name of its folder under ``tfx_pipelines/``.
        parameters: Values of runtime parameters that the pipeline declares, by name; templated. A declared
            ``partition_key`` gets the DAG run's partition unless it is given here.
        project_dir: See :func:`headrace.settings.load_settings`.
        group_id: The pipeline's name by default.
        node_kwargs: For every node's operator: ``retries``, ``pool``, ``execution_timeout``, …

    Raises:
        ConfigurationError: The pipeline was not compiled, or has no such parameter.
        StaleCompileError: A file that it was compiled from has changed since; the message names it.
    """
    settings = load_settings(project_dir)
    compiled = load_compiled(settings, pipeline)
    values = dict(parameters or {})
    unknown = sorted(values.keys() - compiled.parameters.keys())
    if unknown:
        raise ConfigurationError(
            f"Pipeline {pipeline!r} has no runtime parameter {', '.join(unknown)}; it has "
            f"{', '.join(sorted(compiled.parameters)) or 'none'}."
        )
    if PARTITION_PARAMETER in compiled.parameters:
        values.setdefault(PARTITION_PARAMETER, "{{ partition_key or '' }}")
    missing = sorted(name for name, default in compiled.parameters.items() if default is None and name not in values)
    if missing:
        raise ConfigurationError(
            f"Pipeline {pipeline!r} needs a value for {', '.join(missing)}: TfxPipeline({pipeline!r}, parameters=…)."
        )

    if compiled.metadata.get("owner"):
        node_kwargs.setdefault("owner", compiled.metadata["owner"])
    with TaskGroup(group_id or pipeline, tooltip=str(compiled.metadata.get("description", ""))) as group:
        tasks = {
            node.id: TfxNodeOperator(
                task_id=node.id,
                pipeline=pipeline,
                node=node.id,
                parameters=values,
                project_dir=project_dir,
                doc_md=f"`{node.type}` of the TFX pipeline `{pipeline}`.",
                **node_kwargs,
            )
            for node in compiled.nodes
        }
        for node_id, upstream in order_nodes(compiled.nodes).items():
            for other in upstream:
                tasks[other] >> tasks[node_id]
    return group


def order_nodes(nodes: Sequence[Node]) -> dict[str, list[str]]:
    """Return what each node's task waits for: the nodes that TFX says and, before a model is pushed, every check.

    TFX lets a node that nothing reads, as an ExampleValidator at the end of a branch, run when it likes. A check that
    itself waits for the push, of what was pushed, stays after it.
    """
    waits_for = {node.id: list(node.upstream) for node in nodes}
    for pusher in nodes:
        for check in nodes:
            if pusher.is_pusher and check.is_check and not _waits(check.id, pusher.id, waits_for):
                waits_for[pusher.id] += [check.id] if check.id not in waits_for[pusher.id] else []
    return waits_for


def _waits(node: str, for_node: str, waits_for: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a node is, or waits for, another, over however many between them."""
    found, layer = {node}, [node]
    while layer:
        layer = [each for one in layer for each in waits_for[one] if each not in found]
        found.update(layer)
    return for_node in found


def load_compiled(settings: Settings, pipeline: str) -> CompiledPipeline:
    """Load a compiled pipeline and make sure that it is what the sources now say."""
    source = settings.tfx_pipelines_dir / pipeline / "pipeline.py"
    if not source.is_file():
        raise ConfigurationError(f"There is no TFX pipeline {pipeline!r}: {source} does not exist.")
    try:
        compiled = CompiledPipeline.load(settings.compiled_pipeline_dir(pipeline))
    except ContractError as error:
        raise ConfigurationError(f"Pipeline {pipeline!r} is not compiled ({error}): run 'headrace compile'.") from error
    changed = compiled.changed_sources(settings.tfx_pipelines_dir)
    if changed:
        raise StaleCompileError(
            f"Pipeline {pipeline!r} was compiled before {', '.join(changed)} changed: run 'headrace compile'."
        )
    return compiled
