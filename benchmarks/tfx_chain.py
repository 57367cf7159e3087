"""``flight_delay`` through Airflow, against TFX's LocalDagRunner: same files, same pipeline, on two and twelve months.

Counted through Airflow: from the first task queued to the last one done, in an Airflow and a TFX runtime that are
there. Counted for LocalDagRunner: the whole process, imports included. Each side runs three times: with nothing cached;
once more, for only now there is a blessed model to compare with (not counted); and unchanged, with all of it cached.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.airflow_project import Task, run_dag, running_airflow, span
from benchmarks.example_data import ASSET, build_features, copy_project, run_locally
from headrace.settings import load_settings

ROOT = Path(__file__).parents[1]
PAIRS = int(os.environ.get("HEADRACE_BENCH_PAIRS", "3"))
TRAINING = "flight_delay_training"
WINDOWS = {"2013-02": 2, "2013-12": 12}  # by their newest month
GOALS = {"cold": 0.8, "cached": 0.5}
CACHED_RUN = 2


def run() -> None:
    """Measure and print; ``HEADRACE_BENCH_WINDOW=2013-02`` measures that one only."""
    only = os.environ.get("HEADRACE_BENCH_WINDOW")
    figures = {}
    with tempfile.TemporaryDirectory(prefix="headrace-tfx-chain-") as folder:
        features = build_features(Path(folder) / "year", [f"2013-{month:02d}" for month in range(1, 13)])
        for partition, months in WINDOWS.items():
            if only in (None, partition):
                chosen = choose(features, months, Path(folder) / partition)
                figures[f"{months}_months"] = measure(partition, chosen, Path(folder))
    print(f"  {record.write('tfx_chain', figures).relative_to(ROOT)}")


def choose(features: Path, months: int, folder: Path) -> Path:
    """Return a features folder with the year's first months only."""
    (folder / ASSET).mkdir(parents=True)
    for file in sorted((features / ASSET).iterdir())[:months]:
        (folder / ASSET / file.name).hardlink_to(file)
    return folder


def measure(partition: str, features: Path, folder: Path) -> dict[str, Any]:
    """Run both sides in turn; returns the figures."""
    taken: dict[str, dict[str, list[float]]] = {kind: {"local": [], "airflow": []} for kind in GOALS}
    nodes: list[Task] = []
    for pair in range(PAIRS):
        local = run_local(partition, features, folder / f"local-{partition}-{pair}")
        airflow = run_airflow(partition, features, folder / f"airflow-{partition}-{pair}")
        for side, runs in (("local", local), ("airflow", [span(tasks) for tasks in airflow])):
            taken["cold"][side].append(runs[0])
            taken["cached"][side].append(runs[CACHED_RUN])
            print(f"    {partition} {side}: {', '.join(f'{each:.1f} s' for each in runs)}", flush=True)
        nodes = airflow[0]
    figures: dict[str, Any] = {}
    for kind, sides in taken.items():
        ratios = record.divide(sides["airflow"], sides["local"])
        print(f"  window to {partition}, {kind}: LocalDagRunner {record.show(sides['local'])}, ", end="")
        print(f"Airflow {record.show(sides['airflow'])}, {record.show(ratios, '×')} (goal {GOALS[kind]})")
        figures[kind] = {f"{side}_s": record.summarise(seconds) for side, seconds in sides.items()}
        figures[kind]["ratio"] = record.summarise(ratios)
    nodes.sort(key=lambda task: task["start_date"])
    figures["tasks_s"] = {task["task_id"]: task["duration"] for task in nodes}
    for name, seconds in figures["tasks_s"].items():
        print(f"    {seconds:6.1f} s  {name}")
    return figures


def run_local(partition: str, features: Path, output: Path) -> list[float]:
    """Run the pipeline under LocalDagRunner three times in one folder; returns wall seconds."""
    command, environment = run_locally(partition, features, output)
    seconds = []
    for _ in range(CACHED_RUN + 1):
        started = time.monotonic()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.monotonic() - started)
    return seconds


def run_airflow(partition: str, features: Path, folder: Path) -> list[list[Task]]:
    """Run the training DAG three times in a project of its own; returns the tasks of each run."""
    copy_project(folder)
    settings = load_settings(folder)
    settings.state_dir.mkdir()
    settings.features_dir.symlink_to(features)
    with running_airflow(folder, [TRAINING], tfx=True) as (api, _):
        return [run_dag(api, TRAINING, partition) for _ in range(CACHED_RUN + 1)]


if __name__ == "__main__":
    run()
