"""The example's year, or a month of it resampled: landed files, a warehouse and published features, without Airflow.

A resampled flight is the same flight under another number, so every key stays unique and every other value likely.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace.cli.compile import compile_all
from headrace.dbt.profiles import load_compiled_warehouse_path
from headrace.examples.nycflights import write_landing_files
from headrace.settings import Settings, load_settings
from headrace.warehouse.landing import land_partition, load_landing_tables
from headrace.warehouse.publishing import publish_partition

ROOT = Path(__file__).parents[1]
FEATURES, ASSET, KEY = "marts.flight_features", "flight_features", "flight_key"
FEATURES_AND_UPSTREAM = "+flight_features"
_NUMBERS_APART = 10_000  # flight numbers of the source end below it


def copy_project(folder: Path, parts: Sequence[str] = ("dags", "dbt_project", "expectations", "tfx_pipelines")) -> None:
    """Copy the project's own files into a folder, without anything that was generated."""
    for part in parts:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("target", "logs", "__pycache__"))


def write_landing(settings: Settings, months: Sequence[str], factor: int = 1) -> None:
    """Drop the months' files, with each flight ``factor`` times."""
    write_landing_files(settings.landing_dir, months)
    for month in months if factor > 1 else ():
        resample(settings.landing_dir / "flights" / f"{month}.csv", factor)


def resample(path: Path, factor: int) -> None:
    """Write each flight of a file ``factor`` times, each time under another number."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    number = header.index("flight")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for again in range(factor):
            for row in rows:
                writer.writerow([*row[:number], int(row[number]) + again * _NUMBERS_APART, *row[number + 1 :]])


def land(settings: Settings, months: Sequence[str]) -> Path:
    """Compile the project and land the months; returns the warehouse."""
    compile_all(settings, ["dbt"], say=lambda _: None)
    warehouse = load_compiled_warehouse_path(settings.dbt_profiles)
    tables = load_landing_tables(settings.dbt_manifest)
    for month in months:
        land_partition(warehouse, settings.landing_dir, tables, month)
    return warehouse


def dbt_command(settings: Settings, verb: str, select: str, month: str | None = None) -> list[str]:
    """Return dbt's command line as an analyst would type it, with a target of its own; an empty selection is all."""
    command = [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", verb]
    command += ["--select", select] if select else []
    command += ["--project-dir", str(settings.dbt_project_dir), "--profiles-dir", str(settings.dbt_profiles.parent)]
    command += ["--target-path", str(settings.project_dir / "target"), "--log-path", str(settings.project_dir / "logs")]
    return [*command, *(["--vars", json.dumps({"partition_key": month})] if month else [])]


def publish(settings: Settings, warehouse: Path, months: Sequence[str]) -> None:
    for month in months:
        publish_partition(warehouse, FEATURES, month, settings.features_dir / ASSET, order_by=[KEY])


def run_locally(
    month: str, features: Path, output: Path, pipelines: Path = ROOT / "tfx_pipelines"
) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment that run ``flight_delay`` under TFX's LocalDagRunner.

    Args:
        month: The window's newest.
        features: The published features, by asset.
        output: Where artifacts and MLMD go; what is there already is cached.
        pipelines: The folder of pipelines.
    """
    command = [str(load_settings(ROOT).tfx_python), "-m", "flight_delay.local_run", "--data-root", str(features)]
    command += ["--partition-key", month, "--output-dir", str(output)]
    return command, {**os.environ, "PYTHONPATH": str(pipelines), "CUDA_VISIBLE_DEVICES": "-1"}


def build_features(folder: Path, months: Sequence[str]) -> Path:
    """Build the features of some months in a project of their own; returns the folder that holds them, by asset."""
    folder.mkdir()
    copy_project(folder, ["dbt_project"])
    settings = load_settings(folder)
    write_landing(settings, months)
    warehouse = land(settings, months)
    subprocess.run(
        dbt_command(settings, "run", FEATURES_AND_UPSTREAM), check=True, stdout=subprocess.DEVNULL, env=dict(os.environ)
    )
    publish(settings, warehouse, months)
    return settings.features_dir
