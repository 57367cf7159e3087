"""The notifier as a process: killed at every step, stopped, started twice, and with Airflow's own connections."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from .conftest import Desk, Hooks, Mails, hook_route, mail_route

SCRIPT = Path(__file__).with_name("killed_notifier.py")
AFTER_THE_LEASE = "120"
MOST_SENT = {"while it is sent": 2, "after it was sent, before the mark": 2}
STEPS = [
    "before routing",
    "in the routing's transaction",
    "after routing",
    "before the lease",
    "after the lease",
    "while it is sent",
    "after it was sent, before the mark",
    "after the mark",
]


@pytest.fixture
def environment(desk: Desk, tmp_path: Path, airflow_home: Path) -> dict[str, str]:
    """The environment of a notifier that works on the desk's ledger."""
    return {
        **os.environ,
        **desk.environment,
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(tmp_path),
        "AIRFLOW__HEADRACE__NOTIFICATIONS_FILE": str(desk.file),
        "AIRFLOW_HOME": str(airflow_home),
    }


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    children: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, *arguments]
        children.append(subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE))
        return children[-1]

    yield start_one
    for child in children:
        child.kill()
        child.wait()


def wait_for(holds: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)


@pytest.mark.parametrize("step", STEPS)
def test_a_notifier_killed_at_any_step_loses_nothing(desk: Desk, hooks: Hooks, start: Start, step: str) -> None:
    desk.write_routes(hook_route())
    incident = desk.open_incident()
    desk.enqueue(incident, "opened", datetime.now(UTC))
    killed = start(str(SCRIPT), step, "0")
    assert killed.wait(180) == -signal.SIGKILL
    assert start(str(SCRIPT), "never", AFTER_THE_LEASE).wait(180) == 0
    wait_for(lambda: bool(hooks.received))
    assert 1 <= len(hooks.received) <= MOST_SENT.get(step, 1)
    assert len({headers["Idempotency-Key"] for _, headers, _ in hooks.received}) == 1
    assert desk.rows("state") == ["delivered"]


def test_what_was_sent_and_not_marked_is_sent_again_with_the_same_key(
    desk: Desk, hooks: Hooks, mails: Mails, start: Start
) -> None:
    desk.write_routes(mail_route())
    desk.enqueue(desk.open_incident(), "opened", datetime.now(UTC))
    assert start(str(SCRIPT), "after it was sent, before the mark", "0").wait(180) == -signal.SIGKILL
    assert start(str(SCRIPT), "never", "0").wait(180) == 0
    assert len(mails.received) == 1  # its lease holds still
    assert start(str(SCRIPT), "never", AFTER_THE_LEASE).wait(180) == 0
    first, second = mails.received
    assert first["Message-ID"] == second["Message-ID"] == "<headrace-notification-2@airflow.example>"


def test_two_notifiers_deliver_each_once(desk: Desk, hooks: Hooks, start: Start) -> None:
    desk.write_routes(*(hook_route(name, name, timeout=300) for name in ("a", "b", "c")))
    incidents = [desk.open_incident() for _ in range(8)]
    for incident in incidents:
        desk.enqueue(incident, "opened", datetime.now(UTC))
        desk.enqueue(incident, "resolved", datetime.now(UTC))
    # Nothing is answered before each of them has leased something: neither can do everything.
    hooks.hold = threading.Event()
    both = [start("-m", "headrace.airflow.notifier", "--json") for _ in range(2)]
    wait_for(lambda: len(set(desk.rows("lease_owner")) - {None}) == 2)
    hooks.hold.set()
    wait_for(lambda: len(hooks.received) >= 48)
    for one in both:
        one.terminate()
    said = [[json.loads(line) for line in one.communicate(timeout=120)[0].splitlines()] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert all(said), "one of them did everything"
    counts = Counter((path, document["incident"]["id"], document["change"]) for path, _, document in hooks.received)
    assert len(counts) == 48
    assert set(counts.values()) == {1}
    for route in ("/a", "/b", "/c"):
        for incident in incidents:
            told = [
                document["change"]
                for path, _, document in hooks.received
                if (path, document["incident"]["id"]) == (route, incident)
            ]
            assert told == ["opened", "resolved"]


def test_a_notifier_that_is_stopped_gives_back_what_hangs(desk: Desk, hooks: Hooks, start: Start) -> None:
    hooks.hang = threading.Event()
    desk.write_routes(hook_route(path="hangs"))
    desk.enqueue(desk.open_incident(), "opened", datetime.now(UTC))
    stopped = start("-m", "headrace.airflow.notifier")
    wait_for(lambda: desk.rows("lease_owner") not in ([], [None]))
    children = list(find_children(stopped.pid))
    stopped.terminate()
    assert stopped.wait(60) == 0
    assert desk.rows("state", "lease_owner") == [("pending", None)]
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    hooks.hang = None
    assert start("-m", "headrace.airflow.notifier", "--once").wait(180) == 0
    assert desk.rows("state") == ["delivered"]


def find_children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


@pytest.mark.parametrize("desk", ["sqlite"], indirect=True)
def test_the_ledger_may_come_later(desk: Desk, hooks: Hooks, start: Start, environment: dict[str, str]) -> None:
    """A notifier whose ledger cannot be opened says so and waits; with ``--once`` it ends."""
    environment["AIRFLOW__HEADRACE__STATE_DIR"] = "/proc/nowhere"
    environment.pop("AIRFLOW__HEADRACE__LEDGER_CONN_ID", None)
    assert start("-m", "headrace.airflow.notifier", "--once").wait(180) == 1


@pytest.mark.parametrize("desk", ["sqlite"], indirect=True)
def test_a_connection_of_the_metadata_database_is_found(
    desk: Desk, mails: Mails, start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    fields = json.loads(mails.connection)
    environment["AIRFLOW_HOME"] = str(tmp_path / "airflow")
    environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{tmp_path / 'airflow.db'}"
    del environment["AIRFLOW_CONN_MAIL"]
    for name in [name for name in environment if name.startswith("_AIRFLOW")]:
        del environment[name]
    (tmp_path / "airflow").mkdir()
    run_airflow(environment, "db", "migrate")
    run_airflow(environment, "connections", "add", "stored-mail", "--conn-json", json.dumps({
        **fields, "password": "correct horse", "login": "",
    }))  # fmt: skip
    route = mail_route(arguments={"smtp_conn_id": "stored-mail", "to": "a@example.com"})
    desk.write_routes(route)
    desk.enqueue(desk.open_incident(), "opened", datetime.now(UTC))
    done = start("-m", "headrace.airflow.notifier", "--once", "--json")
    said = json.loads(done.communicate(timeout=180)[0])
    assert said["error"] == ""
    assert len(mails.received) == 1


def run_airflow(environment: dict[str, str], *arguments: str) -> Any:
    command = [sys.executable, "-m", "airflow", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done
