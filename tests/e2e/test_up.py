"""``headrace up`` on a project that is new: its components are one family, and each can be killed."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import left_behind, run_headrace, start_headrace, wait_for_line
from tests.e2e.test_chain import wait_for

from headrace.cli.airflow_api import AirflowApi
from headrace.cli.airflow_stack import STACK_MARK
from headrace.jobs.processes import find_marked, process_start_time
from headrace.settings import Settings, load_settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAG = """
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("nothing", schedule=None):
    PythonOperator(task_id="nothing", python_callable=lambda: None)
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[[], tuple[Settings, AirflowApi, "subprocess.Popen[bytes]"]]]:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "nothing.py").write_text(DAG)
    started = []

    def start() -> tuple[Settings, AirflowApi, "subprocess.Popen[bytes]"]:
        process = start_headrace(tmp_path, "up", output=tmp_path / "output")
        started.append(process)
        line = wait_for_line(tmp_path / "output", r"Airflow is ready at http://127\.0\.0\.1:\d+", process, 240)
        return load_settings(tmp_path), AirflowApi(line.rpartition(" ")[2]), process

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def find_component(settings: Settings, title: str) -> int:
    """Return the pid of the process whose command line holds the title: of several the one that leads them."""
    found = []
    for pid in find_marked(STACK_MARK, str(settings.state_dir / "airflow")):
        with contextlib.suppress(OSError):  # it was a short one: of a DAG file, or of a task
            if title in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
                found.append((os.getsid(pid) != pid, process_start_time(pid) or 0, pid))
    assert found, title
    return min(found)[-1]


def run_nothing(api: AirflowApi) -> None:
    api.wait_for_dag("nothing")
    run_id = api.trigger("nothing", None)
    wait_for(lambda: api.run("nothing", run_id)["state"] in ("success", "failed"), "the run ends", 90)
    assert api.run("nothing", run_id)["state"] == "success"


def test_a_new_project_runs_a_task_and_goes_on_without_the_parent_until_ctrl_c(
    up: Callable[[], tuple[Settings, AirflowApi, "subprocess.Popen[bytes]"]], tmp_path: Path
) -> None:
    settings, api, process = up()
    run_nothing(api)  # with the secrets that a new airflow.cfg got

    second = run_headrace(tmp_path, "up", timeout=60)
    assert second.returncode == 3
    assert "already runs at" in second.stderr

    os.kill(find_component(settings, "component_parent"), signal.SIGKILL)
    os.kill(find_component(settings, "headrace.airflow.notifier"), signal.SIGKILL)
    wait_for(lambda: "notifier ended with code" in (tmp_path / "output").read_text(), "the notifier is missed", 60)
    run_nothing(api)

    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert left_behind(settings) == []


def test_of_two_that_are_started_at_once_one_says_so_and_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    outputs = [tmp_path / "one", tmp_path / "other"]
    both = [start_headrace(tmp_path, "up", output=output) for output in outputs]
    try:
        wait_for(lambda: any(each.poll() is not None for each in both), "one of them ends", 60)
        loser = 0 if both[0].poll() is not None else 1
        said = " ".join(outputs[loser].read_text().split())
        assert both[loser].returncode == 3, said
        assert "Another Headrace command is starting Airflow for " in said or "already runs at" in said
        wait_for_line(outputs[1 - loser], "Airflow is ready", both[1 - loser], 240)
    finally:
        for each in both:
            each.send_signal(signal.SIGINT)
    assert both[1 - loser].wait(60) == 130
    assert left_behind(load_settings(tmp_path)) == []


@pytest.mark.parametrize("component", ["api_server", "scheduler", "dag-processor", "triggerer"])
def test_a_killed_component_ends_airflow_and_is_named(
    up: Callable[[], tuple[Settings, AirflowApi, "subprocess.Popen[bytes]"]], tmp_path: Path, component: str
) -> None:
    settings, _, process = up()
    os.kill(find_component(settings, f"airflow {component}"), signal.SIGKILL)
    assert process.wait(60) == 1
    assert f"airflow {component.replace('_', '-')} ended with code -9" in (tmp_path / "output").read_text()
    assert left_behind(settings) == []


def test_what_a_killed_up_left_behind_is_ended_by_the_next(
    up: Callable[[], tuple[Settings, AirflowApi, "subprocess.Popen[bytes]"]], tmp_path: Path
) -> None:
    settings, api, process = up()
    workers = find_component(settings, "airflow worker")
    process.kill()
    process.wait()
    settings, api, process = up()
    assert "that an interrupted run left behind" in (tmp_path / "output").read_text()
    assert workers not in set(find_marked(STACK_MARK, str(settings.state_dir / "airflow")))
    run_nothing(api)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert left_behind(settings) == []
