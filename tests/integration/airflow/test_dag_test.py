"""``dag.test()`` on a dbt task group: no scheduler, no triggerer, one process; dbt, DuckDB and databases are real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from headrace.cli.compile import compile_all
from headrace.settings import load_settings

FILES = {
    "dbt_project/dbt_project.yml": "name: shop\nversion: 1.0.0\nprofile: shop\n",
    "dbt_project/models/sources.yml": "sources: [{name: till, schema: till, tables: [{name: sales}]}]",
    "dbt_project/models/orders.sql": "select * from {{ source('till', 'sales') }}",
    "dbt_project/models/orders.yml": "models: [{name: orders, columns: [{name: price, data_tests: [not_null]}]}]",
    "dbt_project/models/totals.sql": "select sum(price) as total from {{ ref('orders') }}",
    "dags/shop.py": """
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from headrace import DbtTransform

with DAG("shop", schedule=None) as dag:
    DbtTransform() >> PythonOperator(task_id="after", python_callable=lambda: None)

if __name__ == "__main__":
    run = dag.test()
    tasks = {ti.task_id: [ti.state, ti.try_number] for ti in run.get_task_instances()}
    import json, pathlib
    pathlib.Path("tested.json").write_text(json.dumps([run.state, tasks], default=str))
""",
    "references.py": """
import json, pathlib
from airflow.sdk.bases.xcom import BaseXCom


class References(BaseXCom):
    @staticmethod
    def serialize_value(value, **_):
        pathlib.Path("kept.json").write_text(json.dumps(value))
        return "kept.json"
""",
    "again.py": """
import json, pathlib, sys, time
import duckdb

sys.path.insert(0, "dags")
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import clear_task_instances
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from shop import dag

how, price, *cleared = sys.argv[1:]
first = dag.test()
assert first.state == "success", first.state
with duckdb.connect("shop.duckdb") as warehouse:
    warehouse.execute(f"create or replace table till.sales as select 1 as id, {price}::int as price")
with create_session() as session:
    run = session.get(DagRun, first.id)
    run.dag = first.dag
    tis = [ti for ti in run.get_task_instances(session=session) if ti.task_id in cleared]
    if how == "reset":  # as a scheduler does that finds what another one left behind
        run.state = DagRunState.RUNNING
        for ti in tis:
            ti.set_state(None, session=session)
    else:
        clear_task_instances(tis, session, DagRunState.RUNNING)
    session.commit()
    while run.state == "running":  # as dag.test() does, and the scheduler
        session.expire_all()
        ready, _ = run.update_state(session=session)
        for ti in ready:
            ti.try_number += 1
            ti.state = "scheduled"
        session.commit()
        for ti in ready:
            _run_task(ti=ti, task=dag.task_dict[ti.task_id])
        time.sleep(0.1)
    tasks = {ti.task_id: [ti.state, ti.try_number] for ti in run.get_task_instances(session=session)}
    pathlib.Path("tested.json").write_text(json.dumps([run.state, tasks], default=str))
""",
}
BUILD, ORDERS_RUN, ORDERS_TEST, TOTALS = (
    "dbt.dbt_build",
    "dbt.orders.run",
    "dbt.orders.test",
    "dbt.totals.run",
)


NO_PRICE = {"name": "price", "data_tests": ["not_null"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("shop"), FILES)


def make_project(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    profile = {"shop": {"target": "t", "outputs": {"t": {"type": "duckdb", "path": str(folder / "shop.duckdb")}}}}
    (folder / "dbt_project" / "profiles.yml").write_text(json.dumps(profile))
    sell(folder, "5")
    compile_all(load_settings(folder), say=lambda _: None)
    run(folder, "airflow", "db", "migrate")
    return folder


def sell(folder: Path, price: str) -> None:
    with duckdb.connect(str(folder / "shop.duckdb")) as warehouse:
        warehouse.execute("create schema if not exists till")
        warehouse.execute(f"create or replace table till.sales as select 1 as id, {price}::int as price")


def run(folder: Path, *command: str, **settings: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(folder),
        **settings,
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_it_ends_as_under_a_scheduler_and_no_node_runs_twice(project: Path) -> None:
    sell(project, "5")
    run(project, "python", "dags/shop.py")
    state, tasks = json.loads((project / "tested.json").read_text())
    assert state == "success"
    assert tasks == {
        name: ["success", 1]
        for name in ("dbt.dbt_build", "dbt.orders.run", "dbt.orders.test", "dbt.totals.run", "after")
    }


def test_a_custom_xcom_backend_does_not_come_between(project: Path) -> None:
    sell(project, "5")
    settings = {"AIRFLOW__CORE__XCOM_BACKEND": "references.References", "PYTHONPATH": str(project)}
    run(project, "python", "dags/shop.py", **settings)
    assert json.loads((project / "tested.json").read_text())[0] == "success"
    assert (project / "kept.json").is_file(), "it is in use: for what the task returns"


def test_a_process_that_is_cleared_by_itself_runs_no_dbt(project: Path) -> None:
    sell(project, "5")
    output = run(project, "python", "again.py", "clear", "null", BUILD)
    _, tasks = json.loads((project / "tested.json").read_text())
    assert tasks == {BUILD: ["failed", 2]} | {
        name: ["success", 1] for name in (ORDERS_RUN, ORDERS_TEST, TOTALS, "after")
    }
    assert "dbt was not run: dbt.totals.run is success from an earlier try" in output
    assert "Clear this task with what is downstream of it" in output


def test_a_process_that_was_stopped_after_it_had_told_all_ends_green(project: Path) -> None:
    """As a scheduler's death does it: nobody cleared anything, and what dbt built stands in its tasks."""
    sell(project, "5")
    output = run(project, "python", "again.py", "reset", "null", BUILD)
    state, tasks = json.loads((project / "tested.json").read_text())
    assert (state, tasks[BUILD]) == ("success", ["success", 2])
    assert "An earlier try was stopped when dbt had ended" in output
    assert "orders: 1 row has no price" not in output


@pytest.mark.parametrize("price", ["6", "null"])
def test_after_a_process_was_killed_half_way_what_was_green_and_fails_now_is_told(project: Path, price: str) -> None:
    """As *Clear failed* does it: what had succeeded before the process was killed keeps its end."""
    sell(project, "5")
    output = run(project, "python", "again.py", "clear", price, BUILD, TOTALS, "after")
    state, tasks = json.loads((project / "tested.json").read_text())
    kept = {ORDERS_RUN: ["success", 1], ORDERS_TEST: ["success", 1]}
    if price == "6":
        assert (state, tasks) == ("success", kept | {name: ["success", 2] for name in (BUILD, TOTALS, "after")})
        return
    assert (state, tasks[BUILD]) == ("failed", ["failed", 2])
    assert {name: tasks[name] for name in kept} == kept
    assert [tasks[name][0] for name in (TOTALS, "after")] == ["upstream_failed", "upstream_failed"]
    assert "dbt.orders.test is green from an earlier try only" in output
    assert "orders: 1 row has no price" in output


def test_a_test_that_fails_is_tried_again_and_stops_what_follows(project: Path) -> None:
    sell(project, "null")
    output = run(project, "python", "dags/shop.py")
    state, tasks = json.loads((project / "tested.json").read_text())
    assert state == "failed"
    assert tasks == {
        "dbt.dbt_build": ["success", 1],
        "dbt.orders.run": ["success", 1],
        "dbt.orders.test": ["failed", 2],
        "dbt.totals.run": ["upstream_failed", 0],
        "after": ["upstream_failed", 0],
    }
    assert "orders: 1 row has no price" in output


def test_a_sources_failed_test_is_the_process_failure_and_what_was_built_keeps_its_end(tmp_path: Path) -> None:
    source = {"name": "till", "schema": "till", "tables": [{"name": "sales", "columns": [NO_PRICE]}]}
    make_project(
        tmp_path,
        {
            **FILES,
            "dbt_project/models/sources.yml": json.dumps({"sources": [source]}),
            "dbt_project/models/days.sql": "select 1 as day",
            "dbt_project/models/weeks.sql": "select day / 7 as week from {{ ref('days') }}",
        },
    )
    sell(tmp_path, "null")
    run(tmp_path, "python", "dags/shop.py")
    state, tasks = json.loads((tmp_path / "tested.json").read_text())
    assert (state, tasks[BUILD][0]) == ("failed", "failed")
    assert tasks["dbt.days.run"] == ["success", 1]
    assert tasks[TOTALS][0] == tasks["after"][0] == "upstream_failed"
