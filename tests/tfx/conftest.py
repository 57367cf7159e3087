"""One warm TFX process for all tests, and a project folder in which its nodes run; orchestration interpreter."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.files import ContractError
from headrace.contracts.node_run import NodeOutcome, NodeRequest
from headrace.contracts.pipeline import CompiledPipeline

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # tests are imported by path; what they share lies beside them
TFX_PYTHON = Path(os.environ.get("HEADRACE_TFX_PYTHON") or ROOT / ".venv-tfx" / "bin" / "python")
FLIGHT_PIPELINES = ROOT / "tfx_pipelines"
PENGUIN_PIPELINES = ROOT / "tests" / "foreign" / "penguins" / "tfx_pipelines"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.tfx)


def build_environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "AIRFLOW"))}
    return {**kept, "PYTHONPATH": str(ROOT / "plugins"), "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass
class WarmWorker:
    """Forks one child a command."""

    process: "subprocess.Popen[str]"
    folder: Path
    _count: int = 0

    def start(self, argv: list[str], script: Path | None = None) -> tuple[int, Path]:
        """Start a command; returns its pid and its log."""
        self._count += 1
        log = self.folder / f"{self._count}.log"
        request = {"argv": argv, "log": str(log), **({"script": str(script)} if script else {})}
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._read()["pid"], log

    def wait(self) -> int:
        return self._read()["code"]  # type: ignore[no-any-return]

    def run(self, argv: list[str], script: Path | None = None) -> tuple[int, str]:
        """Run a command; returns its exit code and all that it said."""
        _, log = self.start(argv, script)
        code = self.wait()
        return code, log.read_text()

    def run_script(self, name: str, *argv: object) -> Any:
        """Run ``scripts/<name>.py`` and return the JSON in the last line it prints."""
        code, said = self.run([str(value) for value in argv], HERE / "scripts" / f"{name}.py")
        assert code == 0, said
        return json.loads(said.strip().splitlines()[-1])

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the warm worker died"
        return json.loads(line)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmWorker]:
    if not TFX_PYTHON.exists():
        pytest.fail(f"no TFX interpreter at {TFX_PYTHON}: run 'make setup', or set HEADRACE_TFX_PYTHON")
    folder = tmp_path_factory.mktemp("warm")
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [str(TFX_PYTHON), str(HERE / "warm_worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=build_environment(),
            start_new_session=True,
        )
    worker = WarmWorker(process, folder)
    try:
        assert worker._read() == {"ready": True}, (folder / "stderr").read_text()
        yield worker
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass
class Project:
    """A copy of pipelines that a test may edit, and the state of their runs."""

    warm: WarmWorker
    pipelines_dir: Path
    pipeline: str
    state_dir: Path
    logs: dict[str, str] = field(default_factory=dict)

    @property
    def compiled_dir(self) -> Path:
        return self.state_dir / "compiled" / self.pipeline

    def compile(self, *argv: str) -> tuple[int, str]:
        return self.warm.run(
            [
                *("compile", "--pipelines-dir", str(self.pipelines_dir), "--pipeline", self.pipeline),
                *("--out", str(self.compiled_dir), "--state-dir", str(self.state_dir), *argv),
            ]
        )

    def load_compiled(self) -> CompiledPipeline:
        return CompiledPipeline.load(self.compiled_dir)

    def request(self, node: str, run_id: str, rerun: bool = False, **parameters: Any) -> Path:
        job = self.state_dir / "jobs" / run_id.replace("/", "_") / node
        NodeRequest(
            pipeline=self.pipeline,
            node=node,
            compiled_dir=str(self.compiled_dir),
            pipelines_dir=str(self.pipelines_dir),
            run_id=run_id,
            parameters=parameters,
            rerun=rerun,
        ).write(job)
        return job

    def run_node(
        self, node: str, run_id: str, rerun: bool = False, **parameters: Any
    ) -> tuple[int, NodeOutcome | None]:
        """Run a node; returns the worker's exit code, and the outcome where there is one. The log is kept by node."""
        job = self.request(node, run_id, rerun, **parameters)
        code, self.logs[node] = self.warm.run(["node", "--job", str(job)])
        try:
            return code, NodeOutcome.load(job)
        except ContractError:
            return code, None

    def run_until(self, last: str, run_id: str, **parameters: Any) -> dict[str, NodeOutcome]:
        """Run all nodes up to and with ``last``; each must succeed."""
        outcomes: dict[str, NodeOutcome] = {}
        for node in self.load_compiled().nodes:
            code, outcome = self.run_node(node.id, run_id, **parameters)
            assert outcome is not None, self.logs[node.id]
            assert code == 0, self.logs[node.id]
            outcomes[node.id] = outcome
            if node.id == last:
                break
        return outcomes

    def edit(self, file: str, old: str, new: str) -> Callable[[], None]:
        """Edit a file of the pipeline; returns what puts it back."""
        path = self.pipelines_dir / self.pipeline / file
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
        return lambda: (path.write_text(before), None)[1]


def make_project(warm: WarmWorker, folder: Path, source: Path, pipeline: str) -> Project:
    pipelines_dir = folder / "tfx_pipelines"
    shutil.copytree(source, pipelines_dir, ignore=shutil.ignore_patterns("__pycache__"))
    return Project(warm, pipelines_dir, pipeline, folder / "state")


def add_pipeline(project: Project, source: Path) -> None:
    """Put a pipeline of the tests beside those of a project."""
    shutil.copytree(source, project.pipelines_dir / source.name, ignore=shutil.ignore_patterns("__pycache__"))


def wait_for(path: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def by_column(outcome: NodeOutcome) -> Mapping[str | None, str]:
    """Return the messages of the checks that did not pass, by column."""
    return {check.column: check.message for check in outcome.checks if not check.passed}


@pytest.fixture(scope="session")
def penguins(warm: WarmWorker, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Somebody else's pipeline over two years of birds, compiled."""
    from penguin_data import write_penguin_features

    folder = tmp_path_factory.mktemp("penguins")
    project = make_project(warm, folder, PENGUIN_PIPELINES, "penguin")
    write_penguin_features(project.state_dir / "features" / "penguin_features")
    code, said = project.compile()
    assert code == 0, said
    return project


@pytest.fixture(scope="session")
def penguin_run(penguins: Project) -> dict[str, NodeOutcome]:
    """The outcomes of one whole run."""
    return penguins.run_until("Pusher", "first")


@pytest.fixture(scope="session")
def flights(warm: WarmWorker, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The flight delay pipeline, compiled; a test writes the features that it wants."""
    project = make_project(warm, tmp_path_factory.mktemp("flights"), FLIGHT_PIPELINES, "flight_delay")
    code, said = project.compile()
    assert code == 0, said
    return project
