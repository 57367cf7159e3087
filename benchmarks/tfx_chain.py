"""The TFX part through Airflow, against TFX's LocalDagRunner: same files, same pipeline, nothing cached, one run.

Counted through Airflow: from the first task queued to the last one done, each node in a fresh process. Counted for
LocalDagRunner: the whole process, imports included.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from benchmarks import record
from headrace.cli.airflow_api import AirflowApi
from headrace.cli.stack import find_running_api
from headrace.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
PAIRS = 1  # nine minutes each
TRAINING, PARTITION = "flight_delay_training", "2013-02"


def run() -> None:
    """Measure and print."""
    features = load_settings(ROOT).features_dir
    if not (features / "flight_features" / f"{PARTITION}.parquet").is_file():
        raise SystemExit("no published features: run 'make demo' first")
    airflow, local, nodes = [], [], {}
    for _ in range(PAIRS):
        with tempfile.TemporaryDirectory(dir=ROOT / ".headrace") as folder:
            local.append(run_local(features, Path(folder)))
        with tempfile.TemporaryDirectory(dir=ROOT / ".headrace") as folder:
            seconds, nodes = run_airflow(features, Path(folder))
            airflow.append(seconds)
    ratios = [ours / peer for ours, peer in zip(airflow, local, strict=True)]
    print(f"  LocalDagRunner    {record.show(local)}")
    print(f"  through Airflow   {record.show(airflow)}   ({record.show(ratios, '×')})")
    for name, taken in nodes.items():
        print(f"    {taken:6.1f} s  {name}")
    figures = {
        "airflow_s": record.summarise(airflow),
        "local_s": record.summarise(local),
        "ratio": record.summarise(ratios),
        "nodes_s": nodes,
    }
    print(f"  {record.write('tfx_chain', figures).relative_to(ROOT)}")


def run_local(features: Path, output: Path) -> float:
    """Run the pipeline under LocalDagRunner; returns wall seconds."""
    command = [str(load_settings(ROOT).tfx_python), "-m", "flight_delay.local_run"]
    command += ["--data-root", str(features), "--partition-key", PARTITION, "--output-dir", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tfx_pipelines"), "CUDA_VISIBLE_DEVICES": "-1"}
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def run_airflow(features: Path, folder: Path) -> tuple[float, dict[str, float]]:
    """Run the training DAG in a project of its own; returns seconds from first queued to last done, and by node."""
    for part in ("dags", "dbt_project", "expectations", "tfx_pipelines"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("target", "__pycache__"))
    settings = load_settings(folder)
    settings.state_dir.mkdir()
    settings.features_dir.symlink_to(features)
    headrace = [str(Path(sys.executable).with_name("headrace")), "up"]
    up = subprocess.Popen(headrace, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        api = wait_for_airflow(settings, up)
        run_id = api.trigger(TRAINING, PARTITION)
        while api.run(TRAINING, run_id)["state"] not in ("success", "failed"):
            time.sleep(1)
        if api.run(TRAINING, run_id)["state"] != "success":
            raise SystemExit(f"the training run failed: {settings.run_folder(TRAINING, run_id)}")
        path = f"/api/v2/dags/{TRAINING}/dagRuns/{run_id}/taskInstances"
        tasks = api._get(path, limit=100)["task_instances"]
        first = min(datetime.fromisoformat(task["queued_when"]) for task in tasks)
        last = max(datetime.fromisoformat(task["end_date"]) for task in tasks)
        nodes = {task["task_id"]: task["duration"] for task in sorted(tasks, key=lambda task: task["start_date"])}
        return (last - first).total_seconds(), nodes
    finally:
        up.send_signal(signal.SIGINT)
        up.wait()


def wait_for_airflow(settings: Settings, up: "subprocess.Popen[bytes]") -> AirflowApi:
    while True:
        if up.poll() is not None:
            raise SystemExit("Airflow did not start")
        api = find_running_api(settings)
        if api is not None and api.is_healthy():
            api.wait_for_dag(TRAINING)
            return api
        time.sleep(0.5)


if __name__ == "__main__":
    run()
