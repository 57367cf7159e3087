"""A real api-server with two workers: any of them answers any request, also after one was killed."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .api_server import Server

BASE = "/headrace/api/v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("api-server"), workers=2)
    found.airflow("db", "migrate")
    try:
        found.start()
        yield found
    finally:
        found.kill()


def test_any_worker_answers_and_one_may_be_killed(server: Server) -> None:
    token, other = (
        server.run(f"from headrace.ui.csrf import sign_user; print(sign_user({name!r}))") for name in ("anna", "ben")
    )
    incident_id = int(
        server.run(
            "from pathlib import Path; from headrace.settings import load_settings\n"
            "from headrace.contracts.check_result import CheckResult, Severity, Status\n"
            "from headrace.ledger.database import open_ledger; from headrace.ledger.recording import record_results\n"
            "from headrace.ledger.views import TaskTry\n"
            "check = CheckResult('gx', 'raw.weather', '2013-02', 'between', 'wind_speed', Severity.CRITICAL,"
            " Status.FAILED, 'too fast')\n"
            "ledger = open_ledger(load_settings().ledger_path)\n"
            "print(record_results(ledger, TaskTry('flights', 'manual__1', 'gate'), [check]).opened[0])"
        )
    )
    path = f"{BASE}/incidents/{incident_id}/comment"

    def write(number: int, csrf: str = token) -> int:
        headers = {"X-Headrace-CSRF": csrf, "Origin": server.address, "Sec-Fetch-Site": "same-origin"}
        return server.ask("POST", path, json={"text": f"comment {number}"}, headers=headers).status_code

    deadline = time.monotonic() + 120
    written = 0
    while len(server.find_workers()) < 2:
        assert time.monotonic() < deadline, "only one worker was ever asked"
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(write, range(written, written + 16))) == {200}
        written += 16
    assert write(-1, other) == 403
    os.kill(server.find_workers()[0], signal.SIGKILL)
    refused = 0
    while refused < 60:
        try:
            assert write(written) == 200
            break
        except httpx.TransportError:  # of the worker that was killed
            refused += 1
            time.sleep(0.5)
    written += 1
    events = server.ask("GET", f"{BASE}/incidents/{incident_id}").json()["events"]
    told = [event["detail"]["text"] for event in events if event["kind"] == "commented"]
    assert sorted(told) == sorted(f"comment {number}" for number in range(written))
    assert {event["actor"] for event in events} == {"anna", "headrace"}
