"""Loads a compiled pipeline for one run of one node; TFX interpreter."""

from pathlib import Path
from typing import Any

from headrace.contracts.files import ContractError
from headrace.contracts.node_run import NodeRequest
from headrace.contracts.pipeline import IR_FILE, CompiledPipeline
from headrace.contracts.worker_exit import WorkerExit
from headrace.tfx_worker.compile_pipeline import IR_DIGEST, hash_ir
from headrace.tfx_worker.errors import WorkerStop
from headrace.tfx_worker.runtime_parameters import RUN_ID_PARAMETER, choose_values, find_runtime_parameters


def load_ir(request: NodeRequest) -> tuple[Any, Any]:
    """Load the IR with run id and runtime parameters filled in.

    Returns:
        The pipeline's and the node's IR.

    Raises:
        ContractError: What was compiled is missing, damaged, or knows no such node or parameter.
        WorkerStop: Sources have changed since.
    """
    from google.protobuf import text_format
    from tfx.orchestration.portable import runtime_parameter_utils
    from tfx.proto.orchestration import pipeline_pb2

    folder = Path(request.compiled_dir)
    compiled = CompiledPipeline.load(folder)
    if changed := compiled.changed_sources(Path(request.pipelines_dir)):
        raise WorkerStop(
            f"{', '.join(changed)} changed since pipeline {request.pipeline} was compiled: run 'headrace compile'",
            WorkerExit.STALE_COMPILE,
        )
    pipeline = text_format.Parse(_read_ir(folder, compiled), pipeline_pb2.Pipeline())
    bindings = choose_values(request.pipeline, find_runtime_parameters(pipeline), request.parameters)
    runtime_parameter_utils.substitute_runtime_parameter(pipeline, {**bindings, RUN_ID_PARAMETER: request.run_id})
    for node in pipeline.nodes:
        if node.pipeline_node.node_info.id == request.node:
            return pipeline, node.pipeline_node
    raise ContractError(
        f"pipeline {request.pipeline} has no node {request.node!r}; "
        f"it has {', '.join(known.id for known in compiled.nodes)}"
    )


def _read_ir(folder: Path, compiled: CompiledPipeline) -> str:
    try:
        text = (folder / IR_FILE).read_bytes()
    except FileNotFoundError:
        raise ContractError(f"{folder / IR_FILE} does not exist: run 'headrace compile'") from None
    if hash_ir(text) != compiled.metadata.get(IR_DIGEST):
        raise ContractError(f"{folder / IR_FILE} is not what its nodes file describes: run 'headrace compile'")
    return text.decode()
