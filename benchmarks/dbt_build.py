"""dbt in Airflow, against ``dbt build`` and Cosmos's watcher mode: one warehouse, one machine, one after the other.

Counted for ``dbt build``: the whole process, imports included, with what it had parsed before. Counted in Airflow:
from the first task queued to the last one done.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.airflow_project import Task, UnendedError, run_dag, running_airflow, span
from benchmarks.dbt_project import generate
from benchmarks.example_data import FEATURES_AND_UPSTREAM, copy_project, dbt_command, land, write_landing
from headrace.cli.compile import compile_all
from headrace.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
ROUNDS = int(os.environ.get("HEADRACE_BENCH_ROUNDS", "5"))
WATCHER_ROUNDS = {"ours": ROUNDS, "many": int(os.environ.get("HEADRACE_BENCH_WATCHER_ROUNDS", "1"))}
WATCHER_SECONDS = 480
MONTHS = ("2013-01", "2013-02")
PARTITION = MONTHS[0]
COMMON = """
from datetime import datetime, timedelta
from airflow.sdk import DAG, CronPartitionTimetable

when = CronPartitionTimetable("0 0 1 * *", timezone="UTC", run_offset=-1, key_format="%Y-%m")
common = dict(schedule=when, start_date=datetime(2013, 1, 1), end_date=datetime(2013, 1, 2), catchup=False)
"""
OURS = """
from headrace import DbtTransform

with DAG("headrace", **common):
    DbtTransform({select!r})
"""
PEER = """
from cosmos import DbtTaskGroup, ExecutionConfig, ExecutionMode, LoadMode, ProfileConfig, ProjectConfig, RenderConfig
from headrace.settings import load_settings

settings = load_settings()
with DAG("cosmos", **common):
    DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            settings.dbt_project_dir, manifest_path=settings.dbt_manifest, install_dbt_deps=False
        ),
        profile_config=ProfileConfig(
            profile_name={profile!r}, target_name="local", profiles_yml_filepath=settings.dbt_profiles
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            setup_operator_args=dict(pool="headrace_warehouse", retries=0),
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST, select={select!r}.split(), emit_datasets=False
        ),
        operator_args=dict(
            vars=dict(partition_key="{{{{ partition_key or '' }}}}"),
            retries=1,
            retry_delay=timedelta(seconds=10),
            emit_datasets=False,
            install_deps=False,
        ),
    )
"""


def run() -> None:
    """Measure and print; ``HEADRACE_BENCH_DBT=many`` measures that project only."""
    for name, prepare in (("ours", prepare_ours), ("many", prepare_many)):
        if os.environ.get("HEADRACE_BENCH_DBT", name) == name:
            with tempfile.TemporaryDirectory(prefix="headrace-dbt-") as folder:
                figures = measure(name, Path(folder), prepare(Path(folder)))
            print(f"  {record.write(f'dbt_build_{name}', figures).relative_to(ROOT)}")


def prepare_ours(folder: Path) -> str:
    """Copy our project and land two months."""
    copy_project(folder, ["dbt_project"])
    settings = load_settings(folder)
    write_landing(settings, MONTHS)
    land(settings, MONTHS)
    return write_dags(folder, "flights", FEATURES_AND_UPSTREAM)


def prepare_many(folder: Path) -> str:
    generate(folder / "dbt_project", folder / "many.duckdb")
    return write_dags(folder, "many", "")


def write_dags(folder: Path, profile: str, select: str) -> str:
    (folder / "dags").mkdir()
    (folder / "dags" / "ours.py").write_text(COMMON + OURS.format(select=select))
    (folder / "dags" / "peer.py").write_text(COMMON + PEER.format(profile=profile, select=select))
    return select


def measure(name: str, folder: Path, select: str) -> dict[str, Any]:
    settings = load_settings(folder)
    compile_all(settings, say=lambda _: None)
    seconds: dict[str, list[float]] = {"dbt": [], "headrace": [], "cosmos": []}
    environment = {
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # nobody edits a DAG file while we measure
        "AIRFLOW__COSMOS__ENABLE_WATCHER_RELIABLE_RETRY": "False",  # the watcher is faster without
    }
    with running_airflow(folder, ["headrace", "cosmos"], environment) as (api, _):
        tasks: list[Task] = []
        for round_ in range(ROUNDS + 1):  # the first is a warm-up: of dbt's parse, of the files' cache
            told = {"dbt": run_dbt(settings, select)}
            tasks = run_dag(api, "headrace", PARTITION)
            told["headrace"] = span(tasks)
            unended = ""
            if round_ > ROUNDS - WATCHER_ROUNDS[name]:
                try:
                    told["cosmos"] = span(run_dag(api, "cosmos", PARTITION, WATCHER_SECONDS))
                except UnendedError as error:
                    unended = str(error)
            for key, value in told.items() if round_ else ():
                seconds[key].append(value)
            print(f"    {name}: {', '.join(f'{key} {value:.1f} s' for key, value in told.items())}", flush=True)
            if unended:
                print(f"    {name}: {unended}", flush=True)
                break  # it runs on, beside whatever followed
    return report(name, len(tasks), seconds)


def report(name: str, tasks: int, seconds: dict[str, list[float]]) -> dict[str, Any]:
    ratios = record.divide(seconds["headrace"], seconds["dbt"])
    more = [ours - dbt for ours, dbt in zip(seconds["headrace"], seconds["dbt"], strict=True)]
    watcher = record.divide(seconds["headrace"], seconds["cosmos"])
    print(f"  {name}: {tasks} tasks, {len(seconds['dbt'])} rounds")
    print(f"    dbt build            {record.show(seconds['dbt'])}")
    print(f"    Headrace in Airflow  {record.show(seconds['headrace'])}   ({record.show(ratios, '×')})")
    print(f"    more than dbt build  {record.show(more)}")
    if watcher:
        print(f"    Cosmos WATCHER       {record.show(seconds['cosmos'])}   (ours {record.show(watcher, '×')})")
    figures = {f"{key}_s": record.summarise(values) for key, values in seconds.items() if values}
    return {
        "tasks": tasks,
        **figures,
        "ratio": record.summarise(ratios),
        "more_s": record.summarise(more),
        **({"ratio_to_watcher": record.summarise(watcher)} if watcher else {}),
    }


def run_dbt(settings: Settings, select: str) -> float:
    """Run ``dbt build`` as an analyst does; returns wall seconds."""
    command = dbt_command(settings, "build", select, PARTITION)
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


if __name__ == "__main__":
    run()
