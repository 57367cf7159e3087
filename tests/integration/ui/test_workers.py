"""A real api-server with two workers: any of them answers any request, also after one was killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

BASE = "/headrace/api/v1"


@dataclass(frozen=True)
class Server:
    """An api-server, and what it needs to be asked."""

    process: subprocess.Popen[bytes]
    address: str
    token: str
    environment: dict[str, str]

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        """Ask on a connection of its own, so that any worker may be the one."""
        with httpx.Client(base_url=self.address, cookies={"_token": self.token}, timeout=60) as client:
            return client.request(method, path, **options)

    def run(self, script: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script], env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("api-server")
    (folder / "dags").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__SECRET_KEY": "of all workers",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of all workers too, and long enough for an HMAC with SHA-512, as it is",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "anna:user",
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(folder),
        "AIRFLOW__HEADRACE__STATE_DIR": str(folder / "state"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    airflow = Path(sys.executable).with_name("airflow")
    subprocess.run([airflow, "db", "migrate"], env=environment, cwd=folder, check=True, capture_output=True)
    command = [airflow, "api-server", "--workers", "2", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait(address, process, folder / "log")
        passwords = json.loads((folder / "simple_auth_manager_passwords.json.generated").read_text())
        body = {"username": "anna", "password": passwords["anna"]}
        token = httpx.post(f"{address}/auth/token", json=body).raise_for_status().json()["access_token"]
        yield Server(process, address, token, environment)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/api/v2/version", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError(f"The api-server did not answer:\n{log.read_text()[-4000:]}")


def find_workers(server: Server) -> list[int]:
    """Return the processes that serve, by what they hold: the ledger's file is open in each that was asked."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if not folder.name.isdigit() or os.getpgid(int(folder.name)) != server.process.pid:
                continue
            held = {str(link.readlink()) for link in (folder / "fd").iterdir()}
        except OSError:  # it ended meanwhile
            continue
        if any(name.endswith("ledger.sqlite") for name in held):
            found.append(int(folder.name))
    return found


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
    while len(find_workers(server)) < 2:
        assert time.monotonic() < deadline, "only one worker was ever asked"
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(write, range(written, written + 16))) == {200}
        written += 16
    assert write(-1, other) == 403
    os.kill(find_workers(server)[0], signal.SIGKILL)
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
