"""The whole chain on 1, 3, 10 and 30 times the rows of a month, against its parts by themselves.

One month of flights, resampled; landed, checked, built, checked, published, trained on. Ours: both DAGs, from the first
task queued to the last one done, in an Airflow and a TFX runtime that are there. The parts: landing, GX, ``dbt build``,
GX, publishing and TFX's LocalDagRunner, each a process. Peak memory is that of the whole tree of processes.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.airflow_project import Task, run_dag, running_airflow, span, wait_for_run
from benchmarks.example_data import FEATURES_AND_UPSTREAM, copy_project, dbt_command, run_locally, write_landing
from benchmarks.process_tree import PeakMemory, ProcessTree, measure
from headrace.cli.airflow_api import AirflowApi
from headrace.cli.compile import compile_all
from headrace.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
FACTORS = tuple(map(int, os.environ.get("HEADRACE_BENCH_FACTORS", "1,3,10,30").split(",")))
MONTH, FLIGHTS = "2013-01", 27_004
DATAOPS, TRAINING = "flights_dataops", "flight_delay_training"
RAW_SUITES = ("raw_flights", "raw_weather", "raw_planes", "raw_airports", "raw_airlines")

COUNTED = re.compile(r'(name: "\w+_(?:landed|departures)_\w+"[^"]*int_domain \{ min: \d max: )(\d+)')
"""What the schema says of a feature that counts flights, up to the most there may be."""

LAND = """
import sys
from benchmarks.example_data import land
from headrace.settings import load_settings
land(load_settings(sys.argv[1]), [sys.argv[2]])
"""
CHECK = """
import sys
from headrace.dbt.profiles import load_compiled_warehouse_path
from headrace.gx.run_suite import run_suite
from headrace.settings import load_settings
settings = load_settings(sys.argv[1])
for suite in sys.argv[3:]:
    run_suite(settings.expectations_dir, suite, load_compiled_warehouse_path(settings.dbt_profiles), sys.argv[2])
"""
PUBLISH = """
import sys
from benchmarks.example_data import publish
from headrace.dbt.profiles import load_compiled_warehouse_path
from headrace.settings import load_settings
settings = load_settings(sys.argv[1])
publish(settings, load_compiled_warehouse_path(settings.dbt_profiles), [sys.argv[2]])
"""


def run() -> None:
    """Measure and print; ``HEADRACE_BENCH_FACTORS=1,3`` for fewer."""
    figures: dict[str, Any] = {}
    print(f"  {'rows':>9} {'parts':>18} {'Headrace':>18} ratio   per 1,000 rows: s, MB of peak")
    for factor in FACTORS:
        with tempfile.TemporaryDirectory(prefix="headrace-growth-") as folder:
            parts = measure_parts(factor, Path(folder) / "parts")
            ours = measure_ours(factor, Path(folder) / "ours")
        rows = FLIGHTS * factor
        told = [f"{each['seconds']:.0f} s {each['peak_mb']:,.0f} MB" for each in (parts, ours)]
        per_row = f"{ours['seconds'] / rows * 1000:.2f} s, {ours['peak_mb'] / rows * 1000:.1f} MB"
        print(
            f"  {rows:9,} {told[0]:>18} {told[1]:>18} {ours['seconds'] / parts['seconds']:.2f}×   {per_row}", flush=True
        )
        figures[str(rows)] = {"parts": parts, "headrace": ours, "ratio": ours["seconds"] / parts["seconds"]}
        written = record.write("growth", figures)
    print(f"  {written.relative_to(ROOT)}")


def prepare(factor: int, folder: Path) -> Settings:
    """Copy the project, with so many times the flights of a month, and of how many there may be at a time."""
    copy_project(folder)
    settings = load_settings(folder)
    write_landing(settings, [MONTH], factor)
    schema = settings.tfx_pipelines_dir / "flight_delay" / "schema.pbtxt"
    schema.write_text(COUNTED.sub(lambda found: f"{found[1]}{int(found[2]) * factor}", schema.read_text()))
    return settings


def measure_parts(factor: int, folder: Path) -> dict[str, Any]:
    """Run each part as a process of its own, one after the other."""
    settings = prepare(factor, folder)
    compile_all(settings, ["dbt"], say=lambda _: None)
    python = [sys.executable, "-c"]
    local_run, local_environment = run_locally(
        MONTH, settings.features_dir, folder / "local", settings.tfx_pipelines_dir
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    commands = {
        "land": [*python, LAND, str(folder), MONTH],
        "check_raw": [*python, CHECK, str(folder), MONTH, *RAW_SUITES],
        "dbt": dbt_command(settings, "build", FEATURES_AND_UPSTREAM, MONTH),
        "check_features": [*python, CHECK, str(folder), MONTH, "flight_features"],
        "publish": [*python, PUBLISH, str(folder), MONTH],
        "train": local_run,
    }
    taken = {}
    for name, command in commands.items():
        where = local_environment if name == "train" else environment
        seconds, peak_mb, _ = measure(command, where, ROOT, folder / f"{name}.log")
        taken[name] = {"seconds": seconds, "peak_mb": peak_mb}
    return {
        "seconds": sum(each["seconds"] for each in taken.values()),
        "peak_mb": max(each["peak_mb"] for each in taken.values()),
        "parts": taken,
    }


def measure_ours(factor: int, folder: Path) -> dict[str, Any]:
    """Run both DAGs, the second one started by what the first one publishes."""
    prepare(factor, folder)
    with running_airflow(folder, [DATAOPS, TRAINING], tfx=True) as (api, pid):
        idle_mb = ProcessTree(pid).pss_mb()
        with PeakMemory(pid) as memory:
            tasks = run_dag(api, DATAOPS, MONTH)
            tasks += wait_for_run(api, TRAINING, find_run(api))
    return {
        "seconds": span(tasks),
        "peak_mb": memory.peak_mb,
        "idle_mb": idle_mb,
        "tasks_s": {name_task(task): task["duration"] for task in tasks},
    }


def find_run(api: AirflowApi) -> str:
    deadline = time.monotonic() + 120
    while not (runs := api.runs(TRAINING)):
        if time.monotonic() > deadline:
            raise SystemExit(f"what {DATAOPS} published has started no run of {TRAINING}")
        time.sleep(0.5)
    return str(runs[0]["dag_run_id"])


def name_task(task: Task) -> str:
    return f"{task['dag_id']} {task['task_id']}"


if __name__ == "__main__":
    run()
