"""A copy of the project with state of its own, and a real Airflow on it."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.airflow_api import AirflowApi
from headrace.jobs.processes import find_marked
from headrace.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
HEADRACE = Path(sys.executable).with_name("headrace")
PARTS = ("dags", "dbt_project", "expectations", "tfx_pipelines")
GENERATED = shutil.ignore_patterns("target", "logs", "uncommitted", "__pycache__", "*.duckdb", ".headrace")


def clean_environment() -> dict[str, str]:
    """As a new user's: nothing of Headrace or Airflow is set."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "_AIRFLOW", "HEADRACE"))}


def start_headrace(project: Path, *arguments: str, output: Path) -> "subprocess.Popen[bytes]":
    with output.open("wb") as file:
        return subprocess.Popen(
            [HEADRACE, *arguments], cwd=project, env=clean_environment(), stdout=file, stderr=subprocess.STDOUT
        )


def run_headrace(project: Path, *arguments: str, timeout: float = 900) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [HEADRACE, *arguments],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def ask_headrace(project: Path, *arguments: str, allowed: tuple[int, ...] = (0,)) -> Any:
    """Return what a command says in JSON."""
    done = run_headrace(project, *arguments, "--json")
    assert done.returncode in allowed, done.stderr
    return json.loads(done.stdout)


def wait_for_line(output: Path, pattern: str, process: "subprocess.Popen[bytes]", seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while True:
        text = output.read_text(errors="replace") if output.exists() else ""
        found = re.search(pattern, text)
        if found:
            return found[0]
        assert process.poll() is None, f"it ended with {process.returncode}:\n{text[-4000:]}"
        assert time.monotonic() < deadline, f"no {pattern!r} after {seconds} s:\n{text[-4000:]}"
        time.sleep(0.2)


def left_behind(settings: Settings) -> list[str]:
    """The command lines of processes that belong to this project's Airflow, those that die meanwhile left out.

    Found by their mark, or by the folder they were started in: Airflow's workers rename themselves, and lose the mark.
    """
    time.sleep(2)
    marked = set(find_marked("HEADRACE_STACK", str(settings.state_dir / "airflow")))
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) in marked or (folder / "cwd").readlink().is_relative_to(settings.project_dir):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def listening_beyond_this_machine(settings: Settings) -> list[str]:
    """The addresses on which this project's Airflow can be reached from elsewhere."""
    inodes = set()
    for pid in find_marked("HEADRACE_STACK", str(settings.state_dir / "airflow")):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = row.split()
            if state == "0A" and rest[5] in inodes and local.partition(":")[0] != loopback:
                found.append(local)
    return found


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flights project and, as a neighbour in the same Airflow, somebody else's."""
    folder = tmp_path_factory.mktemp("e2e") / "project"
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=GENERATED)
    return add_penguins(folder)


def add_penguins(folder: Path) -> Path:
    """Put somebody else's project into a project's Airflow."""
    penguins = folder / "penguins"
    shutil.copytree(ROOT / "tests" / "foreign" / "penguins", penguins, ignore=GENERATED)
    # One DAG file of theirs in the common folder; it finds its project by its own place.
    dag_file = (penguins / "dags" / "penguins.py").read_text()
    (folder / "dags").mkdir(exist_ok=True)
    (folder / "dags" / "penguins.py").write_text(dag_file.replace("parents[1]", 'parents[1] / "penguins"'))
    return folder


@pytest.fixture(scope="session")
def settings(project: Path) -> Settings:
    return load_settings(project)


@pytest.fixture(scope="module")
def airflow(project: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowApi]:
    """Airflow as ``headrace up`` starts it; Ctrl-C ends it, and nothing is left."""
    output = tmp_path_factory.mktemp("up") / "output"
    process = start_headrace(project, "up", output=output)
    try:
        line = wait_for_line(output, r"Airflow is ready at http://127\.0\.0\.1:\d+", process, 240)
        assert listening_beyond_this_machine(settings) == []
        yield AirflowApi(line.rpartition(" ")[2])
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, output.read_text()[-2000:]
        assert left_behind(settings) == []
