"""Giving each try of a node an execution of its own in ML Metadata; TFX interpreter.

TFX knows a node's execution in a run by three contexts of ML Metadata: pipeline, run and node; one that succeeded is
never run again, and one that failed is taken up again by a retry, with the properties, inputs and cache key of the try
that failed. So the code that failed would from then on be answered from the cache with what the mended code made, and
an execution be said to have read what was replaced. Whatever is tried again therefore gets a node context of its own,
``flight_delay.Trainer#2``, and the nodes that read its outputs in the same run are pointed to it. What was executed
before stays as it was, for another run may have taken it from the cache.
"""

from typing import Any

_RUN_TYPE = "pipeline_run"
_NODE_TYPE = "node"


def point_to_attempts(pipeline: Any, node: Any, store: Any, run_id: str, again: bool) -> Any | None:
    """Let a node's IR name the latest attempt of each node in this run, and a new one of a node that is to run.

    Args:
        pipeline: The IR of the pipeline.
        node: The IR of the node that is to run; changed in place.
        store: The ML Metadata store.
        run_id: The pipeline run id.
        again: Run ``node`` also where its latest attempt succeeded.

    Returns:
        The MLMD execution of the latest attempt where that did not succeed: it never will now, and is marked as failed.
    """
    from ml_metadata.proto import metadata_store_pb2

    prefix = f"{pipeline.pipeline_info.id}."
    latest = {
        f"{prefix}{other.pipeline_node.node_info.id}": f"{prefix}{other.pipeline_node.node_info.id}"
        for other in pipeline.nodes
    }
    executions = _executions_of_run(store, run_id)
    attempts = sorted(_contexts_of_attempts(store, prefix), key=lambda context: int(context.name.rpartition("#")[2]))
    for context in attempts:
        if executions.keys() & {execution.id for execution in store.get_executions_by_context(context.id)}:
            latest[context.name.rpartition("#")[0]] = context.name
    name = f"{prefix}{node.node_info.id}"
    before = _execution_of(store, latest[name], executions)
    states = metadata_store_pb2.Execution
    succeeded = before is not None and before.last_known_state in (states.COMPLETE, states.CACHED)
    if before is not None and (again or not succeeded):
        number = int(latest[name].rpartition("#")[2]) if "#" in latest[name] else 1
        latest[name] = f"{name}#{number + 1}"
        # What it repeats must not be what it is answered with, also where this is not the first try to repeat it.
        node.execution_options.caching_options.enable_cache &= not again
    _rename(node, latest)
    if before is None or succeeded:
        return None
    if before.last_known_state in (states.NEW, states.RUNNING):  # its process was killed
        before.last_known_state = states.FAILED
        store.put_executions([before])
    return before


def _executions_of_run(store: Any, run_id: str) -> dict[int, Any]:
    context = store.get_context_by_type_and_name(_RUN_TYPE, run_id)
    return {execution.id: execution for execution in store.get_executions_by_context(context.id)} if context else {}


def _contexts_of_attempts(store: Any, prefix: str) -> list[Any]:
    contexts = store.get_contexts_by_type(_NODE_TYPE)
    return [
        context
        for context in contexts
        if context.name.startswith(prefix) and context.name.rpartition("#")[2].isdigit() and "#" in context.name
    ]


def _execution_of(store: Any, name: str, executions: dict[int, Any]) -> Any | None:
    """Return the newest execution of an attempt in this run; None where it was never started."""
    context = store.get_context_by_type_and_name(_NODE_TYPE, name)
    own = store.get_executions_by_context(context.id) if context else []
    return max((found for found in own if found.id in executions), key=lambda found: found.id, default=None)


def _rename(node: Any, latest: dict[str, str]) -> None:
    queries = [
        query for spec in node.inputs.inputs.values() for channel in spec.channels for query in channel.context_queries
    ]
    for context in [*node.contexts.contexts, *queries]:
        if context.type.name == _NODE_TYPE:
            value = context.name.field_value
            value.string_value = latest.get(value.string_value, value.string_value)
