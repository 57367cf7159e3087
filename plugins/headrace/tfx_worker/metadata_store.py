"""Opens ML Metadata and reads what became of a node; TFX interpreter."""

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class NodeExecution:
    """A node's latest execution in one run.

    Attributes:
        id: MLMD's id.
        state: MLMD's last known state, for example ``COMPLETE``.
        error: What TFX stored of a failure; None where nothing was.
        properties: Execution properties, plain values.
        outputs: By output key, the artifacts as TFX objects.
        inputs: By input key, likewise.
    """

    id: int
    state: str
    error: str | None
    properties: Mapping[str, Any]
    outputs: Mapping[str, list[Any]]
    inputs: Mapping[str, list[Any]]

    @property
    def succeeded(self) -> bool:
        return self.state in ("COMPLETE", "CACHED")


def connect(pipeline: Any) -> Any:
    """Return TFX's metadata handle for the connection in the IR; the database is made on first use.

    SQLite: two processes that make the tables at once would fail each other, so the first opening is held under a
    file lock beside the database. After that, SQLite's own locks make writers wait for one another.
    """
    from tfx.orchestration import metadata
    from tfx.orchestration.local import runner_utils

    config = runner_utils.extract_local_deployment_config(pipeline).metadata_connection_config
    kind = config.WhichOneof("connection_config")
    if kind is None:
        raise ValueError("the pipeline has no metadata connection: give create_pipeline a metadata_connection_config")
    connection = getattr(config, kind)
    handle = metadata.Metadata(connection)
    sqlite = connection.sqlite.filename_uri if kind == "database_connection_config" else ""
    with _initialisation_lock(sqlite), handle:
        return handle


@contextlib.contextmanager
def _initialisation_lock(sqlite: str) -> Iterator[None]:
    if not sqlite:
        yield
        return
    path = Path(sqlite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_execution(handle: Any, node: Any) -> NodeExecution | None:
    """Find a node's latest execution in the run that its IR names; None where it was never started."""
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration.portable.mlmd import execution_lib

    with handle as opened:
        store = opened.store
        contexts = [
            store.get_context_by_type_and_name(context.type.name, context.name.field_value.string_value)
            for context in node.contexts.contexts
        ]
        if any(context is None for context in contexts):
            return None
        executions = execution_lib.get_executions_associated_with_all_contexts(opened, contexts)
        if not executions:
            return None
        execution = execution_lib.sort_executions_newest_to_oldest(executions)[0]
        properties = {
            key: getattr(value, value.WhichOneof("value"))
            for key, value in [*execution.properties.items(), *execution.custom_properties.items()]
            if value.WhichOneof("value")
        }
        return NodeExecution(
            id=execution.id,
            state=metadata_store_pb2.Execution.State.Name(execution.last_known_state),
            error=_read_error(properties),
            properties=properties,
            outputs=execution_lib.get_output_artifacts(opened, execution.id),
            inputs=execution_lib.get_input_artifacts(opened, execution.id),
        )


def _read_error(properties: Mapping[str, Any]) -> str | None:
    """Return the last line of the failure that TFX stores with an execution."""
    from google.protobuf import json_format
    from tfx.proto.orchestration import execution_result_pb2

    text = properties.get("__execution_result__")
    if not text:
        return None
    result = json_format.Parse(text, execution_result_pb2.ExecutionResult(), ignore_unknown_fields=True)
    lines = result.result_message.strip().splitlines()
    return lines[-1] if lines else None
