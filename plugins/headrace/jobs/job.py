"""A job folder as its watcher sees it: start, reconnect, follow the log, end it; either interpreter.

The folder is the whole truth about a job, so a watcher that died is replaced by another that reads it::

    lock          held by the supervising process while the command runs
    process.json  that process, and the attempt it serves
    log           standard output and error of the command
    lease         touched by the watcher; the command is ended when nobody touches it
    exit.json     the command's exit code, once it has ended
    collected     the attempt whose result a watcher has taken
"""

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.contracts.files import ContractError, read_json, replace_file
from headrace.jobs.disks import is_disk_full
from headrace.jobs.locks import is_locked
from headrace.jobs.log_reader import LogReader
from headrace.jobs.processes import kill_marked
from headrace.jobs.supervise import EXIT_FILE, LEASE_FILE, LOCK_FILE, LOG_FILE, MARK, PROCESS_FILE

COLLECTED_FILE = "collected"


@dataclass(frozen=True)
class JobExit:
    """How a job's command ended.

    Attributes:
        code: Exit code; negative: the signal that ended it; None: it and its supervisor died without a word.
        expired: It was ended because nobody watched it.
        reason: Why else it was ended; None where nothing is known.
        full_disk: The job's folder, where it did not succeed and no more can be written there.
    """

    code: int | None
    expired: bool = False
    reason: str | None = None
    full_disk: Path | None = None

    def describe(self) -> str:
        if self.expired:
            return "was ended because no task watched it"
        if self.reason is not None:
            return f"was ended because {self.reason}"
        if self.code is None:
            hint = "" if self.full_disk else " (killed, or the machine restarted)"
            end = f"died without leaving an exit code{hint}"
        elif self.code < 0:
            hints = {-9: " (killed; often out of memory)", -11: " (segmentation fault in native code)"}
            end = f"was ended by signal {-self.code}{hints.get(self.code, '')}"
        else:
            end = f"ended with exit code {self.code}"
        return f"{end}; the disk of {self.full_disk} is full" if self.full_disk else end


class Job:
    """One long command, known by its folder."""

    poll_seconds = 0.02

    def __init__(self, folder: Path, lease_seconds: float = 900) -> None:
        self.folder = folder
        self.lease_seconds = lease_seconds
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def attempt(self) -> str | None:
        """The attempt that runs or ran last; None where nothing was started."""
        try:
            return str(read_json(self.folder / PROCESS_FILE)["attempt"])
        except ContractError:
            return None

    def is_running(self) -> bool:
        """Return whether a supervising process holds the folder."""
        return is_locked(self.folder / LOCK_FILE)

    def is_waiting_to_be_collected(self) -> bool:
        """Return whether the command succeeded and no watcher has taken its result."""
        end, attempt = self.read_exit(), self.attempt
        collected = self.folder / COLLECTED_FILE
        return end.code == 0 and attempt is not None and not (collected.exists() and collected.read_text() == attempt)

    def mark_collected(self) -> None:
        """Say that the result was taken: from now on the job is started anew when it is asked for again."""
        replace_file(self.folder / COLLECTED_FILE, (self.attempt or "").encode())

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        memory_bytes: int = 0,
        attempt: str | None = None,
    ) -> None:
        """Start the command in a session of its own, detached from this process.

        Args:
            command: Program and arguments; no shell.
            environment: The whole environment of the command; ``PYTHONPATH`` must lead to this package (see
                :mod:`headrace.jobs.environment`).
            memory_bytes: End the command when it and all that it started use more; 0: never.
            attempt: The attempt's name; a new one by default.

        Raises:
            RuntimeError: The supervising process did not come up.
        """
        attempt = attempt or uuid.uuid4().hex
        supervisor = subprocess.Popen(
            [
                *(sys.executable, "-m", "headrace.jobs.supervise"),
                *(str(self.folder), attempt, str(self.lease_seconds), str(memory_bytes)),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment, MARK: attempt},
            start_new_session=True,
        )
        self.wait_until_started(attempt, lambda: supervisor.poll() is None)

    def wait_until_started(self, attempt: str, is_alive: Callable[[], bool]) -> None:
        """Wait until the supervising process of an attempt holds the folder, or that of another that was faster.

        Raises:
            RuntimeError: The supervising process did not come up.
        """
        deadline = time.monotonic() + 60
        while self.attempt != attempt:
            if not is_alive() or time.monotonic() > deadline:
                if self.is_running():
                    return  # another attempt was faster: watch that one
                if self.attempt == attempt:
                    return  # it has ended already
                full = f": the disk of {self.folder} is full" if is_disk_full(self.folder) else ""
                raise RuntimeError(f"the supervising process of {self.folder} did not start{full}")
            time.sleep(0.01)

    def follow(self, write_line: Callable[[str], None]) -> JobExit:
        """Hand each line of the log to ``write_line`` as it is written, until the command has ended.

        Of a very long log only the beginning and the end are handed on, and a line that says where the rest is.
        """
        (self.folder / LOG_FILE).touch()
        with (self.folder / LOG_FILE).open("rb") as file:
            log = LogReader(file, write_line)
            while True:
                running = self.is_running()
                (self.folder / LEASE_FILE).touch()
                while log.read_more():
                    (self.folder / LEASE_FILE).touch()
                if not running:
                    log.finish()
                    return self.read_exit()
                time.sleep(self.poll_seconds)

    def read_exit(self) -> JobExit:
        """Return how the last attempt ended; a code of None where it left no word."""
        try:
            document = read_json(self.folder / EXIT_FILE)
        except ContractError:
            document = {"attempt": None}
        if document["attempt"] is None or document["attempt"] != self.attempt:
            return JobExit(code=None, full_disk=self.folder if is_disk_full(self.folder) else None)
        code = document["code"]
        full_disk = self.folder if code != 0 and is_disk_full(self.folder) else None
        return JobExit(code, document["expired"], document.get("reason"), full_disk)

    def kill(self, grace_seconds: float = 2) -> None:
        """End the command and everything it started: TERM, and KILL after the grace.

        The grace is short because Airflow gives a task that it ends five seconds for all of it.
        """
        attempt = self.attempt
        if attempt is not None:
            kill_marked(MARK, attempt, grace_seconds)


def kill_all_jobs(runs_dir: Path, grace_seconds: float = 5) -> int:
    """End every job under a folder of runs; returns how many were running."""
    killed = 0
    for process in runs_dir.glob(f"*/*/*/{PROCESS_FILE}"):
        job = Job(process.parent)
        if job.is_running():
            job.kill(grace_seconds)
            killed += 1
    return killed
