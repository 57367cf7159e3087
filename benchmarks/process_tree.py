"""The memory of a tree of processes while a command runs: its share of what they share (PSS), twice a second."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class ProcessTree:
    """A process and everything that it started, however far it moved away or renamed itself.

    Airflow's processes rename themselves, which writes over the environment that would mark them. So a process belongs
    to the tree when its parent, its session or its group does; what belonged to it once goes on belonging to it.

    Args:
        root: Pid of a process that leads a session.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self._known: dict[int, int] = {}

    def members(self) -> list[Path]:
        """Return the ``/proc`` folders of the processes that are there now."""
        stats = {int(folder.name): fields for folder in Path("/proc").glob("[0-9]*") if (fields := _stat(folder))}
        self._known = {pid: born for pid, born in self._known.items() if pid in stats and stats[pid][3] == born}
        if self.root in stats:
            self._known[self.root] = stats[self.root][3]
        added = True
        while added:
            added = False
            for pid, (parent, group, session, born, *_) in stats.items():
                if pid not in self._known and self._known.keys() & {parent, group, session}:
                    self._known[pid] = born
                    added = True
        return [Path(f"/proc/{pid}") for pid in self._known]

    def pss_mb(self) -> float:
        return sum(map(pss_mb, self.members()))

    def cpu_seconds(self) -> float:
        """Return the processor time of the processes that are there now, those that they waited for included."""
        return sum(sum(fields[4:]) for folder in self.members() if (fields := _stat(folder))) / TICKS


class PeakMemory:
    """Watches a tree of processes.

    Attributes:
        peak_mb: Largest sum of proportional set sizes seen, in MB.
    """

    def __init__(self, root: int) -> None:
        self.peak_mb = 0.0
        self._tree = ProcessTree(root)
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
            self.peak_mb = max(self.peak_mb, self._tree.pss_mb())


def _stat(folder: Path) -> tuple[int, ...] | None:
    """Return parent, group, session, start, and processor time in four parts, as proc_pid_stat(5) has them."""
    with contextlib.suppress(OSError):
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        return int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), *map(int, fields[11:15])
    return None


def pss_mb(folder: Path) -> float:
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def measure(
    command: Sequence[str], environment: dict[str, str], cwd: Path, log: Path | None = None
) -> tuple[float, float, str]:
    """Run a command; returns wall seconds, peak memory of its tree in MB, and its standard output.

    Args:
        command, environment, cwd: Of the process.
        log: A file for its standard error, which is shown where it fails; by default it is this process's.
    """
    started = time.monotonic()
    with (
        contextlib.nullcontext() if log is None else log.open("wb") as errors,
        subprocess.Popen(
            command, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as process,
        PeakMemory(process.pid) as memory,
    ):
        output, _ = process.communicate()
    if process.returncode != 0:
        said = "" if log is None else log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}:\n{output[-3000:]}{said}")
    return time.monotonic() - started, memory.peak_mb, output
