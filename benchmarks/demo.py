"""The whole demo: wall time, time of each task, peak memory of its process tree, size on disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import record
from benchmarks.process_tree import measure

ROOT = Path(__file__).parents[1]


def run() -> None:
    """Measure and print."""
    headrace = str(Path(sys.executable).with_name("headrace"))
    seconds, peak_mb, output = measure([headrace, "demo", "--json"], dict(os.environ), ROOT)
    document = json.loads(output)
    tasks = {
        f"{run['dag_id']} {report['partition_key']} {name}": task["seconds"]
        for report in document["partitions"]
        for run in report["runs"]
        for name, task in run["tasks"].items()
        if task["seconds"] is not None
    }
    sizes = {name: disk_mb(ROOT / name) for name in (".venv", ".venv-tfx", ".headrace")}
    print(f"  wall {seconds:.0f} s, peak memory of the process tree {peak_mb:,.0f} MB (PSS)")
    for name, taken in sorted(tasks.items(), key=lambda item: -item[1])[:20]:
        print(f"  {taken:7.1f} s  {name}")
    print("  on disk: " + ", ".join(f"{name} {size:,.0f} MB" for name, size in sizes.items()))
    figures = {"wall_s": seconds, "peak_mb": peak_mb, "tasks_s": tasks, "disk_mb": sizes, "ok": document["ok"]}
    print(f"  {record.write('demo', figures).relative_to(ROOT)}")


def disk_mb(folder: Path) -> float:
    shown = subprocess.run(["du", "-sm", folder], capture_output=True, text=True, check=True)
    return float(shown.stdout.split()[0])
