"""Processes forked from one that has imported Airflow: each its own, with its own log, killed and reaped alone."""

import configparser
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.cli.airflow_stack import STACK_MARK, AirflowStack
from headrace.cli.component_processes import TASKS, UNKNOWN_CODE, ComponentParent
from headrace.jobs.processes import find_marked, process_start_time
from headrace.settings import load_settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="components are forked on Linux only")

COMPONENT = """
import gc, json, os, random, signal, sys, threading, time
from airflow import plugins_manager, settings
from airflow.configuration import conf

print(json.dumps({
    "arguments": sys.argv[1:],
    "name": __name__,
    "leads_session": os.getsid(0) == os.getpid(),
    "threads": len(os.listdir("/proc/self/task")),
    "collects": gc.isenabled(),
    "handler": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
    "secrets": [conf.get("core", "fernet_key"), conf.get("api", "secret_key"), conf.get("api_auth", "jwt_secret")],
    "connections": settings.engine.pool.checkedin() + settings.engine.pool.checkedout(),
    "plugins": plugins_manager._get_plugins.cache_info().currsize,
    "imported": [name for name in ("great_expectations", "dbt.cli.main", "duckdb") if name in sys.modules],
    "drawn": [random.random(), float(sys.modules["numpy"].random.random()) if "numpy" in sys.modules else 0],
    "open": [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if int(fd) > 2],
}), flush=True)
if sys.argv[1] == "exit":
    sys.exit(int(sys.argv[2]))
time.sleep(60)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "dags").mkdir()
    (tmp_path / "component_for_test.py").write_text(COMPONENT)
    return {**AirflowStack(load_settings(tmp_path), port=1).environment(), "PYTHONPATH": str(tmp_path)}


@pytest.fixture
def parent(environment: dict[str, str], tmp_path: Path) -> Iterator[ComponentParent]:
    parent = ComponentParent(environment, tmp_path / "parent.log")
    yield parent
    parent.close()
    for pid in find_marked(STACK_MARK, environment[STACK_MARK]):
        os.kill(pid, signal.SIGKILL)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def read_said(log: Path) -> dict[str, object]:
    import json

    wait_for(lambda: log.exists() and log.read_text().strip())
    said: dict[str, object] = json.loads(log.read_text().splitlines()[-1])
    return said


def read_secrets(environment: dict[str, str]) -> list[str]:
    """Read what a process started by itself would: the new ``airflow.cfg``."""
    config = configparser.ConfigParser(interpolation=None)
    assert config.read(Path(environment["AIRFLOW_HOME"]) / "airflow.cfg")
    secrets = [config["core"]["fernet_key"], config["api"]["secret_key"], config["api_auth"]["jwt_secret"]]
    assert all(secrets)
    return secrets


def test_each_fork_is_a_process_of_its_own_as_if_it_had_been_started(
    parent: ComponentParent, environment: dict[str, str], tmp_path: Path
) -> None:
    light = parent.fork("light", "component_for_test", ["stay"], tmp_path / "light.log")
    heavy = parent.fork("heavy", "component_for_test", ["exit", "3"], tmp_path / "heavy.log", TASKS)
    other = parent.fork("other", "component_for_test", ["stay"], tmp_path / "other.log", TASKS)
    assert light is not None
    assert heavy is not None
    assert other is not None
    said = [read_said(tmp_path / f"{name}.log") for name in ("light", "heavy", "other")]
    for each in said:
        assert each["name"] == "__main__"
        assert each["leads_session"]
        assert each["collects"]
        assert each["handler"]
        assert each["threads"] == 1
        assert each["connections"] == 0, "a connection to Airflow's database crossed the fork"
        assert each["plugins"] == 0, "a project's plugins were read before the fork"
        assert not any("socket" in str(file) for file in each["open"]), each  # type: ignore[attr-defined]
    written = read_secrets(environment)
    assert all(each["secrets"] == written for each in said), "a token that one signs is refused by another"
    assert [each["arguments"] for each in said] == [["stay"], ["exit", "3"], ["stay"]]
    assert said[0]["imported"] != ["great_expectations", "dbt.cli.main", "duckdb"], "all pay for what tasks need"
    assert said[1]["imported"] == ["great_expectations", "dbt.cli.main", "duckdb"]
    assert len({tuple(each["drawn"]) for each in said}) == 3  # type: ignore[arg-type]
    assert len({each["drawn"][1] for each in said[1:]}) == 2, "two forks drew the same from numpy"  # type: ignore[index]

    assert heavy.wait(10) == 3
    assert light.poll() is None
    assert {light.pid, other.pid} <= set(find_marked(STACK_MARK, environment[STACK_MARK]))
    assert "component_for_test stay" in Path(f"/proc/{light.pid}/cmdline").read_text()
    os.kill(light.pid, signal.SIGKILL)
    assert light.wait(10) == -signal.SIGKILL
    assert other.poll() is None


def test_a_component_outlives_its_parent_and_its_end_is_still_noticed(parent: ComponentParent, tmp_path: Path) -> None:
    component = parent.fork("light", "component_for_test", ["stay"], tmp_path / "light.log")
    assert component is not None
    read_said(tmp_path / "light.log")
    os.kill(parent.pid, signal.SIGKILL)
    wait_for(lambda: not parent.is_alive())
    assert component.poll() is None
    os.kill(component.pid, signal.SIGKILL)
    assert component.wait(10) == UNKNOWN_CODE


def test_the_parent_ends_when_nobody_can_ask_it_any_more(environment: dict[str, str], tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace.airflow.component_parent", str(theirs.fileno())],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdout=log,
            stderr=log,
        )
    theirs.close()
    ours.close()
    assert process.wait(60) == 0, (tmp_path / "log").read_text()
    assert process_start_time(process.pid) is None


def test_a_parent_in_which_an_import_started_a_thread_refuses_to_fork(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A fork has one thread: what the others held stays held for ever."""
    package = tmp_path / "thready-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: thready\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[airflow.plugins]\nthready = thready:Plugin\n")
    (tmp_path / "thready.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=[60], daemon=True, name='of-thready').start()"
    )
    parent = ComponentParent(environment, tmp_path / "parent.log")
    try:
        assert parent.fork("light", "component_for_test", ["stay"], tmp_path / "light.log") is None
        assert "of-thready" in (tmp_path / "parent.log").read_text()
    finally:
        parent.close()
