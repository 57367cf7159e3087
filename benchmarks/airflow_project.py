"""An Airflow of a project of its own, and runs in it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from headrace.cli.airflow_api import AirflowApi
from headrace.cli.stack import find_running_api
from headrace.settings import load_settings

HEADRACE = str(Path(sys.executable).with_name("headrace"))
Task = dict[str, Any]


@contextlib.contextmanager
def running_airflow(
    folder: Path, dag_ids: Sequence[str], environment: Mapping[str, str] | None = None, *, tfx: bool = False
) -> Iterator[tuple[AirflowApi, int]]:
    """Run ``headrace up`` in a project's folder; gives Airflow's API and the pid of the command, which leads a session.

    Args:
        folder: The project.
        dag_ids: DAGs to wait for.
        environment: More variables.
        tfx: Wait for the TFX runtime too, which ``up`` starts.
    """
    log = folder / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            [HEADRACE, "up"],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        settings = load_settings(folder)
        while (api := find_running_api(settings)) is None or not api.is_healthy():
            if up.poll() is not None:
                raise SystemExit(f"Airflow did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.5)
        for dag_id in dag_ids:
            api.wait_for_dag(dag_id)
            api.unpause(dag_id)
        if tfx:
            subprocess.run([HEADRACE, "runtime", "start"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        yield api, up.pid
    finally:
        up.send_signal(signal.SIGINT)
        try:
            up.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(up.pid, signal.SIGKILL)
            raise


class UnendedError(Exception):
    """A run has not ended in the time it had."""


def run_dag(api: AirflowApi, dag_id: str, partition_key: str | None, seconds: float = 3600) -> list[Task]:
    """Trigger a DAG and wait for the run's end; returns its tasks."""
    return wait_for_run(api, dag_id, api.trigger(dag_id, partition_key), seconds)


def wait_for_run(api: AirflowApi, dag_id: str, run_id: str, seconds: float = 3600) -> list[Task]:
    """Wait for a run's end; returns its tasks.

    Raises:
        UnendedError: It has not ended in so many seconds.
    """
    deadline = time.monotonic() + seconds
    while (state := api.run(dag_id, run_id)["state"]) not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise UnendedError(f"the run {run_id} of {dag_id} is {state} after {seconds:.0f} s")
        time.sleep(0.5)
    tasks: list[Task] = []
    while True:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        page = api._get(path, limit=100, offset=len(tasks))
        tasks += page["task_instances"]
        if len(tasks) >= page["total_entries"]:
            break
    if state != "success":
        failed = [task["task_id"] for task in tasks if task["state"] == "failed"]
        raise SystemExit(f"the run of {dag_id} failed: {Counter(task['state'] for task in tasks)}, {failed}")
    return tasks


def span(tasks: Sequence[Task]) -> float:
    """Return the seconds from the first task queued to the last one done."""
    first = min(datetime.fromisoformat(task["queued_when"]) for task in tasks if task["queued_when"])
    last = max(datetime.fromisoformat(task["end_date"]) for task in tasks)
    return (last - first).total_seconds()
