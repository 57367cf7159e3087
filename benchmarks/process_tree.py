"""The memory of a tree of processes while a command runs: its share of what they share (PSS), twice a second."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path


class PeakMemory:
    """Watches every process that carries a mark in its environment.

    Attributes:
        peak_mb: Largest sum of proportional set sizes seen, in MB.
    """

    def __init__(self, mark: str) -> None:
        self.mark = mark.encode()
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.peak_mb = max(self.peak_mb, sum(map(pss_mb, self._members())))

    def _members(self) -> list[Path]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark in (folder / "environ").read_bytes():
                    found.append(folder)
        return found


def pss_mb(folder: Path) -> float:
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def measure(command: Sequence[str], environment: dict[str, str], cwd: Path) -> tuple[float, float, str]:
    """Run a command; returns wall seconds, peak memory of its tree in MB, and its standard output."""
    mark = f"HEADRACE_BENCHMARK={os.getpid()}-{time.monotonic_ns()}"
    name, _, value = mark.partition("=")
    started = time.monotonic()
    with PeakMemory(mark) as memory:
        done = subprocess.run(
            command, env={**environment, name: value}, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True
        )
    return time.monotonic() - started, memory.peak_mb, done.stdout
