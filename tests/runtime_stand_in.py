"""A warm runtime of which all is real but TFX: a stand-in plays the interpreter, and nodes are lines of Python."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job, JobExit
from headrace.jobs.limits import NodeLimits
from headrace.jobs.processes import find_marked, process_start_time
from headrace.jobs.runtime import RuntimeClient, start_worker

INTERPRETER = """#!{python}
import os, sys, time
from pathlib import Path
from headrace.jobs import supervise
from headrace.jobs.memory import measure_memory
from headrace.jobs.processes import find_marked
from headrace.jobs.runtime_place import RuntimePlace
from headrace.tfx_worker.runtime import node_process, serve

def run_code(argv):
    exec(argv[0], {{"WHERE": where}})
    return 0

node_process.main = run_code
supervise.GRACE_SECONDS = 0.3
if {machine_bytes}:
    # A small machine, on which only this runtime and its nodes run; they use what they really use.
    ours = lambda: find_marked("XDG_RUNTIME_DIR", os.environ["XDG_RUNTIME_DIR"])
    serve.available_memory = lambda: {machine_bytes} - measure_memory(ours())
    serve.NEEDED_BYTES = {node_bytes}
where = "fresh"
if sys.argv[3] == "runtime":
    where = "warm"
    open({started!r}, "a").write("x")
    values = dict(zip(sys.argv[4::2], sys.argv[5::2]))
    place = RuntimePlace(Path(values["--folder"]), values["--key"])
    sys.exit(serve.serve(place, values["--fingerprint"], lambda: time.sleep({import_seconds})))
sys.exit(run_code(sys.argv[3:]))
"""


NODE_BYTES = 100_000_000  # what a node of a small machine is taken to need


@dataclass
class StandIn:
    """An interpreter of a test, and the runtime that it becomes."""

    folder: Path
    runtime_dir: Path
    said: list[str] = field(default_factory=list)  # but for the line that tells which process it is
    forked: list[str] = field(default_factory=list)
    limits: NodeLimits = field(default_factory=lambda: NodeLimits(most_nodes=4))

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def environment(self) -> dict[str, str]:
        return build_worker_environment(self.folder / "state")

    @property
    def client(self) -> RuntimeClient:
        return RuntimeClient(self.python, self.environment)

    @property
    def times_started(self) -> int:
        file = self.folder / "started"
        return len(file.read_text()) if file.exists() else 0

    @property
    def pid(self) -> int:
        pid = self.client.read_process()
        assert pid is not None
        return pid

    def install(self, import_seconds: float = 0, machine_bytes: int = 0) -> None:
        """Write the interpreter.

        Args:
            import_seconds: What it takes to import TFX.
            machine_bytes: The memory of the machine; 0: what it has.
        """
        self.python.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / "venv" / "pyvenv.cfg").write_text("version_info = 3.10\n")
        started = str(self.folder / "started")
        self.python.write_text(
            INTERPRETER.format(
                python=sys.executable,
                started=started,
                import_seconds=import_seconds,
                machine_bytes=machine_bytes,
                node_bytes=NODE_BYTES,
            )
        )
        self.python.chmod(0o755)

    def limit(self, **changes: float) -> None:
        self.limits = replace(self.limits, **changes)

    def start(
        self,
        name: str,
        code: str,
        is_cancelled: Callable[[], bool] = lambda: False,
        lease_seconds: float = 900,
        runs_dir: Path | None = None,
    ) -> Job:
        job = Job((runs_dir or self.folder / "runs") / "dag" / "run" / name, lease_seconds)
        job.poll_seconds = 0.02
        start_worker(job, self.python, [code], self.environment, self.limits, self._say, is_cancelled=is_cancelled)
        return job

    def _say(self, line: str) -> None:
        (self.forked if "forked from" in line else self.said).append(line)

    def run(self, name: str, code: str) -> tuple[JobExit, list[str]]:
        return follow(self.start(name, code))


def follow(job: Job) -> tuple[JobExit, list[str]]:
    lines: list[str] = []
    return job.follow(lines.append), lines


def alive(pid: int) -> bool:
    return process_start_time(pid) is not None


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def read_numbers(file: Path, count: int) -> list[int]:
    """Wait until a node has written so many numbers, and return them."""
    wait_for(lambda: file.exists() and len(file.read_text().split()) == count)
    return [int(number) for number in file.read_text().split()]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    # A socket's path is short; pytest's folders need not be.
    runtime_dir = Path(tempfile.mkdtemp(prefix="hr-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_dir))
    found = StandIn(tmp_path, runtime_dir)
    found.install()
    yield found
    for job in (tmp_path / "runs").glob("*/*/*"):
        Job(job).kill(grace_seconds=0)
    for pid in find_marked("XDG_RUNTIME_DIR", str(runtime_dir)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(runtime_dir)
