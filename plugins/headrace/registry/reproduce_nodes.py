"""Running the nodes of a compiled pipeline one after the other, without Airflow; orchestration interpreter."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.files import ContractError
from headrace.contracts.node_run import NodeOutcome, NodeRequest
from headrace.contracts.pipeline import CompiledPipeline, Node
from headrace.exceptions import ReproductionError
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job, JobExit
from headrace.jobs.runtime import start_worker
from headrace.settings import load_tfx_runtime_settings

RUN_ID = "reproduce"
LEASE_SECONDS = 60
SHOWN_LINES = 20
_SAVED_MODEL_FOLDER = "Format-Serving"  # of TFX's Model artifacts
_FORKED = "process "


@dataclass(frozen=True)
class NodeSeconds:
    """A node that was run: MLMD's state of it, and wall time."""

    node: str
    state: str
    seconds: float


def run_nodes(
    tfx_python: Path,
    pipeline: str,
    pipelines_dir: Path,
    compiled_dir: Path,
    state_dir: Path,
    parameters: Mapping[str, Any],
    say: Callable[[str], None],
) -> tuple[list[NodeOutcome], list[NodeSeconds]]:
    """Run every node but the Pushers, and what waits for one.

    Args:
        tfx_python: The TFX interpreter.
        pipeline: Name.
        pipelines_dir: Its sources.
        compiled_dir: What it was compiled to.
        state_dir: Where each node's job folder is made.
        parameters: Values of runtime parameters.
        say: Takes a line of progress.

    Returns:
        What each node came to, in order.

    Raises:
        ReproductionError: A node failed; the message has what it said last.
    """
    outcomes, timed = [], []
    for node in _list_wanted(CompiledPipeline.load(compiled_dir).nodes):
        job = Job(state_dir / "jobs" / node.id, lease_seconds=LEASE_SECONDS)
        NodeRequest(
            pipeline=pipeline,
            node=node.id,
            compiled_dir=str(compiled_dir),
            pipelines_dir=str(pipelines_dir),
            run_id=RUN_ID,
            parameters=parameters,
        ).write(job.folder)
        began = time.monotonic()
        end, lines = _run(job, tfx_python, state_dir, say)
        outcome = _load_outcome(job, node, end, lines)
        done = NodeSeconds(node.id, outcome.state, round(time.monotonic() - began, 1))
        say(f"{done.node}: {done.state.lower()}, {done.seconds:.1f} s")
        outcomes.append(outcome)
        timed.append(done)
    return outcomes, timed


def list_read(outcomes: Sequence[NodeOutcome]) -> dict[str, str]:
    """Return, by partition, the digest of what the ExampleGens read; of those that say so."""
    found: dict[str, str] = {}
    for outcome in outcomes:
        for artifact in _list_made(outcome, "Examples"):
            said = (artifact.get("properties") or {}).get("partition_digests")
            found |= json.loads(said) if isinstance(said, str) else {}
    return found


def find_model(outcomes: Sequence[NodeOutcome]) -> Path | None:
    """Return the SavedModel that a Trainer made, the last one of several; None where none did."""
    made = [
        Path(str(artifact["uri"]).removeprefix("file://")) / _SAVED_MODEL_FOLDER
        for outcome in outcomes
        if outcome.features is not None or "trainer" in str(outcome.execution_type).lower()
        for artifact in _list_made(outcome, "Model")
    ]
    return next((folder for folder in reversed(made) if folder.is_dir()), None)


def _list_wanted(nodes: Sequence[Node]) -> list[Node]:
    left_out: set[str] = set()
    for node in nodes:  # in a topological order
        if node.is_pusher or left_out.intersection(node.upstream):
            left_out.add(node.id)
    return [node for node in nodes if node.id not in left_out]


def _list_made(outcome: NodeOutcome, kind: str) -> list[Mapping[str, Any]]:
    return [each for found in outcome.outputs.values() for each in found if each.get("type") == kind]


def _run(job: Job, tfx_python: Path, state_dir: Path, say: Callable[[str], None]) -> tuple[JobExit, list[str]]:
    runtime, lines = load_tfx_runtime_settings(), list[str]()

    def tell(line: str) -> None:
        if not line.startswith(_FORKED):
            say(line)

    try:
        start_worker(
            job,
            tfx_python,
            ["node", "--job", str(job.folder)],
            build_worker_environment(state_dir),
            runtime.limits,
            tell,
            use_runtime=runtime.enabled,
        )
        return job.follow(lines.append), lines
    except BaseException:  # Ctrl-C above all: what was started ends with us
        job.kill()
        raise


def _load_outcome(job: Job, node: Node, end: JobExit, lines: Sequence[str]) -> NodeOutcome:
    try:
        outcome = NodeOutcome.load(job.folder)
    except ContractError:
        outcome = None
    if outcome is not None and outcome.succeeded and end.code == 0:
        return outcome
    why = (outcome.error if outcome is not None else None) or end.describe()
    said = "\n".join(lines[-SHOWN_LINES:])
    raise ReproductionError(f"{node.id} failed: {why}. It said last:\n{said}", node=node.id)
