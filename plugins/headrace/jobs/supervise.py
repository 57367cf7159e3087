"""Run one command for a job folder, alone, and leave its exit code there; either interpreter.

Started by :mod:`headrace.jobs.job` as ``python -m headrace.jobs.supervise FOLDER ATTEMPT LEASE MEMORY COMMAND...``, or
forked from the warm TFX runtime, in a session of its own. It holds a lock on the folder for as long as the command
runs, so a second attempt cannot run beside it; it ends the command when nobody has renewed the lease, so an orphan does
not run for ever, and when the command and all that it started use more memory than they may.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from headrace.contracts.files import ContractError, read_json, write_json
from headrace.jobs.locks import take_lock
from headrace.jobs.memory import measure_memory
from headrace.jobs.processes import find_marked, kill_marked, process_start_time

LOCK_FILE = "lock"
PROCESS_FILE = "process.json"
EXIT_FILE = "exit.json"
LEASE_FILE = "lease"
LOG_FILE = "log"
MARK = "HEADRACE_JOB"
MARK_PLACEHOLDER = "-" * 32  # of an attempt's length, and of no attempt
ALREADY_RUNNING = 75  # EX_TEMPFAIL
COULD_NOT_START = 127
GRACE_SECONDS = 10
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Limits:
    """When a command is ended.

    Attributes:
        lease_seconds: So long after nobody has watched it.
        memory_bytes: When it and all that it started use more; 0: whatever they use.
    """

    lease_seconds: float
    memory_bytes: int = 0


def main(argv: list[str]) -> int:
    """Supervise the command of the command line."""
    folder, attempt, command = Path(argv[0]), argv[1], argv[4:]

    def run() -> NoReturn:
        os.environ[MARK] = attempt
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"could not start {command[0]}: {error}", flush=True)
            os._exit(COULD_NOT_START)

    return supervise(folder, attempt, Limits(float(argv[2]), int(argv[3])), run)


def supervise(folder: Path, attempt: str, limits: Limits, run: Callable[[], NoReturn]) -> int:
    """Hold the folder's lock, let a forked child run the command, write how it ended.

    Args:
        folder: The job's folder.
        attempt: What every process of the command is marked with, this one included.
        limits: When the command is ended.
        run: Is called in the child, whose standard output and error are the log; never returns.

    Returns:
        0 where the command succeeded, 1 where it did not, 75 where another attempt holds the folder.
    """
    with (folder / LOCK_FILE).open("a") as lock:
        if not take_lock(lock):
            return ALREADY_RUNNING
        (folder / EXIT_FILE).unlink(missing_ok=True)
        (folder / LEASE_FILE).touch()
        log = os.open(folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        _end_previous(folder)
        started = process_start_time(os.getpid())
        write_json(folder / PROCESS_FILE, {"attempt": attempt, "pid": os.getpid(), "started": started})
        child = _fork(run, lock)

        def forward(signum: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signum)

        signal.signal(signal.SIGTERM, forward)
        signal.signal(signal.SIGINT, forward)
        code, end = _watch(child, folder / LEASE_FILE, attempt, limits)
        kill_marked(MARK, attempt, grace_seconds=0, spare=os.getpid())
        write_json(folder / EXIT_FILE, {"attempt": attempt, "code": code, **end})
    return 0 if code == 0 else 1


def _fork(run: Callable[[], NoReturn], lock: IO[str]) -> int:
    """Start the child. It holds the lock too: were this process killed, the folder would still be taken."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.set_inheritable(lock.fileno(), True)
        run()
    return child


def _end_previous(folder: Path) -> None:
    """End what an attempt whose supervisor was killed may have left; it holds no lock any more."""
    try:
        previous = read_json(folder / PROCESS_FILE)["attempt"]
    except ContractError:
        return
    kill_marked(MARK, previous, grace_seconds=0, spare=os.getpid())


def _watch(child: int, lease: Path, attempt: str, limits: Limits) -> tuple[int, dict[str, object]]:
    """Wait for the child; end it when it may not go on.

    Returns:
        Its exit code, negative: the signal that ended it; and what else ``exit.json`` says of the end.
    """
    pause = 1.0
    while (code := _wait(child, pause)) is None:
        age = _age(lease)
        if age is None or age > limits.lease_seconds:
            _say(f"no task has watched this job for {age or limits.lease_seconds:.0f} s: ending it")
            return _end(child, attempt), {"expired": True}
        looked = time.monotonic()
        used = measure_memory(find_marked(MARK, attempt), limits.memory_bytes) if limits.memory_bytes else 0
        if used > limits.memory_bytes:
            most = f"{limits.memory_bytes / 1e9:.1f} GB (tfx_node_memory_gb)"
            why = f"it used {used / 1e9:.1f} GB of memory, and may use {most}"
            _say(f"{why}: ending it")
            return _end(child, attempt), {"expired": False, "reason": why}
        # On a machine with very many processes looking must not become the work.
        pause = max(1.0, 50 * (time.monotonic() - looked))
    return code, {"expired": False}


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a full disk must not keep the command alive
        print(line, flush=True)


def _age(file: Path) -> float | None:
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return None


def _wait(child: int, seconds: float) -> int | None:
    """Return the child's exit code; None where it still runs after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(_POLL_SECONDS)


def _end(child: int, attempt: str) -> int:
    """End the child, and what it started: TERM, and KILL after the grace."""
    os.kill(child, signal.SIGTERM)
    code = _wait(child, GRACE_SECONDS)
    if code is None:
        os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    kill_marked(MARK, attempt, grace_seconds=0, spare=os.getpid())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
