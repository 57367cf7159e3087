"""A real Airflow api-server in a folder of its own, with two users and one DAG, for a browser."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DAG_FILE = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("flights_dataops", schedule=None):
    EmptyOperator(task_id="check_raw_weather") >> EmptyOperator(task_id="dbt.stg_weather")
with DAG("flight_delay_training", schedule=None):
    EmptyOperator(task_id="flight_delay.ExampleValidator")
"""
USERS = {"admin": "ADMIN", "viewer": "VIEWER"}


@dataclass(frozen=True)
class AirflowHome:
    """Airflow's own folder, and a Headrace project beside it."""

    folder: Path

    @property
    def ledger_path(self) -> Path:
        return self.folder / "project" / ".headrace" / "ledger" / "ledger.sqlite"

    def environment(self, **more: str) -> dict[str, str]:
        home, project = self.folder / "airflow", self.folder / "project"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        return {
            **inherited,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__API__SECRET_KEY": "the browser tests' own key",
            "AIRFLOW__API_AUTH__JWT_SECRET": "the browser tests' own secret, which is long enough to sign with",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__HEADRACE__PROJECT_DIR": str(project),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "DO_NOT_TRACK": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            **more,
        }

    def prepare(self) -> None:
        """Migrate Airflow's database, and make the DAGs known without a dag-processor."""
        (self.folder / "airflow").mkdir(parents=True)
        dags = self.folder / "project" / "dags"
        dags.mkdir(parents=True)
        (dags / "flights.py").write_text(DAG_FILE)
        (self.folder / "airflow" / "passwords.json").write_text(json.dumps({name: name for name in USERS}))
        for command in (["db", "migrate"], ["dags", "reserialize"]):
            done = subprocess.run(["airflow", *command], env=self.environment(), capture_output=True, text=True)
            assert done.returncode == 0, f"airflow {' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


class AirflowServer:
    """One api-server on a port of its own, under an optional path prefix."""

    def __init__(self, home: AirflowHome, prefix: str = "") -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}{prefix}"
        self.inbox = f"{self.url}/headrace"
        self._log = home.folder / f"api-server-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = self.home.environment(
            AIRFLOW__API__BASE_URL=self.url, AIRFLOW__API__HOST="127.0.0.1", AIRFLOW__API__PORT=str(self.port)
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["airflow", "api-server", "--host", "127.0.0.1", "--port", str(self.port)],
                env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        for _ in range(1800):
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{self.url}/api/v2/version", timeout=10).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise AssertionError(f"the api-server did not come up: {self._log.read_text()[-3000:]}")

    def stop(self) -> None:
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # it waits for connections that a browser keeps
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(5)

    def ask(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, object]:
        """Call the server as a program does; returns status and JSON."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def log_in(self, user: str) -> str:
        """Return a token of the user."""
        status, body = self.ask("POST", "/auth/token", {"username": user, "password": user})
        assert status == 201, body
        assert isinstance(body, dict)
        return str(body["access_token"])
