"""Asking the warm TFX runtime, and starting it; standard library only, either interpreter."""

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace.contracts.files import ContractError, read_json
from headrace.contracts.runtime import (
    PROTOCOL,
    TIMEOUT_SECONDS,
    RuntimeStatus,
    StartRequest,
    is_of_this_user,
    receive_message,
    send_message,
)
from headrace.jobs.environment import build_import_path
from headrace.jobs.job import Job
from headrace.jobs.limits import NodeLimits
from headrace.jobs.locks import is_locked
from headrace.jobs.processes import is_alive, process_start_time
from headrace.jobs.runtime_nodes import build_place_arguments, find_nodes
from headrace.jobs.runtime_place import (
    RuntimePlace,
    RuntimeUnavailableError,
    find_runtime_place,
    fingerprint_runtime,
    keep_fixed,
)
from headrace.jobs.supervise import MARK, MARK_PLACEHOLDER

START_SECONDS = 90
LEAVE_SECONDS = 1  # one that leaves its place closes its socket before it gives up its lock
BUSY_PAUSE_SECONDS = 0.5
BUSY_SAY_SECONDS = 30
INHERITED = ("HOME", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER", "XDG_RUNTIME_DIR")


@contextmanager
def _unavailable_on_error() -> Iterator[None]:
    """Let all that goes wrong between a task and the runtime be the one error after which a fresh process is taken."""
    try:
        yield
    except OSError as error:
        raise RuntimeUnavailableError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise RuntimeUnavailableError(f"what it answered or wrote makes no sense: {error!r}") from error


class RuntimeClient:
    """The warm runtime of one TFX interpreter and user, whether it runs or not.

    Args:
        tfx_python: The interpreter.
        environment: That of the nodes; what counts only before TensorFlow is imported decides which runtime it is.
    """

    def __init__(self, tfx_python: Path, environment: Mapping[str, str]) -> None:
        self._tfx_python = tfx_python
        self._environment = environment

    @cached_property
    def place(self) -> RuntimePlace:
        """Where it is.

        Raises:
            OSError: The system has no folder in which it could be.
        """
        return find_runtime_place(self._tfx_python, self._environment)

    @_unavailable_on_error()
    def start(
        self,
        job: Job,
        argv: Sequence[str],
        limits: NodeLimits,
        say: Callable[[str], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Start a command of the worker for a job folder, as soon as the runtime has room for it.

        Args:
            job: The job.
            argv: What comes after ``python -m headrace.tfx_worker``.
            limits: What the node may use.
            say: Takes a line: what is waited for, and which process it is.
            is_cancelled: Asked while it waits; once it says so, nothing is started.

        Returns:
            Whether it was started, and not cancelled.

        Raises:
            RuntimeUnavailableError: It is absent and does not start, hangs, or refuses. The message says why.
        """
        attempt = uuid.uuid4().hex
        said, replaced = float("-inf"), False
        while not is_cancelled():
            self.place.check()
            reply = self._ask("start", **asdict(self._build_request(job, attempt, argv, limits)))
            if reply is None:
                self.ensure_running(say)
            elif reply["reply"] == "started":
                self._wait_until_started(job, attempt, int(reply["pid"]))
                say(f"process {reply['pid']}, forked from the TFX runtime")
                return True
            elif reply["reply"] == "busy":
                if time.monotonic() - said > BUSY_SAY_SECONDS:
                    said = time.monotonic()
                    say(f"waiting for the TFX runtime: {reply['why']}")
                time.sleep(BUSY_PAUSE_SECONDS)
            elif reply.get("outdated") and not replaced:
                replaced = True
                say(f"replacing the TFX runtime: {reply['why']}")
                self._ask("stop", pid=reply["pid"])
            else:
                raise RuntimeUnavailableError(f"it refused: {reply.get('why', reply)}")
        return False

    @_unavailable_on_error()
    def ensure_running(self, say: Callable[[str], None] = lambda line: None) -> bool:
        """Start the runtime where none runs, and wait until it can be asked.

        Returns:
            Whether this call started it.

        Raises:
            RuntimeUnavailableError: It did not start, or another process was given the time for it and did not.
        """
        self.place.check()
        began = time.monotonic()
        parent: subprocess.Popen[bytes] | None = None
        waits = False
        while self._ask("status") is None:
            waited, process = time.monotonic() - began, self._read_holder()
            if not is_locked(self.place.lock):
                if parent is None:
                    parent = self._spawn()
                elif parent.poll() is not None:
                    code = parent.returncode
                    raise RuntimeUnavailableError(f"it did not start (exit code {code}){self._read_log()}")
            hangs = parent is None and process is not None and process.age > START_SECONDS
            if process is not None and hangs and waited > LEAVE_SECONDS:
                why = f"process {process.pid} was started {process.age:.0f} s ago and does not listen"
                raise RuntimeUnavailableError(f"{why}: 'headrace runtime stop' ends it; its log is {self.place.log}")
            if not waits and not hangs:
                waits = True
                say("starting the TFX runtime: this node waits for its imports, the next ones do not")
            if waited > START_SECONDS:
                raise RuntimeUnavailableError(f"it was not ready within {START_SECONDS} s; its log is {self.place.log}")
            time.sleep(0.1)
        return parent is not None and parent.poll() is None

    @_unavailable_on_error()
    def start_in_background(self) -> bool:
        """Start the runtime where none runs, without waiting for it; returns whether one was started.

        Raises:
            RuntimeUnavailableError: It cannot be started.
        """
        self.place.check()
        if is_locked(self.place.lock):
            return False
        self._spawn()
        return True

    @_unavailable_on_error()
    def read_status(self) -> RuntimeStatus | None:
        """Ask the runtime of itself; None where none runs.

        Raises:
            RuntimeUnavailableError: It does not answer.
        """
        self.place.check()
        reply = self._ask("status")
        try:
            return None if reply is None else RuntimeStatus.parse(reply)
        except ContractError as error:
            raise RuntimeUnavailableError(str(error)) from error

    @_unavailable_on_error()
    def read_process(self) -> int | None:
        """Return the pid of the process that holds the place, also where it is starting or hangs; None where none.

        Raises:
            RuntimeUnavailableError: That cannot be known.
        """
        self.place.check()
        holder = self._read_holder()
        return None if holder is None else holder.pid

    @_unavailable_on_error()
    def find_nodes(self) -> dict[str, Path]:
        """Find what runs of this runtime and of those before it: see :func:`~headrace.jobs.runtime_nodes.find_nodes`.

        Raises:
            RuntimeUnavailableError: That cannot be known.
        """
        return find_nodes(self.place)

    @_unavailable_on_error()
    def stop(self) -> list[Path] | None:
        """Tell the runtime to leave: it starts nothing more, and ends when what it runs has ended.

        Returns:
            The job folders of what it still runs; None where nobody listens.

        Raises:
            RuntimeUnavailableError: It does not answer.
        """
        self.place.check()
        reply = self._ask("stop", pid=None)
        return None if reply is None else [Path(folder) for folder in reply["folders"]]

    def _read_holder(self) -> "_Holder | None":
        try:
            about = read_json(self.place.about)
        except ContractError:
            return None
        pid, started = int(about["pid"]), int(about["started"])
        if not (is_locked(self.place.lock) and is_alive(pid, started)):
            return None
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        return _Holder(pid, since_boot - started / os.sysconf("SC_CLK_TCK"))

    def _build_request(self, job: Job, attempt: str, argv: Sequence[str], limits: NodeLimits) -> StartRequest:
        return StartRequest(
            folder=str(job.folder.absolute()),
            attempt=attempt,
            argv=list(argv),
            environment=self._environment,
            cwd=str(Path.cwd()),
            umask=_read_umask(),
            lease_seconds=job.lease_seconds,
            memory_bytes=limits.memory_bytes,
            most_nodes=limits.most_nodes,
            idle_seconds=limits.idle_seconds,
            deadline=time.monotonic() + TIMEOUT_SECONDS,
        )

    def _wait_until_started(self, job: Job, attempt: str, pid: int) -> None:
        started = process_start_time(pid)
        try:
            job.wait_until_started(attempt, lambda: started is not None and is_alive(pid, started))
        except RuntimeError as error:
            raise RuntimeUnavailableError(f"{error}{self._read_log()}") from error

    def _ask(self, request: str, **fields: Any) -> dict[str, Any] | None:
        """Ask, and return the reply; None where nobody listens."""
        document = {"request": request, "protocol": PROTOCOL, "fingerprint": fingerprint_runtime(self._tfx_python)}
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_SECONDS)
                connection.connect(str(self.place.socket))
                if not is_of_this_user(connection):
                    raise RuntimeUnavailableError(f"a process of another user answers on {self.place.socket}")
                send_message(connection, {**document, **fields})
                return receive_message(connection)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except TimeoutError:
            raise RuntimeUnavailableError(f"it did not answer within {TIMEOUT_SECONDS:.0f} s") from None
        except (OSError, ContractError) as error:
            raise RuntimeUnavailableError(f"it cannot be asked: {error}") from error

    def _spawn(self) -> "subprocess.Popen[bytes]":
        folder = self.place.folder
        log = os.open(self.place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        environment = {name: self._environment[name] for name in INHERITED if name in self._environment}
        environment |= {
            **keep_fixed(self._environment),
            "PYTHONPATH": str(build_import_path(folder / f"{self.place.key}.path")),
            MARK: MARK_PLACEHOLDER,
        }
        command = [
            *(str(self._tfx_python), "-m", "headrace.tfx_worker", "runtime", *build_place_arguments(self.place)),
            *("--fingerprint", fingerprint_runtime(self._tfx_python)),
        ]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _read_log(self) -> str:
        try:
            lines = self.place.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return f": {lines[-1]}" if lines else ""


@dataclass(frozen=True)
class _Holder:
    """The process that holds a runtime's place, and how many seconds it has run."""

    pid: int
    age: float


def _read_umask() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def start_worker(
    job: Job,
    tfx_python: Path,
    argv: Sequence[str],
    environment: Mapping[str, str],
    limits: NodeLimits,
    say: Callable[[str], None],
    *,
    use_runtime: bool = True,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> bool:
    """Start a command of the worker for a job folder: in the warm runtime, or else in a fresh process.

    Args:
        job: The job.
        tfx_python: The TFX interpreter.
        argv: What comes after ``python -m headrace.tfx_worker``.
        environment: Of :func:`~headrace.jobs.environment.build_worker_environment`.
        limits: What the node may use.
        say: Takes a line for a person: what is waited for, and from where the process is or why it is a fresh one.
        use_runtime: False: always a fresh process.
        is_cancelled: Asked while the runtime has no room; once it says so, nothing is started.

    Returns:
        Whether it was started, and not cancelled.

    Raises:
        RuntimeError: Neither could be started.
    """
    if use_runtime:
        try:
            return RuntimeClient(tfx_python, environment).start(job, argv, limits, say, is_cancelled)
        except RuntimeUnavailableError as error:
            say(f"this node gets a fresh process, which imports TFX first: the TFX runtime cannot be used: {error}")
    job.start([str(tfx_python), "-m", "headrace.tfx_worker", *argv], environment, limits.memory_bytes)
    return True
