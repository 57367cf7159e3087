"""Running a node again that already succeeded in the same run; TFX interpreter.

TFX knows a node's execution in a run by three contexts of ML Metadata: pipeline, run and node; one that succeeded is
never run again. A repeated one therefore gets a node context of its own, ``flight_delay.Trainer#2``, and the nodes
that read its outputs in the same run are pointed to it. The first execution and its artifacts stay as they were, for
another run may have taken them from the cache.
"""

from typing import Any

_RUN_TYPE = "pipeline_run"
_NODE_TYPE = "node"


def point_to_attempts(pipeline: Any, node: Any, store: Any, run_id: str, again: bool) -> None:
    """Let a node's IR name the latest attempt of each node in this run.

    Args:
        pipeline: The IR of the pipeline.
        node: The IR of the node that is to run; changed in place.
        store: The ML Metadata store.
        run_id: The pipeline run id.
        again: Start a new attempt of ``node`` if its latest one succeeded.
    """
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
    if again and _succeeded(store, latest[name], executions):
        number = int(latest[name].rpartition("#")[2]) if "#" in latest[name] else 1
        latest[name] = f"{name}#{number + 1}"
        # Its own first result must not be what it is answered with.
        node.execution_options.caching_options.enable_cache = False
    _rename(node, latest)


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


def _succeeded(store: Any, name: str, executions: dict[int, Any]) -> bool:
    from ml_metadata.proto import metadata_store_pb2

    context = store.get_context_by_type_and_name(_NODE_TYPE, name)
    if context is None:
        return False
    good = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)
    return any(
        execution.id in executions and execution.last_known_state in good
        for execution in store.get_executions_by_context(context.id)
    )


def _rename(node: Any, latest: dict[str, str]) -> None:
    queries = [
        query for spec in node.inputs.inputs.values() for channel in spec.channels for query in channel.context_queries
    ]
    for context in [*node.contexts.contexts, *queries]:
        if context.type.name == _NODE_TYPE:
            value = context.name.field_value
            value.string_value = latest.get(value.string_value, value.string_value)
