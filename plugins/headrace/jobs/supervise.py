"""Run one command for a job folder, alone, and leave its exit code there; either interpreter.

Started by :mod:`headrace.jobs.job` as ``python -m headrace.jobs.supervise FOLDER ATTEMPT LEASE_SECONDS COMMAND...``
in a session of its own. It holds a lock on the folder for as long as the command runs, so a second attempt cannot
run beside it; it ends the command when nobody has renewed the lease, so an orphan does not run for ever.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from headrace.contracts.files import ContractError, read_json, write_json
from headrace.jobs.processes import kill_marked, process_start_time

LOCK_FILE = "lock"
PROCESS_FILE = "process.json"
EXIT_FILE = "exit.json"
LEASE_FILE = "lease"
LOG_FILE = "log"
MARK = "HEADRACE_JOB"
ALREADY_RUNNING = 75  # EX_TEMPFAIL


def main(argv: list[str]) -> int:
    """Hold the folder's lock, run the command, write its exit code."""
    folder, attempt, lease_seconds, command = Path(argv[0]), argv[1], float(argv[2]), argv[3:]
    with (folder / LOCK_FILE).open("a") as lock:
        if not _take(lock):
            return ALREADY_RUNNING
        (folder / EXIT_FILE).unlink(missing_ok=True)
        (folder / LEASE_FILE).touch()
        log = os.open(folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        _end_previous(folder)
        started = process_start_time(os.getpid())
        write_json(folder / PROCESS_FILE, {"attempt": attempt, "pid": os.getpid(), "started": started})
        try:
            # The command holds the lock too: were this process killed, the folder would still be taken.
            environment = {**os.environ, MARK: attempt}
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, env=environment, pass_fds=(lock.fileno(),), close_fds=True
            )
        except OSError as error:
            print(f"could not start {command[0]}: {error}", flush=True)
            write_json(folder / EXIT_FILE, {"attempt": attempt, "code": 127, "expired": False})
            return 127

        def forward(signum: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signum)

        signal.signal(signal.SIGTERM, forward)
        signal.signal(signal.SIGINT, forward)
        code, expired = _wait(child, folder / LEASE_FILE, lease_seconds)
        kill_marked(MARK, attempt, grace_seconds=0, spare=os.getpid())
        write_json(folder / EXIT_FILE, {"attempt": attempt, "code": code, "expired": expired})
    return 0 if code == 0 else 1


def _end_previous(folder: Path) -> None:
    """End what an attempt whose supervisor was killed may have left; it holds no lock any more."""
    try:
        previous = read_json(folder / PROCESS_FILE)["attempt"]
    except ContractError:
        return
    kill_marked(MARK, previous, grace_seconds=0, spare=os.getpid())


def _take(lock: IO[str]) -> bool:
    """Take the lock. A watcher that asks whether the job runs holds it for a moment, so try for a second."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.05)
    return False


def _wait(child: "subprocess.Popen[bytes]", lease: Path, lease_seconds: float) -> tuple[int, bool]:
    """Wait for the child; end it when the lease has run out. A negative code is the signal that ended it."""
    while True:
        try:
            return child.wait(timeout=1), False
        except subprocess.TimeoutExpired:
            pass
        try:
            age = time.time() - lease.stat().st_mtime
        except FileNotFoundError:
            age = lease_seconds + 1
        if age > lease_seconds:
            print(f"no task has watched this job for {age:.0f} s: ending it", flush=True)
            child.terminate()
            try:
                return child.wait(timeout=10), True
            except subprocess.TimeoutExpired:
                child.kill()
                return child.wait(), True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
