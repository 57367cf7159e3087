"""The warm runtime beside ``headrace up``: started ahead, ended with it, and never in its way."""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping

import pytest
from runtime_stand_in import StandIn, alive, wait_for

from headrace.cli.stack_runtime import StackRuntime
from headrace.settings import load_settings

SLEEP = "import time; time.sleep(600)"


@pytest.fixture(autouse=True)
def project(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    (stand_in.folder / "dags").mkdir()
    pipeline = stand_in.folder / "tfx_pipelines" / "p"
    pipeline.mkdir(parents=True)
    (pipeline / "pipeline.py").touch()
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(stand_in.folder))
    monkeypatch.setenv("AIRFLOW__HEADRACE__STATE_DIR", str(stand_in.folder / "state"))
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_PYTHON", str(stand_in.python))


def make(environment: Mapping[str, str] = os.environ) -> StackRuntime:
    return StackRuntime(load_settings(), environment)


def test_it_is_started_ahead_and_ends_with_the_nodes_of_the_project(stand_in: StandIn) -> None:
    said: list[str] = []
    found = make()
    found.warm_up(said.append)
    wait_for(lambda: stand_in.client.read_process() is not None)
    stand_in.client.ensure_running()
    pid = stand_in.pid
    own = stand_in.start("own", SLEEP, runs_dir=stand_in.folder / "state" / "runs")
    other = stand_in.start("other", SLEEP)
    found.end()
    assert said == []
    assert stand_in.client.read_process() is None
    assert not own.is_running(), "Airflow has ended: nobody would take its result"
    assert other.is_running(), "of another project, whose Airflow may run"
    other.kill(grace_seconds=0)
    wait_for(lambda: not alive(pid))


def test_one_that_ran_before_is_left_alone(stand_in: StandIn) -> None:
    stand_in.client.ensure_running()
    pid = stand_in.pid
    found = make()
    found.warm_up(print)
    found.end()
    assert stand_in.pid == pid


def test_where_there_is_no_place_for_it_nodes_are_fresh_and_airflow_starts(stand_in: StandIn) -> None:
    said: list[str] = []
    found = make({**os.environ, "XDG_RUNTIME_DIR": "/" + "x" * 300})
    found.warm_up(said.append)
    found.end()
    (line,) = said
    assert line.startswith("TFX nodes will run in fresh processes: the TFX runtime cannot be used: ")
    assert line.endswith("File name too long: '/" + "x" * 300 + "'")


def test_where_nothing_can_be_written_to_a_temporary_folder_airflow_starts(stand_in: StandIn) -> None:
    make().end()  # what is written once is there
    code = (
        "import os\nfrom headrace.cli.stack_runtime import StackRuntime\nfrom headrace.settings import load_settings\n"
        "found = StackRuntime(load_settings(), dict(os.environ))\nfound.warm_up(print)\nfound.end()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),  # pipes can be written to, files not
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be used: [Errno 2] No usable temporary directory found" in done.stdout
