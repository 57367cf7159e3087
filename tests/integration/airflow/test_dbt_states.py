"""Giving dbt's tasks their ends, on a real metadata database; what was told lies in XComs, as a task pushes them."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.airflow.dbt_reports import KEY_PREFIX
from headrace.airflow.dbt_states import NodeStates

DAG_FILE = """
from datetime import timedelta
from airflow.sdk import DAG, BaseOperator


class DbtBuildOperator(BaseOperator):
    pass


with DAG("shop", schedule=None):
    build = DbtBuildOperator(task_id="build")
    for name, retries in (("a", 0), ("b", 1), ("c", 0)):
        build >> BaseOperator(task_id=name, retries=retries, retry_delay=timedelta(seconds=10))
    build >> BaseOperator(task_id="calling", on_success_callback=print)
"""


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The DAG in the metadata database, as the dag-processor writes it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbag import DBDagBag
    from airflow.utils import db
    from airflow.utils.session import create_session

    db.initdb()
    folder = tmp_path_factory.mktemp("dags")
    (folder / "shop.py").write_text(DAG_FILE)
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    with create_session() as session:
        return DBDagBag().get_latest_version_of_dag("shop", session=session)


class Run:
    """A DAG run whose dbt process runs, in its first try."""

    def __init__(self, dag: Any, run_id: str) -> None:
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        self.run_id, self.told = run_id, 0
        dag.create_dagrun(
            run_id=run_id,
            run_after=datetime.now(UTC),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
        )
        self.set("build", state="running", try_number=1)

    def set(self, task_id: str, **values: Any) -> None:
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import update

        with create_session() as session:
            session.execute(
                update(TaskInstance)
                .where(TaskInstance.run_id == self.run_id, TaskInstance.task_id == task_id)
                .values(**values)
            )

    def say(self, value: Any) -> None:
        from airflow.models.xcom import XComModel

        key = f"{KEY_PREFIX}{self.told:06d}"
        XComModel.set(key=key, value=value, dag_id="shop", task_id="build", run_id=self.run_id, serialize=False)
        self.told += 1

    def tell(self, *failed: str, succeeded: tuple[str, ...] = (), try_number: int = 1) -> None:
        ends = [
            {
                "task_id": task_id,
                "failed": task_id in failed,
                "message": f"{task_id} has no price" if task_id in failed else "",
                "started": "2026-01-01T10:00:00+00:00",
                "ended": "2026-01-01T10:00:02+00:00",
                "lines": [["info", f"OK created {task_id}"]],
                "calls_back": task_id == "calling",
            }
            for task_id in (*failed, *succeeded)
        ]
        self.say({"try_number": try_number, "ends": ends})

    def tasks(self) -> dict[str, Any]:
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            found = session.scalars(select(TaskInstance).where(TaskInstance.run_id == self.run_id)).all()
            session.expunge_all()
        return {each.task_id: each for each in found}

    def states(self) -> dict[str, str | None]:
        return {task_id: each.state and str(each.state) for task_id, each in self.tasks().items() if task_id != "build"}

    def log(self, task_id: str) -> list[dict[str, Any]]:
        from airflow.configuration import conf

        folder = Path(conf.get("logging", "base_log_folder")) / "dag_id=shop" / f"run_id={self.run_id}"
        text = (folder / f"task_id={task_id}" / "attempt=1.log").read_text()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def run(dag: Any, request: pytest.FixtureRequest) -> Iterator[Run]:
    run = Run(dag, f"run-{abs(hash(request.node.name))}")
    yield run
    run.set("build", state="success")


def test_tasks_end_as_they_were_told_with_the_times_and_words_of_dbt(run: Run) -> None:
    run.tell("a", succeeded=("c",))
    assert NodeStates().give_ends(), "a dbt process is running"
    assert run.states() == {"a": "failed", "b": None, "c": "success", "calling": None}
    task = run.tasks()["c"]
    assert (task.try_number, task.duration) == (1, 2.0)
    assert task.end_date == datetime(2026, 1, 1, 10, 0, 2, tzinfo=UTC)
    assert [line["event"] for line in run.log("c")] == ["OK created c"]
    error = run.log("a")[-1]["error_detail"][0]
    assert (error["exc_type"], error["exc_value"]) == ("DbtRunError", "a has no price")


def test_a_task_that_may_be_tried_again_waits_for_that(run: Run) -> None:
    run.tell("b")
    NodeStates().give_ends()
    assert run.states()["b"] == "up_for_retry"


def test_another_triggerer_and_one_that_was_killed_change_nothing_that_has_ended(run: Run) -> None:
    run.tell("a", "b", succeeded=("c",))
    NodeStates().give_ends()
    before = run.states()
    NodeStates().give_ends()
    assert run.states() == before
    run.tell(succeeded=("calling",))
    NodeStates().give_ends()
    assert run.states() == {**before, "calling": "success"}


@pytest.mark.skipif("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in os.environ, reason="SQLite locks no rows")
def test_triggerers_at_the_same_time_end_a_task_once(run: Run) -> None:
    names = ("a", "b", "c", "calling")
    for name in names:
        run.tell(succeeded=(name,))
    with ThreadPoolExecutor(4) as triggerers:
        for given in [triggerers.submit(NodeStates().give_ends) for _ in range(4)]:
            given.result()
    tasks = run.tasks()
    assert {(str(tasks[name].state), tasks[name].try_number) for name in names} == {("success", 1)}
    assert len(list_callbacks(run)) == 1


@pytest.mark.parametrize("state", ["running", "queued", "failed", "success", "upstream_failed", "skipped"])
def test_a_task_that_runs_by_itself_or_has_ended_keeps_its_state(run: Run, state: str) -> None:
    run.set("a", state=state, try_number=2)
    run.tell(succeeded=("a",))
    NodeStates().give_ends()
    assert (run.states()["a"], run.tasks()["a"].try_number) == (state, 2)


def test_what_the_try_before_told_counts_no_more(run: Run) -> None:
    run.set("build", try_number=2)
    run.tell(succeeded=("a",), try_number=1)
    NodeStates().give_ends()
    assert run.states()["a"] is None
    run.tell(succeeded=("a",), try_number=2)
    NodeStates().give_ends()
    assert run.states()["a"] == "success"


def test_a_process_that_was_killed_gives_nothing_more(run: Run) -> None:
    run.tell(succeeded=("a",))
    run.set("build", state="failed")
    assert not NodeStates().give_ends()
    assert run.states()["a"] is None


def test_only_what_is_new_is_given(run: Run) -> None:
    giver = NodeStates()
    run.tell(succeeded=("a",))
    giver.give_ends()
    run.set("a", state=None)
    giver.give_ends()
    assert run.states()["a"] is None, "it was given before: somebody has cleared it since"


@pytest.mark.parametrize("value", ["a reference", {"try_number": 1}, {"try_number": 1, "ends": [{"task_id": "a"}]}])
def test_what_cannot_be_understood_stops_its_own_process_only(
    dag: Any, run: Run, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    others = [Run(dag, f"{place}-of-{run.run_id}") for place in ("before", "after")]
    giver = NodeStates()
    run.say(value)
    for each in (others[0], run, others[1]):
        each.tell(succeeded=("c",))
    for _ in range(3):
        giver.give_ends()
    for each in others:
        each.set("build", state="success")
    assert [each.states()["c"] for each in others] == ["success", "success"]
    assert run.states()["c"] is None, "what comes after it is not told either: the process fails for want of it"
    assert caplog.text.count("cannot be given") == 1


def test_tasks_that_are_mapped_are_not_dbts(run: Run) -> None:
    run.set("a", map_index=0)
    run.tell(succeeded=("a", "c"))
    NodeStates().give_ends()
    assert (run.states()["a"], run.states()["c"]) == (None, "success")


STARTING = """
import time
from airflow.jobs.job import Job
from headrace.airflow.dbt_states import on_starting

job = Job()
on_starting(job)
print("announced", flush=True)
time.sleep(2)
job.job_type = "TriggererJob"
time.sleep(60)
"""


def test_a_triggerer_that_learns_late_that_it_is_one_gives_ends(run: Run) -> None:
    run.tell(succeeded=("a",))
    starting = subprocess.Popen([sys.executable, "-c", STARTING], stdout=subprocess.PIPE, text=True)
    try:
        assert any("announced" in line for line in starting.stdout or ())
        assert run.states()["a"] is None
        deadline = time.monotonic() + 30
        while run.states()["a"] is None and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        starting.kill()
        starting.communicate()
    assert run.states()["a"] == "success"


class SlowStore:
    """A remote store of logs that takes as long as one lets it."""

    def __init__(self, run: Run) -> None:
        self.run, self.goes_on, self.found = run, threading.Event(), []  # type: ignore[var-annotated]

    def upload(self, path: str, task_instance: Any) -> None:
        self.goes_on.wait(10)
        self.found.append((path.rpartition("task_id=")[2], self.run.states()[task_instance.task_id]))


def test_a_slow_store_of_logs_holds_nothing_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.log import _ActiveLoggingConfig

    store = SlowStore(run)
    monkeypatch.setattr(_ActiveLoggingConfig, "logging_config_loaded", True)
    monkeypatch.setattr(_ActiveLoggingConfig, "remote_task_log", store)
    run.tell("a", succeeded=("c",))
    NodeStates().give_ends()
    assert store.found == []
    assert (run.states()["a"], run.states()["c"]) == ("failed", "success")
    store.goes_on.set()
    deadline = time.monotonic() + 30
    while len(store.found) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sorted(store.found) == [("a/attempt=1.log", "failed"), ("c/attempt=1.log", "success")]


def list_callbacks(run: Run) -> list[str]:
    """Return the callbacks that Airflow is asked to call for tasks of the run."""
    from airflow.models.db_callback_request import DbCallbackRequest
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        asked = [str(each.data) for each in session.scalars(select(DbCallbackRequest))]
    return [each for each in asked if run.run_id in each]


def test_a_callback_on_success_is_called(run: Run) -> None:
    run.tell(succeeded=("calling", "c"))
    NodeStates().give_ends()
    assert run.states()["calling"] == "success"
    of_run = list_callbacks(run)
    assert len(of_run) == 1, "of the other, which has none, nobody is asked"
    assert "calling" in of_run[0]
