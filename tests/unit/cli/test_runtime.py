"""``headrace runtime``: what it says, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runtime_stand_in import StandIn, alive, read_numbers, wait_for

from headrace.jobs.job import Job


@pytest.fixture(autouse=True)
def project(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    (stand_in.folder / "dags").mkdir()
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(stand_in.folder))
    monkeypatch.setenv("AIRFLOW__HEADRACE__STATE_DIR", str(stand_in.folder / "state"))
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_PYTHON", str(stand_in.python))


def headrace(*arguments: str) -> tuple[int, str]:
    program = Path(sys.executable).with_name("headrace")
    done = subprocess.run([str(program), "runtime", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout or done.stderr).strip()


def test_it_is_started_asked_and_stopped(stand_in: StandIn) -> None:
    assert headrace("status") == (3, "not running")
    assert json.loads(headrace("start", "--json")[1])["started"] is True
    assert headrace("start") == (0, "it ran already")
    job = stand_in.start("Trainer", "import time; time.sleep(600)")
    assert stand_in.said == [], "it was running"
    code, said = headrace("status")
    assert code == 0
    assert "running since" in said
    assert "ends itself after 30 minutes without a node" in said
    code, said = headrace("status", "--json")
    status = json.loads(said)
    assert (status["state"], status["pid"], status["is_current"]) == ("running", stand_in.pid, True)
    (node,) = status["nodes"]
    assert (node["dag_id"], node["run_id"], node["task_id"]) == ("dag", "run", "Trainer")
    assert node["folder"] == str(job.folder)
    assert 0 < node["memory_bytes"] < 1e9
    code, said = headrace("stop")
    assert code == 0
    assert said.endswith("stopped; these go on: dag run Trainer")
    assert job.is_running()
    assert headrace("status") == (3, "not running")
    assert headrace("stop") == (0, "it does not run; these go on: dag run Trainer")
    assert job.is_running()
    assert headrace("stop", "--now") == (0, "it does not run; ended: dag run Trainer"), "what a plain stop left"
    assert not job.is_running()
    assert headrace("stop") == (0, "it does not run")


def test_stop_now_ends_its_nodes_too(stand_in: StandIn) -> None:
    job = stand_in.start("Trainer", "import time; time.sleep(600)")
    pid = stand_in.pid
    assert headrace("stop", "--now")[1].endswith("ended: dag run Trainer")
    assert not job.is_running()
    wait_for(lambda: not alive(pid))


def test_one_that_hangs_is_said_to_and_can_be_killed_with_its_nodes(stand_in: StandIn, tmp_path: Path) -> None:
    jobs = [stand_in.start(name, moves_away(tmp_path / name)) for name in ("Trainer", "Evaluator")]
    members = [pid for name in ("Trainer", "Evaluator") for pid in read_numbers(tmp_path / name, 2)]
    fresh = Job(stand_in.folder / "runs" / "dag" / "run" / "fresh")
    fresh.start([sys.executable, "-c", "import time; time.sleep(600)"], stand_in.environment)
    pid = stand_in.pid
    os.kill(pid, signal.SIGSTOP)
    code, said = headrace("status")
    assert code == 1
    assert "did not answer within 5 s; where one hangs, 'headrace runtime stop --now' ends it" in said
    assert headrace("stop")[0] == 1
    assert alive(pid)
    code, said = headrace("stop", "--now", "--json")
    assert (code, sorted(json.loads(said)["nodes"])) == (0, ["dag run Evaluator", "dag run Trainer"])
    assert (json.loads(said)["pid"], json.loads(said)["killed"]) == (pid, True)
    wait_for(lambda: not any(alive(member) for member in [pid, *members]))
    assert not any(job.is_running() for job in jobs)
    assert fresh.is_running(), "it is none of the runtime's"


def moves_away(pids: Path) -> str:
    """A node that starts another process in a session of its own."""
    child = f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)"
    return (
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n{child}"
    )


@pytest.mark.parametrize("command", ["status", "start", "stop"])
def test_a_place_that_cannot_be_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "x" * 300)
    code, said = headrace(command)
    assert code == 1
    assert "The TFX runtime cannot be " in said
    assert "File name too long" in said
    assert "Traceback" not in said


def test_one_that_imports_still_is_said_to(stand_in: StandIn) -> None:
    stand_in.install(import_seconds=30)
    stand_in.client.start_in_background()
    wait_for(lambda: stand_in.client.read_process() is not None)
    pid = stand_in.pid
    assert headrace("status") == (3, f"starting: process {pid} imports TFX")
    assert json.loads(headrace("stop", "--json")[1])["killed"] is True
    assert headrace("status") == (3, "not running")
