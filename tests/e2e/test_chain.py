"""The chain under a scheduler when things go wrong, on somebody else's project: small data, the same blocks."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from tests.e2e.conftest import run_headrace

from headrace.cli.airflow_api import AirflowApi, TaskState
from headrace.dbt.profiles import load_warehouse_path
from headrace.jobs.job import Job
from headrace.settings import Settings, load_settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DATAOPS, TRAINING = "penguins_dataops", "penguin_training"


@pytest.fixture(scope="module")
def penguins(project: Path) -> Settings:
    """Somebody else's project, compiled, with its files landed."""
    settings = load_settings(project / "penguins")
    shutil.copytree(settings.project_dir / "landing", settings.landing_dir)
    done = run_headrace(project, "compile", "--project-dir", "penguins")
    assert done.returncode == 0, done.stderr
    return settings


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.3)


def find_task(api: AirflowApi, run_id: str, task_id: str) -> TaskState:
    return next(task for task in api.tasks(TRAINING, run_id) if task.task_id == task_id)


def wait_for_state(api: AirflowApi, run_id: str, task_id: str, *states: str) -> TaskState:
    def reached() -> bool:
        task = find_task(api, run_id, task_id)
        assert task.state in states or task.state not in ("failed", "upstream_failed"), task
        return task.state in states

    wait_for(reached, f"{task_id} {' or '.join(states)}")
    return find_task(api, run_id, task_id)


def test_a_malformed_row_stops_the_chain_and_changes_nothing(
    project: Path, penguins: Settings, airflow: AirflowApi
) -> None:
    file = penguins.landing_dir / "penguins" / "2007.csv"
    good = file.read_text()
    lines = good.splitlines()
    cells = lines[3].split(",")
    file.write_text("\n".join([*lines[:3], ",".join(["not a number"] * len(cells)), *lines[4:]]) + "\n")
    try:
        done = run_headrace(project, "run", DATAOPS, "--partition", "2007")
    finally:
        file.write_text(good)
    assert done.returncode == 1
    assert "2007.csv" in done.stdout
    assert "line 4" in done.stdout
    assert not list(penguins.features_dir.rglob("*.parquet"))


@pytest.mark.parametrize("key", ["../../etc", "", "2007/..", "x" * 300])
def test_a_key_that_is_no_partition_is_refused_before_anything_runs(
    project: Path, airflow: AirflowApi, key: str
) -> None:
    done = run_headrace(project, "run", DATAOPS, "--partition", key)
    assert done.returncode == 2
    assert "partition key" in done.stderr


def test_a_key_that_is_no_month_is_refused_by_the_flights(project: Path, airflow: AirflowApi) -> None:
    done = run_headrace(project, "run", "flights_dataops", "--partition", "2013-13")
    assert done.returncode == 1
    assert "Partition key '2013-13' does not match" in done.stderr


def test_a_locked_warehouse_names_its_holder_and_the_retry_goes_on(
    project: Path, penguins: Settings, airflow: AirflowApi
) -> None:
    """The lock is let go once Airflow has reported the first try."""
    warehouse = load_warehouse_path(penguins.dbt_project_dir)
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    holder = duckdb.connect(str(warehouse))
    airflow.wait_for_dag(DATAOPS)
    run_id = airflow.trigger(DATAOPS, "2007")

    def land() -> TaskState:
        return next(task for task in airflow.tasks(DATAOPS, run_id) if task.task_id == "land")

    try:
        wait_for(lambda: land().state == "up_for_retry", "land waits to be tried again")
        error = airflow.task_error(DATAOPS, run_id, land()) or ""
    finally:
        holder.close()
    assert str(warehouse) in error
    assert str(os.getpid()) in error
    wait_for(lambda: airflow.run(DATAOPS, run_id)["state"] == "success", "the run goes the whole way")
    assert (penguins.features_dir / "penguin_features" / "2007.parquet").is_file()


@pytest.mark.tfx
def test_a_training_run_survives_a_killed_worker_a_failed_mark_and_a_clear(
    project: Path, settings: Settings, penguins: Settings, airflow: AirflowApi
) -> None:
    """The partition published above started a run; its nodes are disturbed one after the other."""
    (run,) = airflow.runs(TRAINING)
    run_id = run["dag_run_id"]
    assert run["partition_key"] == "2007"
    first, second = "penguin.StatisticsGen", "penguin.Trainer"

    # kill -9 of the task's own process: the node lives on, and the retry takes it up.
    wait_for_state(airflow, run_id, first, "running")
    job = Job(settings.task_folder(TRAINING, run_id, first))
    wait_for(job.is_running, "the node's process runs", 60)
    attempt = job.attempt
    os.kill(task_pid(airflow, run_id, first), signal.SIGKILL)
    retried = wait_for_state(airflow, run_id, first, "success")
    assert retried.try_number == 2
    assert job.attempt == attempt, "a second process was started"

    # Marked failed in the UI: nothing of the node is left.
    wait_for_state(airflow, run_id, second, "running")
    job = Job(settings.task_folder(TRAINING, run_id, second))
    wait_for(job.is_running, "the node's process runs", 60)
    airflow._send("PATCH", task_path(run_id, second), {"new_state": "failed"})
    wait_for(lambda: not job.is_running(), "the node's processes are ended", 60)
    wait_for(lambda: airflow.run(TRAINING, run_id)["state"] == "failed", "the run is red")

    # Cleared: that node runs again, those before it do not, and the run goes the whole way.
    clear = {"dry_run": False, "dag_run_id": run_id, "task_ids": [second], "include_downstream": True}
    airflow._send("POST", f"/api/v2/dags/{TRAINING}/clearTaskInstances", {**clear, "only_failed": False})
    wait_for(lambda: airflow.run(TRAINING, run_id)["state"] in ("success", "failed"), "the run ends", 600)
    tasks = {task.task_id: task for task in airflow.tasks(TRAINING, run_id)}
    assert {task.state for task in tasks.values()} == {"success"}, tasks
    assert tasks[second].try_number == 2
    assert [
        task.task_id for task in tasks.values() if task.try_number > 1 and task.task_id not in (first, second)
    ] == []
    log = " ".join(read_log(airflow, run_id, tasks[second]))
    assert "Trainer" in log


@pytest.fixture
def features_sql(penguins: Settings) -> Iterator[Path]:
    """The file of the features model, as it was again afterwards."""
    file = penguins.dbt_project_dir / "models" / "penguin_features.sql"
    before = file.read_text()
    yield file
    file.write_text(before)


def test_sql_that_does_not_compile_ends_red_and_goes_on_when_it_is_mended(
    project: Path, penguins: Settings, airflow: AirflowApi, features_sql: Path
) -> None:
    good = features_sql.read_text()
    features_sql.write_text(good + "\n{{ no_such_macro() }}")
    done = run_headrace(project, "run", DATAOPS, "--partition", "2008", "--json")
    assert done.returncode == 1
    assert "no_such_macro" in done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert run["tasks"]["publish"]["state"] == "upstream_failed"
    assert not (penguins.features_dir / "penguin_features" / "2008.parquet").exists()

    features_sql.write_text(good)
    clear_failed(airflow, run["run_id"])
    states = {task.task_id: task.state for task in airflow.tasks(DATAOPS, run["run_id"])}
    assert states["publish"] == "success", states
    assert (penguins.features_dir / "penguin_features" / "2008.parquet").is_file()


def test_a_killed_dbt_process_fails_its_tasks_and_a_clear_builds_them(
    project: Path, penguins: Settings, airflow: AirflowApi
) -> None:
    build = "dbt.dbt_build"
    airflow.wait_for_dag(DATAOPS)
    run_id = airflow.trigger(DATAOPS, "2008")
    path = f"/api/v2/dags/{DATAOPS}/dagRuns/{run_id}/taskInstances/{quote(build)}"
    wait_for(lambda: airflow._get(path)["state"] == "running" and airflow._get(path)["pid"], "dbt runs")
    os.kill(int(airflow._get(path)["pid"]), signal.SIGKILL)
    wait_for(lambda: airflow.run(DATAOPS, run_id)["state"] in ("success", "failed"), "the run ends", 120)
    states = {task.task_id: task.state for task in airflow.tasks(DATAOPS, run_id)}
    assert states[build] == "failed"
    assert {states[f"dbt.penguin_features.{name}"] for name in ("run", "test")} == {"upstream_failed"}
    assert states["publish"] == "upstream_failed"

    clear_failed(airflow, run_id)
    tasks = {task.task_id: task for task in airflow.tasks(DATAOPS, run_id)}
    assert {task.state for task in tasks.values()} == {"success"}, tasks
    model = tasks["dbt.penguin_features.run"]
    assert model.try_number == 1, "no worker ran it"
    assert "OK created" in read_task_log(airflow, DATAOPS, run_id, model)

    # One model, cleared by itself: it runs in a worker, and the process does not.
    clear = {"dry_run": False, "dag_run_id": run_id, "task_ids": [model.task_id], "only_failed": False}
    airflow._send("POST", f"/api/v2/dags/{DATAOPS}/clearTaskInstances", clear)
    wait_for(lambda: airflow.run(DATAOPS, run_id)["state"] in ("success", "failed"), "the run ends", 120)
    tasks = {task.task_id: task for task in airflow.tasks(DATAOPS, run_id)}
    assert (tasks[model.task_id].state, tasks[model.task_id].try_number) == ("success", 2)
    assert tasks[build].try_number == 2, "its clear was the one before"
    assert "1 of 1 OK created" in read_task_log(airflow, DATAOPS, run_id, tasks[model.task_id])


def test_a_dbt_test_that_fails_stops_the_chain(
    project: Path, penguins: Settings, airflow: AirflowApi, features_sql: Path
) -> None:
    # Every bird has the same key now: the unique test must fail, and nothing may be published.
    features_sql.write_text(f"select * replace ('same' as penguin_id) from (\n{features_sql.read_text()}\n)")
    done = run_headrace(project, "run", DATAOPS, "--partition", "2009", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert [each["severity"] for each in report["failing"] if each["tool"] == "dbt"] == ["critical"]
    (run,) = report["runs"]
    assert run["tasks"]["publish"]["state"] == "upstream_failed"

    # The one process ran to its end; the test's own task is red, and was tried again by itself.
    test = "dbt.penguin_features.test"
    tasks = {task.task_id: task for task in airflow.tasks(DATAOPS, run["run_id"])}
    assert (tasks["dbt.dbt_build"].state, tasks["dbt.dbt_build"].try_number) == ("success", 1)
    assert (tasks[test].state, tasks[test].try_number) == ("failed", 2)

    # Cleared with nothing mended: the model is really built and tested again, and it is red again.
    clear_failed(airflow, run["run_id"])
    tasks = {task.task_id: task for task in airflow.tasks(DATAOPS, run["run_id"])}
    assert tasks[test].state == "failed"
    assert tasks[test].try_number > 2
    assert "OK created sql incremental model" in read_task_log(airflow, DATAOPS, run["run_id"], tasks[test])
    assert tasks["publish"].state == "upstream_failed"
    assert not (penguins.features_dir / "penguin_features" / "2009.parquet").exists()


def read_task_log(api: AirflowApi, dag_id: str, run_id: str, task: TaskState) -> str:
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{quote(task.task_id)}/logs/{task.try_number}"
    return json.dumps(api._get(path, full_content=True)["content"])


def clear_failed(api: AirflowApi, run_id: str) -> None:
    """Clear what failed in a DataOps run, as the UI's button does, and wait until the run has ended."""
    clear = {"dry_run": False, "dag_run_id": run_id, "only_failed": True}
    api._send("POST", f"/api/v2/dags/{DATAOPS}/clearTaskInstances", clear)
    wait_for(lambda: api.run(DATAOPS, run_id)["state"] in ("success", "failed"), "the run ends", 300)


def read_log(api: AirflowApi, run_id: str, task: TaskState) -> list[str]:
    content = api._get(f"{task_path(run_id, task.task_id)}/logs/{task.try_number}", full_content=True)["content"]
    return [json.dumps(line) for line in content]


def task_path(run_id: str, task_id: str) -> str:
    return f"/api/v2/dags/{TRAINING}/dagRuns/{run_id}/taskInstances/{task_id}"


def task_pid(api: AirflowApi, run_id: str, task_id: str) -> int:
    return int(api._get(task_path(run_id, task_id))["pid"])
