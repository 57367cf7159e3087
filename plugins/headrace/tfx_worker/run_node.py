"""Runs one node of a compiled pipeline and writes its outcome; TFX interpreter.

:func:`run_node` is all that a process does for one node, fresh or forked from a warm parent.
"""

import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.contracts.node_run import OUTCOME_FILE, NodeOutcome, NodeRequest
from headrace.contracts.statistics import STATISTICS_FILE, write_statistics
from headrace.contracts.worker_exit import WorkerExit
from headrace.jobs.disks import is_disk_full
from headrace.tfx_worker.attempts import point_to_attempts
from headrace.tfx_worker.code_digest import add_code_digest, describe_code
from headrace.tfx_worker.compiled_ir import load_ir
from headrace.tfx_worker.environment import import_tfx
from headrace.tfx_worker.errors import describe_failure
from headrace.tfx_worker.metadata_store import NodeExecution, connect, find_execution
from headrace.tfx_worker.outcome import build_outcome
from headrace.tfx_worker.report_statistics import find_statistics, report_statistics


def run_node(job_dir: Path) -> int:
    """Run the node of ``request.json`` and write ``outcome.json`` beside it, and what statistics it made.

    Whether it succeeded is what ML Metadata says, not what a call returned. A node that already succeeded in this run
    is not run again (unless the request says so); its outcome is reported once more from what it stored. One that
    failed or was killed is run under an execution of its own, after what the failed one left behind is removed.

    Args:
        job_dir: The job's folder.

    Returns:
        A :class:`WorkerExit`.

    Raises:
        ContractError: The request or what was compiled cannot be used; there is no outcome.
        WorkerStop: The compile is stale or TFX cannot be imported; there is no outcome.
    """
    for left in (OUTCOME_FILE, STATISTICS_FILE):
        (job_dir / left).unlink(missing_ok=True)
    request = NodeRequest.load(job_dir)
    pipelines_dir = Path(request.pipelines_dir).resolve()
    started = time.monotonic()
    import_tfx()
    sys.path.insert(0, str(pipelines_dir))
    pipeline, node = load_ir(request)
    print(f"[{request.node}] TFX ready in {time.monotonic() - started:.1f} s; run {request.run_id}")
    started = time.monotonic()
    code = add_code_digest(pipeline, node, pipelines_dir)
    handle = connect(pipeline)
    with handle as opened:
        abandoned = point_to_attempts(pipeline, node, opened.store, request.run_id, request.rerun)
    if abandoned is not None:
        print(f"[{request.node}] did not succeed before (execution {abandoned.id}): removing what it left, running it")
        _remove_leftovers(pipeline, node, abandoned.id)
    error = None
    execution = find_execution(handle, node)
    if execution is not None:
        print(f"[{request.node}] already {execution.state} in this run (execution {execution.id}): nothing to do")
    else:
        error = _launch(pipeline, node, handle, pipelines_dir)
        if error is not None:
            error += _name_full_disk(pipeline, job_dir)
        execution = find_execution(handle, node)
    seconds = time.monotonic() - started
    outcome = build_outcome(node, execution, error, seconds, partition_of(request))
    outcome = replace(outcome, code=describe_code(node, code, pipelines_dir, outcome.code_digest))
    _print_end(outcome, execution)
    if outcome.succeeded and (statistics := report_statistics(find_statistics(execution))):
        write_statistics(job_dir, statistics)
    outcome.write(job_dir)  # last: it says that all is written
    if outcome.state == "UNRESOLVED":
        return WorkerExit.INPUTS_UNRESOLVED
    return WorkerExit.OK if outcome.succeeded else WorkerExit.NODE_FAILED


def partition_of(request: NodeRequest) -> str | None:
    """Return the partition that a run is about, where its pipeline has such a runtime parameter."""
    key = request.parameters.get("partition_key")
    return None if key is None else str(key)


def _launch(pipeline: Any, node: Any, handle: Any, pipelines_dir: Path) -> str | None:
    """Run the node by TFX's own launcher.

    Returns:
        Why it failed, in one sentence; None where its code did not raise.
    """
    from tfx.orchestration.local import runner_utils
    from tfx.orchestration.portable import launcher

    config = runner_utils.extract_local_deployment_config(pipeline)
    node_id = node.node_info.id
    try:
        launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=handle,
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(config, node_id),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(config, node_id),
        ).launch()
    # Users' code may raise anything, and sys.exit() within it must not look like a success.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        traceback.print_exc()
        return describe_failure(error, pipelines_dir)
    return None


def _name_full_disk(pipeline: Any, job_dir: Path) -> str:
    """Say which disk is full, if one is: what SQLite and TensorFlow say of it often does not have the word."""
    places = (Path(pipeline.runtime_spec.pipeline_root.field_value.string_value), job_dir)
    full = next((place for place in places if is_disk_full(place)), None)
    return f"; the disk of {full} is full" if full else ""


def _remove_leftovers(pipeline: Any, node: Any, execution_id: int) -> None:
    """Remove half-written outputs of an attempt that failed or was killed, so that the next does not add to them."""
    from tfx.dsl.io import fileio
    from tfx.orchestration.portable import outputs_utils

    resolver = outputs_utils.OutputsResolver(node, pipeline.pipeline_info, pipeline.runtime_spec)
    left = [artifact for found in resolver.generate_output_artifacts(execution_id).values() for artifact in found]
    for uri in (*(artifact.uri for artifact in left if not artifact.is_external), resolver.make_tmp_dir(execution_id)):
        if fileio.isdir(uri):
            fileio.rmtree(uri)
        elif fileio.exists(uri):
            fileio.remove(uri)


def _print_end(outcome: NodeOutcome, execution: NodeExecution | None) -> None:
    for kind, artifacts in (
        ("read", execution.inputs if execution else {}),
        ("wrote", execution.outputs if execution else {}),
    ):
        for key, found in artifacts.items():
            for artifact in found:
                print(f"[{outcome.node}] {kind} {key}: {artifact.uri}")
    failed = [check for check in outcome.checks if not check.passed]
    for check in failed:
        print(f"[{outcome.node}] {check.status.value.upper()}: {check.message}")
    if outcome.checks:
        print(f"[{outcome.node}] {len(outcome.checks) - len(failed)} of {len(outcome.checks)} checks passed")
    why = f": {outcome.error}" if outcome.error else ""
    print(f"[{outcome.node}] {outcome.state} in {outcome.seconds:.1f} s{why}")
