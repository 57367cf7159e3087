"""A real api-server as processes of its own, that can be killed and started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ADMIN = "anna"


class Server:
    """An api-server in a folder of its own, with one user, and what it needs to be asked."""

    def __init__(self, folder: Path, workers: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.folder, self.workers = folder, workers
        self.address = f"http://127.0.0.1:{self.port}"
        (folder / "dags").mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__API__SECRET_KEY": "of all workers",
            "AIRFLOW__API_AUTH__JWT_SECRET": "of all workers too, and long enough for an HMAC with SHA-512, as it is",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "AIRFLOW__HEADRACE__PROJECT_DIR": str(folder),
            "AIRFLOW__HEADRACE__STATE_DIR": str(folder / "state"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self._process: subprocess.Popen[bytes] | None = None
        # A connection for each request, so that any worker may be the one.
        options: dict[str, Any] = {
            "base_url": self.address,
            "timeout": 60,
            "limits": httpx.Limits(max_connections=50, max_keepalive_connections=0),
        }
        self._browser, self._program = httpx.Client(**options), httpx.Client(**options)

    @property
    def ledger_path(self) -> Path:
        return self.folder / "state" / "ledger" / "ledger.sqlite"

    @property
    def metadata_path(self) -> Path:
        return self.folder / "airflow.db"

    def airflow(self, *command: str) -> None:
        """Run a command of Airflow's."""
        program = Path(sys.executable).with_name("airflow")
        done = subprocess.run(
            [program, *command], env=self.environment, cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, f"airflow {' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"

    def start(self) -> None:
        """Start it, wait until it answers, and log in."""
        command = ["api-server", "--workers", str(self.workers), "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("airflow"), *command],
                env=self.environment, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._wait(self._process)
        passwords = json.loads((self.folder / "simple_auth_manager_passwords.json.generated").read_text())
        body = {"username": ADMIN, "password": passwords[ADMIN]}
        token = self._program.post("/auth/token", json=body).raise_for_status().json()["access_token"]
        self._browser.cookies.set("_token", token)
        self._program.headers["Authorization"] = f"Bearer {token}"

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if self._program.get("/api/v2/version").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        raise AssertionError(f"The api-server did not answer:\n{(self.folder / 'log').read_text()[-4000:]}")

    def kill(self) -> None:
        """Kill all of its processes at once, as a machine that loses its power."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask as a browser that has logged in."""
        return self._browser.request(method, path, **options)

    def act(self, path: str, **body: object) -> httpx.Response:
        """Post as a program, whose token needs no other beside it."""
        return self._program.post(path, json=body)

    def run(self, script: str) -> str:
        """Run Python where the server's environment is, and return the last line that it prints."""
        done = subprocess.run(
            [sys.executable, "-c", script], env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip().splitlines()[-1]

    def find_workers(self) -> list[int]:
        """Return the processes that serve, by what they hold: the ledger's file is open in each that was asked."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if not folder.name.isdigit() or not self._process or os.getpgid(int(folder.name)) != self._process.pid:
                    continue
                held = {str(link.readlink()) for link in (folder / "fd").iterdir()}
            except OSError:  # it ended meanwhile
                continue
            if any(name.endswith("ledger.sqlite") for name in held):
                found.append(int(folder.name))
        return found
