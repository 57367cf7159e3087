"""How much memory there is, and how much processes use; standard library only, either interpreter.

Shared pages are counted in proportion (PSS): of what a warm parent has imported, each of its nodes is charged a share.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from headrace.jobs.processes import PROC

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
CGROUP_USES = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))
CGROUP_STATISTICS = {
    Path("/sys/fs/cgroup/memory.stat"): "inactive_file ",
    Path("/sys/fs/cgroup/memory/memory.stat"): "total_inactive_file ",
}
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def count_cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int:
    """Return the memory of this machine, or of the container, in bytes."""
    machine = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    return min([machine, *_read_numbers(CGROUP_LIMITS)])


def available_memory() -> int | None:
    """Return how many bytes could be used without swapping; None where the system does not say."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    for limit, used in zip(_read_numbers(CGROUP_LIMITS), _read_numbers(CGROUP_USES), strict=False):
        free = min(free, limit - used + _read_reclaimable())
    return max(free, 0)


def measure_memory(pids: Iterable[int], enough: int = 0) -> int:
    """Return how many bytes of memory processes use together; those that have ended use none.

    Args:
        pids: The processes.
        enough: Where even counting every shared page in full does not exceed this, that sum is returned: reading a
            process's proportional share walks its whole address space.
    """
    pids = list(pids)
    resident = sum(_read_resident(pid) for pid in pids)
    return resident if resident <= enough else sum(_read_proportional(pid) for pid in pids)


def _read_resident(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _read_proportional(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return _read_resident(pid)
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _read_reclaimable() -> int:
    """Return how much of what the container uses are files' pages that the kernel gives back when it needs to."""
    for file, name in CGROUP_STATISTICS.items():
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
    return 0


def _read_numbers(files: Iterable[Path]) -> list[int]:
    found = []
    for file in files:
        try:
            found.append(int(file.read_text()))
        except (OSError, ValueError):  # no such control group, or its limit is "max"
            continue
    return found
