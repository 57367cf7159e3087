"""A whole Airflow as child processes of this one: start, wait until ready, stop without leaving anything behind."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from headrace.cli.airflow_api import AirflowApi
from headrace.cli.airflow_defaults import choose_defaults, choose_openlineage
from headrace.cli.component_processes import AIRFLOW, EVERY_COMPONENT, TASKS, ComponentParent, ComponentProcess
from headrace.contracts.files import ContractError, make_private_folder, read_json, write_json
from headrace.exceptions import ConfigurationError, HeadraceError
from headrace.jobs.job import kill_all_jobs
from headrace.jobs.processes import find_marked, is_alive, kill_marked, process_start_time
from headrace.settings import Settings, load_openlineage_to_files, load_preload_enabled

# Without --skip-serve-logs, two of them would serve their logs on every network interface; here all read the files.
# The scheduler is last: its parent imports what tasks need meanwhile.
COMPONENTS = {
    "api-server": (),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
    "scheduler": ("--skip-serve-logs",),
}
PARENT = "component parent"
NEEDS = {"db migrate": AIRFLOW, "scheduler": TASKS}
"""What the parent imports before it forks a process; all others need what every component does."""
NOTIFIER = "notifier"
NOTIFIER_MODULE = "headrace.airflow.notifier"
NOTIFIER_PAUSE_SECONDS = 10
NOTIFIER_LONGEST_PAUSE_SECONDS = 300
HOST = "127.0.0.1"
USUAL_PORT = 8080
PORTS_TRIED = 20
STACK_MARK = "HEADRACE_STACK"
STACK_FILE = "stack.json"
STACK_LOCK = "stack.lock"
TELEMETRY_OFF = {
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "ANONYMIZED_TELEMETRY": "False",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
}


class AirflowStoppedError(HeadraceError):
    """A component of Airflow ended by itself."""


@dataclass
class AirflowStack:
    """The four components of one Airflow, on SQLite and the LocalExecutor, reachable from this machine only.

    Beside them runs Headrace's notifier; whatever becomes of it, Airflow goes on.
    """

    settings: Settings
    port: int = 0
    _children: dict[str, ComponentProcess] = field(default_factory=dict)
    _parent: ComponentParent | None = None
    _lock: IO[str] | None = None
    _reservation: socket.socket | None = None
    _notifier_started: float = 0.0
    _notifier_ends: int = 0
    _say: Callable[[str], None] = print

    @property
    def home(self) -> Path:
        return self.settings.state_dir / "airflow"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def mark(self) -> str:
        """What every process of this stack carries in its environment, however it was started."""
        return str(self.home)

    def environment(self) -> dict[str, str]:
        """Build the environment of every component and task."""
        core = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.settings.project_dir / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.settings.project_dir / "plugins"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
            "AIRFLOW__COSMOS__DBT_DOCS_PROJECTS": self._dbt_docs(),
            "AIRFLOW__HEADRACE__PROJECT_DIR": str(self.settings.project_dir),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "SPT_NOENV": "1",  # a process that renames itself writes over its arguments, and not over its mark
            STACK_MARK: self.mark,
        }
        config = self.home / "airflow.cfg"
        chosen = choose_defaults(os.environ, config)
        if load_openlineage_to_files():
            chosen |= choose_openlineage(os.environ, config, self.settings.state_dir / "openlineage")
        return {**os.environ, **chosen, **TELEMETRY_OFF, **core}

    def _dbt_docs(self) -> str:
        import json

        folder = str(self.settings.dbt_manifest.parent)
        name = self.settings.project_dir.name
        return json.dumps({"dbt": {"dir": folder, "index": "index.html", "name": f"dbt docs ({name})"}})

    def start(self, say: Callable[[str], None]) -> None:
        """Migrate the database and start every component.

        Raises:
            ConfigurationError: The database could not be migrated.
            LedgerError: The project has no ledger yet, and none can be made.
        """
        self._say = say
        make_private_folder(self.settings.state_dir)
        self._take_lock()
        self._end_leftovers(say)
        self._make_ledger()
        self.home.mkdir(parents=True, exist_ok=True)
        self.port, self._reservation = reserve_port()
        write_json(
            self.settings.state_dir / STACK_FILE,
            {"pid": os.getpid(), "started": process_start_time(os.getpid()), "url": self.url},
        )
        say("migrating Airflow's database")
        self._start_parent()
        migrate = self._spawn("db migrate", "db", "migrate")
        if migrate.wait() != 0:
            raise ConfigurationError(f"Airflow's database could not be migrated: see {self._log('db migrate')}")
        del self._children["db migrate"]
        say(f"starting {', '.join([*COMPONENTS, NOTIFIER])}")
        self._start_notifier()
        for component, options in COMPONENTS.items():
            self._spawn(component, component, *options)

    def wait_until_ready(self, api: AirflowApi, timeout_seconds: float = 180) -> None:
        """Wait until every component reports itself healthy; what the first task needs goes on behind.

        Raises:
            AirflowStoppedError: A component ended.
            AirflowApiError: The time is up.
        """
        api.wait_until_healthy(timeout_seconds, self.check)
        threading.Thread(target=api.warm_up, name="headrace-warm-up", daemon=True).start()

    def check(self) -> None:
        """Raise where a component of Airflow has ended by itself; a notifier that has is started again."""
        for name, child in list(self._children.items()):
            if name == NOTIFIER:
                self._watch_notifier(child)
            elif child.poll() is not None:
                tail = self._log(name).read_text(errors="replace")[-1500:]
                raise AirflowStoppedError(
                    f"airflow {name} ended with code {child.returncode}: {self._log(name)} ends with:\n{tail}"
                )

    def stop(self) -> None:
        """End every component, every task and every TFX job of this stack; nothing of it is left running.

        Does nothing where this object has not started a stack.
        """
        if self._lock is None or self._lock.closed:
            return
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        kill_all_jobs(self.settings.state_dir / "runs", grace_seconds=1)
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline and any(child.poll() is None for child in self._children.values()):
            time.sleep(0.1)
        # By group too: a process that renames itself may overwrite the environment in which it is marked.
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        spare = None if self._parent is None else self._parent.pid  # it tells how the others ended
        kill_marked(STACK_MARK, self.mark, grace_seconds=0, spare=spare)
        for child in self._children.values():
            child.wait()
        self._children.clear()
        if self._parent is not None:
            self._parent.close()
            self._parent = None
        (self.settings.state_dir / STACK_FILE).unlink(missing_ok=True)
        if self._reservation is not None:
            self._reservation.close()
        self._lock.close()

    def _take_lock(self) -> None:
        """Hold the project's stack for as long as this process lives, so that two never start at once."""
        self._lock = (self.settings.state_dir / STACK_LOCK).open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise ConfigurationError(
                f"Another Headrace command is starting Airflow for {self.settings.project_dir}: wait until it is "
                "there, and use that one."
            ) from None

    def _make_ledger(self) -> None:
        """Give a new project its ledger: the inbox is empty there, and shows no ledger that it cannot find."""
        if self.settings.ledger_conn_id is None and not self.settings.ledger_path.exists():
            from headrace.ledger.database import open_ledger

            open_ledger(self.settings.ledger_path).dispose()

    def _watch_notifier(self, child: ComponentProcess) -> None:
        """Say that the notifier has ended and start another; one that ends again and again, less and less often."""
        age = time.monotonic() - self._notifier_started
        if child.poll() is None:
            if age > NOTIFIER_LONGEST_PAUSE_SECONDS:
                self._notifier_ends = 0
        elif age > min(NOTIFIER_PAUSE_SECONDS * 2**self._notifier_ends, NOTIFIER_LONGEST_PAUSE_SECONDS):
            self._notifier_ends += 1
            self._say(
                f"the notifier ended with code {child.returncode} and is started again; what it had to tell is kept, "
                f"and {self._log(NOTIFIER)} says why"
            )
            self._start_notifier(by_itself=True)  # whatever has become of the parent, it is no reason to end Airflow

    def _start_parent(self) -> None:
        if sys.platform == "linux" and load_preload_enabled():
            self._log(PARENT).parent.mkdir(parents=True, exist_ok=True)
            self._parent = ComponentParent(self.environment(), self._log(PARENT))

    def _start_notifier(self, by_itself: bool = False) -> None:
        self._notifier_started = time.monotonic()
        self._spawn(NOTIFIER, module=NOTIFIER_MODULE, by_itself=by_itself)

    def _spawn(self, name: str, *arguments: str, module: str = "airflow", by_itself: bool = False) -> ComponentProcess:
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        child: ComponentProcess | None = None
        if self._parent is not None and not by_itself and self._parent.is_alive():
            child = self._parent.fork(name, module, arguments, log, NEEDS.get(name, EVERY_COMPONENT))
        if child is None:
            with log.open("ab") as file:
                child = subprocess.Popen(
                    [sys.executable, "-m", module, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=self.environment(),
                    start_new_session=True,
                )
        self._children[name] = child
        return child

    def _log(self, name: str) -> Path:
        return self.home / "logs" / "components" / f"{name.replace(' ', '-')}.log"

    def refuse_second(self) -> None:
        """Refuse to start where another stack of this project is running.

        Raises:
            ConfigurationError: One is; the message says where.
        """
        try:
            other = read_json(self.settings.state_dir / STACK_FILE)
        except ContractError:
            return
        if is_alive(other["pid"], other["started"]):
            raise ConfigurationError(
                f"Airflow of this project already runs at {other['url']} (process {other['pid']}): use that one, or "
                f"stop it with Ctrl-C where it was started."
            )

    def _end_leftovers(self, say: Callable[[str], None]) -> None:
        """End what a stack that was killed could not end itself."""
        leftovers = list(find_marked(STACK_MARK, self.mark))
        jobs = kill_all_jobs(self.settings.state_dir / "runs", grace_seconds=1)
        if leftovers or jobs:
            kill_marked(STACK_MARK, self.mark, grace_seconds=2)
            say(f"ended {len(leftovers) + jobs} processes that an interrupted run left behind")


def reserve_port() -> tuple[int, socket.socket]:
    """Choose 8080, or any free port where it is taken, and keep it from other stacks.

    The api-server listens some fifteen seconds later. A second stack that chose the same port meanwhile would take the
    first one's Airflow for its own. So a name is bound that only one process of this machine can have, where sockets
    have such names (Linux); it is free again when the process ends, however it ends.

    Returns:
        The port, and what keeps it until it is closed.
    """
    for _ in range(PORTS_TRIED):
        for wanted in (USUAL_PORT, 0):
            reservation = socket.socket(socket.AF_UNIX)
            try:
                port = _find_free_port(wanted)
                if sys.platform == "linux":
                    reservation.bind(f"\0headrace-port-{port}")
            except OSError:
                reservation.close()
                continue
            return port, reservation
    raise ConfigurationError(f"No free port on {HOST}: end what listens there (ss -tlnp lists it), and try again.")


def _find_free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, wanted))
        return int(probe.getsockname()[1])
