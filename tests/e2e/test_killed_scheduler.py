"""A scheduler, or a triggerer, that is killed and started again, and partitions at once: real dbt, a stand-in for TFX.

``headrace up`` ends with any of its components. Here another is started in its place, as a service manager does.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from tests.e2e.conftest import clean_environment, left_behind

from headrace.cli.airflow_api import AirflowApi
from headrace.cli.airflow_stack import COMPONENTS, AirflowStack
from headrace.cli.compile import compile_all
from headrace.jobs.processes import process_start_time
from headrace.settings import load_settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

BUILD, FIRST, LAST = "dbt.dbt_build", "dbt.orders.run", "dbt.totals.test"
INCREMENTAL = "{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='partition') }}"
OF_PARTITION = 'partition = \'{{ var("partition_key", "") }}\''
FILES = {
    "dbt_project/dbt_project.yml": "name: shop\nversion: 1.0.0\nprofile: shop\n",
    "dbt_project/models/sources.yml": "sources: [{name: till, schema: till, tables: [{name: sales}]}]",
    "dbt_project/models/orders.sql": INCREMENTAL
    + "{{ log('orders of ' ~ var('partition_key', ''), info=true) if execute }}"
    + "select * from {{ source('till', 'sales') }} where "
    + OF_PARTITION,
    # seconds, so that something can be killed meanwhile; a table, for a view computes nothing
    "dbt_project/models/slow.sql": "{{ config(materialized='table') }}"
    "select sum(a.range * b.range % 7) as n, '{{ ref('orders') }}' as after "
    "from range(20000) a, range(20000) b",
    "dbt_project/models/totals.sql": INCREMENTAL
    + "select partition, sum(price) as total, '{{ ref('slow') }}' as after from {{ ref('orders') }} where "
    + OF_PARTITION
    + " group by partition",
    "dbt_project/models/totals.yml": json.dumps(
        {
            "models": [
                {
                    "name": "totals",
                    "columns": [
                        {"name": "total", "data_tests": [{"not_null": {"config": {"where": OF_PARTITION}}}]},
                    ],
                }
            ]
        }
    ),
    "dags/shop.py": """
from datetime import timedelta
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, PartitionedAtRuntime
from headrace import DbtTransform
from headrace.airflow.operators.tfx_node import TfxNodeOperator

with DAG("shop", schedule=PartitionedAtRuntime(), max_active_runs=4):
    DbtTransform() >> PythonOperator(task_id="after", python_callable=lambda: None)

with DAG("training", schedule=PartitionedAtRuntime()):
    TfxNodeOperator(task_id="Trainer", pipeline="p", node="Trainer", retry_delay=timedelta(seconds=1))
""",
}
STAND_IN = """#!{python}
import os, sys, time
from pathlib import Path
from headrace.contracts.node_run import NodeOutcome

with open({runs!r}, "a") as file:
    file.write(str(os.getpid()) + "\\n")
while not Path({go!r}).exists():
    time.sleep(0.1)
NodeOutcome("Trainer", "COMPLETE", 1).write(Path(sys.argv[-1]))
"""
# What a service manager's restart waits for otherwise: minutes.
QUICK = {
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "8",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__HEADRACE__TFX_RUNTIME": "off",
}


@dataclass
class Shop:
    """A project of three models and one node, in an Airflow of its own."""

    folder: Path
    stack: AirflowStack
    api: AirflowApi

    def trigger(self, partition: str, dag_id: str = "shop") -> "Run":
        return Run(self, dag_id, self.api.trigger(dag_id, partition), partition)

    def kill(self, component: str, alone: bool = True) -> None:
        """Kill a component, with or without the processes that it started, and start another."""
        (os.kill if alone else os.killpg)(self.stack._children[component].pid, signal.SIGKILL)
        self.stack._children[component].wait(30)
        self.stack._spawn(component, component, *COMPONENTS[component])

    def read_totals(self) -> dict[str, int | None]:
        with duckdb.connect(str(self.folder / "shop.duckdb"), read_only=True) as warehouse:
            return dict(warehouse.execute("select partition, total from totals").fetchall())


@dataclass
class Run:
    """One of its DAG runs."""

    shop: Shop
    dag_id: str
    run_id: str
    partition: str

    def states(self) -> dict[str, str]:
        return {task.task_id: task.state for task in self.shop.api.tasks(self.dag_id, self.run_id)}

    def wait(self, condition: Callable[[dict[str, str]], bool], what: str, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not condition(states := self.states()):
            assert time.monotonic() < deadline, f"not in {seconds} s: {what}: {states}"
            time.sleep(0.2)

    def wait_until_ended(self) -> str:
        def ended(_: dict[str, str]) -> bool:
            return self.state() in ("success", "failed")

        self.wait(ended, "the run ends")
        return self.state()

    def state(self) -> str:
        return str(self.shop.api.run(self.dag_id, self.run_id)["state"])

    def clear_failed(self) -> None:
        clear = {"dry_run": False, "dag_run_id": self.run_id, "only_failed": True}
        self.shop.api._send("POST", f"/api/v2/dags/{self.dag_id}/clearTaskInstances", clear)

    def read_pid(self, task_id: str) -> int:
        path = f"/api/v2/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}/taskInstances/{quote(task_id)}"
        return int(self.shop.api._get(path)["pid"])

    def read_log(self, task_id: str, try_number: int = 1) -> str:
        path = f"/api/v2/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}/taskInstances/{quote(task_id)}"
        return json.dumps(self.shop.api._get(f"{path}/logs/{try_number}", full_content=True)["content"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    profile = {"shop": {"target": "t", "outputs": {"t": {"type": "duckdb", "path": str(folder / "shop.duckdb")}}}}
    (folder / "dbt_project" / "profiles.yml").write_text(json.dumps(profile))
    with duckdb.connect(str(folder / "shop.duckdb")) as warehouse:
        warehouse.execute("create schema till")
        warehouse.execute(
            "create table till.sales as select 'p' || range as partition, range::int as price from range(9)"
        )
        warehouse.execute("insert into till.sales values ('bad', null)")
    interpreter = folder / "tfx-python"
    code = STAND_IN.format(python=sys.executable, runs=str(folder / "node-runs"), go=str(folder / "go"))
    interpreter.write_text(code)
    interpreter.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - clean_environment().keys():
            patch.delenv(name)
        for name, value in {**QUICK, "AIRFLOW__HEADRACE__TFX_PYTHON": str(interpreter)}.items():
            patch.setenv(name, value)
        settings = load_settings(folder)
        compile_all(settings, ["dbt"], say=lambda _: None)
        stack = AirflowStack(settings)
        try:
            stack.start(lambda _: None)
            api = AirflowApi(stack.url)
            stack.wait_until_ready(api)
            api.wait_for_dag("shop")
            yield Shop(folder, stack, api)
        finally:
            stack.stop()
        assert left_behind(settings) == []


def test_partitions_at_once_have_their_own_ends_and_logs(shop: Shop) -> None:
    runs = [shop.trigger(partition) for partition in ("p1", "bad", "p2")]
    assert [run.wait_until_ended() for run in runs] == ["success", "failed", "success"]
    for run in runs:
        states, log = run.states(), run.read_log(FIRST)
        if run.partition == "bad":
            assert (states.pop(LAST), states.pop("after")) == ("failed", "upstream_failed")
            assert "bad totals: 1 row has no total" in run.read_log(LAST)
        assert set(states.values()) == {"success"}
        assert [each.partition for each in runs if f"orders of {each.partition}" in log] == [run.partition]
    assert shop.read_totals() == {"p1": 1, "bad": None, "p2": 2}
    # the warehouse has one writer: no two of the processes ran at the same time
    spans = sorted((task.start, task.end) for run in runs for task in shop.api.tasks("shop", run.run_id)
                   if task.task_id == BUILD)  # fmt: skip
    assert all(before[1] <= after[0] for before, after in pairwise(spans))  # type: ignore[operator]


STEPS: dict[str, Callable[[dict[str, str]], bool]] = {
    "dbt is starting": lambda states: states[BUILD] == "running",
    "a model has ended": lambda states: states[FIRST] == "success" and states[LAST] == "waiting",
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with its workers"])
def test_a_scheduler_that_is_killed_leaves_no_task_wrongly_green(shop: Shop, step: str, alone: bool) -> None:
    partition = f"p{3 + 2 * list(STEPS).index(step) + alone}"
    good, bad = shop.trigger(partition), shop.trigger("bad")
    good.wait(STEPS[step], step)
    shop.kill("scheduler", alone)
    if good.wait_until_ended() == "failed":
        assert good.states()["after"] == "upstream_failed"
        good.clear_failed()
        assert good.wait_until_ended() == "success", good.states()
    assert bad.wait_until_ended() == "failed"
    assert bad.states()[LAST] in ("failed", "upstream_failed")
    assert bad.states()["after"] == "upstream_failed"
    assert set(good.states().values()) == {"success"}, f"{good.states()}: {good.read_log(BUILD)}"
    assert shop.read_totals()[partition] == int(partition[1:])


def test_a_triggerer_that_is_killed_gives_the_rest_when_it_is_back(shop: Shop) -> None:
    run = shop.trigger("p8")
    run.wait(STEPS["a model has ended"], "a model has ended")
    shop.kill("triggerer")
    assert run.wait_until_ended() == "success"
    assert {task.try_number for task in shop.api.tasks("shop", run.run_id)} == {1}


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("killed", ["the scheduler with its workers", "the worker"])
def test_a_node_outlives_what_ran_its_task_and_the_next_try_takes_it_up(shop: Shop, killed: str) -> None:
    """The killed task itself must not live on: it would take the node's result before the next try can."""
    for name in ("node-runs", "go"):
        (shop.folder / name).unlink(missing_ok=True)
    node_runs = shop.folder / "node-runs"
    run = shop.trigger("p1", "training")
    run.wait(lambda _: node_runs.exists() and bool(node_runs.read_text()), "the node runs")
    (task,) = shop.api.tasks("training", run.run_id)
    process = run.read_pid("Trainer")
    worker = parent(process)
    assert parent(worker) == shop.stack._children["scheduler"].pid, "it is this Airflow's"
    if killed == "the worker":
        os.kill(worker, signal.SIGKILL)
    else:
        shop.kill("scheduler", alone=False)
    run.wait(lambda _: process_start_time(process) is None, "its process ends", 10)

    def is_taken_up(_: dict[str, str]) -> bool:
        (again,) = shop.api.tasks("training", run.run_id)
        if again.try_number == task.try_number or again.state != "running":
            return False
        return "reconnected to it" in run.read_log("Trainer", again.try_number)

    run.wait(is_taken_up, "the next try reconnects")
    (shop.folder / "go").touch()
    assert run.wait_until_ended() == "success"
    assert len(node_runs.read_text().splitlines()) == 1, "a second process was started"
