"""Marking a forked process as a job's, as a process is that was started with the mark; TFX interpreter.

A job is ended by the mark ``HEADRACE_JOB=<attempt>``, which the kernel shows in ``/proc/<pid>/environ``. That is the
memory in which a process found its first environment, whatever became of its variables since; a forked process has its
parent's. So the runtime is started with a placeholder of an attempt's length, and a forked process writes over it, as
``setproctitle`` does over the command line.
"""

import ctypes
import os
from pathlib import Path

from headrace.jobs.supervise import MARK, MARK_PLACEHOLDER

_STAT, _ENVIRON = Path("/proc/self/stat"), Path("/proc/self/environ")
_ENV_START = 50 - 3  # of proc_pid_stat(5), whose third field is the first after the command's closing parenthesis


def write_mark(attempt: str) -> None:
    """Mark this process, and with it every process that it will fork or start.

    Raises:
        OSError: The mark could not be written; the process must not go on, for nothing could end it.
    """
    os.environ[MARK] = attempt
    found = _ENVIRON.read_bytes()
    entry = b"\0" + f"{MARK}={MARK_PLACEHOLDER}".encode() + b"\0"
    at = (b"\0" + found).find(entry)
    if at < 0 or len(attempt.encode()) != len(MARK_PLACEHOLDER):
        raise OSError(f"no place for the mark {attempt} in {_ENVIRON}")
    start = int(_STAT.read_text().rpartition(")")[2].split()[_ENV_START])
    ctypes.memmove(start + at + len(MARK) + 1, attempt.encode(), len(MARK_PLACEHOLDER))
    if f"{MARK}={attempt}".encode() not in _ENVIRON.read_bytes().split(b"\0"):
        raise OSError(f"the mark {attempt} does not show in {_ENVIRON}")
