"""Decisions at the command line, beside an Airflow that answers."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from headrace.cli.airflow_stack import STACK_FILE
from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.files import write_json
from headrace.jobs.processes import process_start_time
from headrace.ledger.database import open_ledger
from headrace.ledger.queries import load_incident
from headrace.ledger.recording import record_results
from headrace.ledger.views import TaskTry
from headrace.settings import Settings

from .conftest import Run


@dataclass
class Airflow:
    """The edge of Airflow that clearing goes through: it notes what it is asked, and answers ``cleared``."""

    cleared: int = 4
    asked: list[tuple[str, Any]] = field(default_factory=list)


@pytest.fixture
def airflow(project: Settings) -> Iterator[Airflow]:
    told = Airflow()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({"access_token": "a-token"})

        def do_POST(self) -> None:
            told.asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.answer({"total_entries": told.cleared})

        def answer(self, body: Any) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack = {
        "pid": os.getpid(),
        "started": process_start_time(os.getpid()),
        "url": f"http://127.0.0.1:{server.server_port}",
    }
    (project.state_dir / STACK_FILE).parent.mkdir(parents=True, exist_ok=True)
    write_json(project.state_dir / STACK_FILE, stack)
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def two_incidents(project: Settings) -> None:
    """Of one gate, so that both wait for the same task."""
    results = [
        CheckResult(
            "gx", "raw_weather", "2013-02", f"check_{number}", None, Severity.CRITICAL, Status.FAILED, "it fails"
        )
        for number in (1, 2)
    ]
    with open_ledger(project.ledger_path) as ledger:
        record_results(ledger, TaskTry("flights_dataops", "manual__2013-02", "check_raw"), results)


def test_incidents_that_wait_for_one_task_clear_it_once(type_in: Run, airflow: Airflow) -> None:
    done = type_in("incidents", "waive", "1", "2", "--reason", "known", "--json")
    assert done.returncode == 0, done.stderr
    ((path, body),) = airflow.asked
    assert path == "/api/v2/dags/flights_dataops/clearTaskInstances"
    assert (body["task_ids"], body["include_downstream"]) == (["check_raw"], True)
    outcomes = json.loads(done.stdout)
    assert [each["id"] for each in outcomes] == [1, 2]
    assert [rerun["rerun"] for each in outcomes for rerun in each["reruns"]] == ["cleared 4 tasks"] * 2


def test_clearing_nothing_is_a_failure(type_in: Run, airflow: Airflow) -> None:
    airflow.cleared = 0
    done = type_in("incidents", "waive", "1", "--reason", "known")
    assert done.returncode == 1
    assert "nothing was cleared: Airflow knows no such task in that run" in " ".join(done.stdout.split())


def test_no_rerun_asks_nobody(type_in: Run, airflow: Airflow) -> None:
    assert type_in("incidents", "waive", "1", "2", "--reason", "known", "--no-rerun").returncode == 0
    assert airflow.asked == []


def test_what_was_only_decided_is_run_again_once(type_in: Run, airflow: Airflow, project: Settings) -> None:
    assert type_in("incidents", "waive", "1", "2", "--reason", "known", "--no-rerun").returncode == 0
    assert "waiting  check_raw of flights_dataops manual__2013-02" in type_in("incidents", "show", "1").stdout
    done = type_in("incidents", "rerun", "1", "2", "--json")
    assert done.returncode == 0, done.stderr
    ((_, body),) = airflow.asked
    assert body["task_ids"] == ["check_raw"]
    assert [rerun["rerun"] for each in json.loads(done.stdout) for rerun in each["reruns"]] == ["cleared 4 tasks"] * 2
    with open_ledger(project.ledger_path) as ledger:
        for incident_id in (1, 2):
            kinds = [event.kind for event in load_incident(ledger, incident_id).events]
            assert kinds == ["opened", "waived", "resolved", "rerun_requested", "cleared"]
    done = type_in("incidents", "rerun", "1")
    assert (done.returncode, len(airflow.asked)) == (1, 1)
    assert "no decision on incident 1 waits" in done.stdout
