"""Finding and ending processes; standard library only, either interpreter."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
KILL_SECONDS = 1
"""How long a killed process may take to give up its memory and its locks."""


def process_start_time(pid: int) -> int | None:
    """Return a process's start time in clock ticks since boot, which tells it from a later one of the same pid.

    Returns:
        None where there is no such process, or it is a zombie, or the system has no ``/proc``.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def is_alive(pid: int, started: int | None) -> bool:
    """Return whether the process that had this pid at that start time still runs."""
    if started is None:
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True  # another user's
        except OSError:
            return False
        return True
    return process_start_time(pid) == started


def find_marked(name: str, value: str) -> Iterator[int]:
    """Yield the pids whose environment has ``name=value``, however far they moved from their parent."""
    mark = f"{name}={value}".encode()
    for folder in PROC.glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment.split(b"\0"):
            yield int(folder.name)


def kill_marked(name: str, value: str, grace_seconds: float, spare: int | None = None) -> int:
    """End every process whose environment has ``name=value``: TERM, then KILL after the grace.

    Returns:
        How many processes were signalled.
    """
    pids = {pid for pid in find_marked(name, value) if pid not in (spare, os.getpid())}
    if grace_seconds:
        for pid in pids:
            _signal(pid, signal.SIGTERM)
        _wait_until_gone(pids, grace_seconds)
    remaining = {pid for pid in find_marked(name, value) if pid not in (spare, os.getpid())}
    for pid in remaining:
        _signal(pid, signal.SIGKILL)
    _wait_until_gone(remaining, KILL_SECONDS)
    return len(pids | remaining)


def _wait_until_gone(pids: set[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(process_start_time(pid) is not None for pid in pids):
        time.sleep(0.05)


def _signal(pid: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)
