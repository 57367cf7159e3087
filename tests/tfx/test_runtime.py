"""Real nodes through the real runtime; both interpreters."""

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import TFX_PYTHON, Project, WarmWorker
from flight_data import write_flight_features
from small_disk import fill_disk, mount_small_disk

from headrace.contracts.node_run import NodeOutcome
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job, JobExit
from headrace.jobs.limits import NodeLimits
from headrace.jobs.runtime import RuntimeClient, start_worker

PAIRS = 10


@dataclass
class Runtime:
    """The runtime of this session."""

    environment: dict[str, str]
    said: list[str] = field(default_factory=list)

    @property
    def client(self) -> RuntimeClient:
        return RuntimeClient(TFX_PYTHON, self.environment)

    def run(self, folder: Path, use_runtime: bool = True) -> tuple[JobExit, list[str]]:
        job = Job(folder)
        argv = ["node", "--job", str(folder)]
        limits = NodeLimits(most_nodes=4)
        start_worker(job, TFX_PYTHON, argv, self.environment, limits, self.said.append, use_runtime=use_runtime)
        lines: list[str] = []
        return job.follow(lines.append), lines


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    folder = Path(tempfile.mkdtemp(prefix="hr-"))
    environment = build_worker_environment(tmp_path_factory.mktemp("state")) | {"XDG_RUNTIME_DIR": str(folder)}
    found = Runtime(environment)
    found.client.ensure_running()
    yield found
    pid = found.client.read_process()
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)


def compare(outcome: NodeOutcome) -> tuple[Any, ...]:
    """Return what two runs of a node have in common: all but ids, places and seconds."""
    outputs = {
        key: [(artifact["type"], sorted(artifact["properties"])) for artifact in artifacts]
        for key, artifacts in outcome.outputs.items()
    }
    return outcome.node, outcome.state, outputs, outcome.checks, outcome.blessed, outcome.error


def test_a_parent_that_has_imported_has_run_nothing(warm: WarmWorker) -> None:
    code, said = warm.run([], Path(__file__).parent / "scripts" / "look_at_warm_parent.py")
    assert code == 0, said
    assert '"threads": ["MainThread"]' in said
    assert '"has_run_an_operation": false' in said
    assert '"cuda": false' in said
    assert '"pipeline_code": true' in said
    assert '"kubernetes_when_asked": "KubernetesRunner"' in said


def test_nodes_come_to_what_fresh_processes_come_to(
    warm: WarmWorker, runtime: Runtime, penguins: Project, tmp_path: Path
) -> None:
    seen = []
    for use_runtime in (True, False):
        project = Project(warm, penguins.pipelines_dir, "penguin", tmp_path / str(use_runtime))
        shutil.copytree(penguins.state_dir / "features", project.state_dir / "features")
        assert project.compile()[0] == 0
        outcomes = []
        for node in ("FileBasedExampleGen", "StatisticsGen", "SchemaGen"):
            folder = project.request(node, "run")
            end, lines = runtime.run(folder, use_runtime)
            assert end.code == 0, lines
            outcomes.append(compare(NodeOutcome.load(folder)))
        seen.append(outcomes)
    assert seen[0] == seen[1]
    assert {outcome[1] for outcome in seen[0]} == {"COMPLETE"}
    assert not any("a fresh process" in line for line in runtime.said)


def test_an_edited_module_takes_effect_without_a_restart(
    runtime: Runtime, penguins: Project, penguin_run: dict[str, NodeOutcome]
) -> None:
    penguins.run_until("Transform", "edited while warm")
    before = runtime.client.read_process()
    restore = penguins.edit("model.py", "keras.utils.set_random_seed(1)", "raise ArithmeticError('no warm fish')")
    try:
        folder = penguins.request("Trainer", "edited while warm")
        assert runtime.run(folder)[0].code == 10
        assert NodeOutcome.load(folder).error == "ArithmeticError: no warm fish (at penguin/model.py:9 in run_fn)"
    finally:
        restore()
    end, lines = runtime.run(penguins.request("Trainer", "edited while warm"))
    assert end.code == 0, lines
    assert runtime.client.read_process() == before


def test_a_segmentation_fault_ends_the_node_alone(
    runtime: Runtime, penguins: Project, penguin_run: dict[str, NodeOutcome]
) -> None:
    penguins.run_until("Transform", "segfault")
    before = runtime.client.read_process()
    restore = penguins.edit("model.py", "keras.utils.set_random_seed(1)", "import ctypes; ctypes.string_at(0)")
    try:
        end, _ = runtime.run(penguins.request("Trainer", "segfault"))
    finally:
        restore()
    assert end.describe() == "was ended by signal 11 (segmentation fault in native code)"
    assert runtime.client.read_process() == before


def test_a_full_disk_under_a_real_node_is_named_and_a_retry_with_room_completes(
    warm: WarmWorker, runtime: Runtime, penguins: Project, tmp_path: Path
) -> None:
    with mount_small_disk(tmp_path / "disk", megabytes=16) as disk:
        project = Project(warm, penguins.pipelines_dir, "penguin", disk)
        shutil.copytree(penguins.state_dir / "features", project.state_dir / "features")
        assert project.compile()[0] == 0
        project.run_until("FileBasedExampleGen", "full")
        on_disk = project.request("StatisticsGen", "full")
        elsewhere = shutil.copytree(on_disk, tmp_path / "job")
        # Without any room ML Metadata cannot begin; with a little the node runs, and it cannot be said that it has.
        for room, folder in ((0, elsewhere), (100_000, on_disk)):
            filler = fill_disk(disk)
            os.truncate(filler, filler.stat().st_size - room)
            end, lines = runtime.run(folder)
            assert end.code == 10, lines
            outcome = NodeOutcome.load(folder)
            assert outcome.state == "FAILED"
            assert (outcome.error or "").endswith(f"; the disk of {disk / 'tfx' / 'penguin'} is full")
            filler.unlink()
        end, lines = runtime.run(on_disk)
        assert end.code == 0, lines
        assert NodeOutcome.load(on_disk).state == "COMPLETE"


def test_nodes_of_one_run_run_at_once(runtime: Runtime, flights: Project) -> None:
    write_flight_features(flights.state_dir / "features" / "flight_features", "2008-01")
    nodes = ("ImportSchemaGen", "ParquetExampleGen", "latest_blessed_model_resolver")
    runs = [f"at once {number}" for number in range(PAIRS)]
    for run_id in runs:
        folders = [flights.request(node, run_id, partition_key="2008-01", window=1) for node in nodes]
        with ThreadPoolExecutor(len(nodes)) as pool:
            for end, lines in pool.map(runtime.run, folders):
                assert end.code == 0, lines
        for folder in folders:
            assert NodeOutcome.load(folder).succeeded
    with sqlite3.connect(flights.state_dir / "tfx" / "metadata.sqlite") as database:
        query = """
            select count(*), count(distinct execution_id) from Association join Context on Context.id = context_id
            join Execution on Execution.id = execution_id
            where Context.name like 'at once %' and last_known_state in (3, 5)
        """
        assert database.execute(query).fetchone() == (PAIRS * len(nodes), PAIRS * len(nodes))
