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
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    for name, text in FILES.items():
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


def run(folder: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(folder),
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_it_ends_as_under_a_scheduler_and_no_node_runs_twice(project: Path) -> None:
    run(project, "python", "dags/shop.py")
    state, tasks = json.loads((project / "tested.json").read_text())
    assert state == "success"
    assert tasks == {
        name: ["success", 1]
        for name in ("dbt.dbt_producer_watcher", "dbt.orders.run", "dbt.orders.test", "dbt.totals.run", "after")
    }


def test_a_test_that_fails_is_tried_again_and_stops_what_follows(project: Path) -> None:
    sell(project, "null")
    output = run(project, "python", "dags/shop.py")
    state, tasks = json.loads((project / "tested.json").read_text())
    assert state == "failed"
    assert tasks == {
        "dbt.dbt_producer_watcher": ["success", 1],
        "dbt.orders.run": ["success", 1],
        "dbt.orders.test": ["failed", 2],
        "dbt.totals.run": ["upstream_failed", 0],
        "after": ["upstream_failed", 0],
    }
    assert "orders: 1 row has no price" in output
