"""File locks that a process holds for its life; standard library only, either interpreter."""

import fcntl
import time
from pathlib import Path
from typing import IO


def take_lock(lock: IO[str]) -> bool:
    """Take a lock for as long as the file is open. Whoever asks for its state holds it for a moment: try for 1 s."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.05)
    return False


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock; the file is made where there is none."""
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
