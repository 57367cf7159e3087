"""How fresh dbt finds the sources: dbt, DuckDB and the ledger are real."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import select

from headrace import SourceFreshness
from headrace.airflow.operators.source_freshness import SourceFreshnessOperator
from headrace.cli.compile import compile_all
from headrace.ledger import schema
from headrace.ledger.database import open_ledger
from headrace.ledger.queries import list_results
from headrace.settings import load_settings

SOURCES = """
version: 2
sources:
  - name: till
    schema: till
    config:
      meta: {owner: till@example.com}
      loaded_at_field: _landed_at
      freshness: {warn_after: {count: 1, period: day}, error_after: {count: 3, period: day}}
    tables:
      - name: sales
      - {name: shops, config: {freshness: null}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("freshness")
    (folder / "dbt_project" / "models").mkdir(parents=True)
    (folder / "dbt_project" / "dbt_project.yml").write_text("name: shop\nversion: 1.0.0\nprofile: shop\n")
    (folder / "dbt_project" / "models" / "sources.yml").write_text(SOURCES)
    output = {"type": "duckdb", "path": str(folder / "shop.duckdb"), "settings": {"TimeZone": "UTC"}}
    profile = {"shop": {"target": "t", "outputs": {"t": output}}}
    (folder / "dbt_project" / "profiles.yml").write_text(json.dumps(profile))
    compile_all(load_settings(folder), say=lambda _: None)
    return folder


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(folder))
    monkeypatch.setattr(SourceFreshnessOperator, "dag_id", "dag", raising=False)
    shutil.rmtree(folder / ".headrace" / "ledger", ignore_errors=True)
    shutil.rmtree(folder / ".headrace" / "runs", ignore_errors=True)
    return folder


def land(project: Path, days_ago: float) -> None:
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute("create schema if not exists till")
        loaded = f"(now() at time zone 'UTC') - interval {int(days_ago * 24)} hours"
        connection.execute(f"create or replace table till.sales as select 1 as id, {loaded} as _landed_at")


def check(project: Path, try_number: int = 1, **arguments: Any) -> Any:
    task = SourceFreshness(project_dir=project, partition_key="", **arguments)
    task_instance = SimpleNamespace(dag_id="dag", task_id="check_freshness", map_index=-1, try_number=try_number)
    context: Any = {"run_id": "r", "ti": task_instance}
    return task.execute(context)


def find_result() -> Any:
    with open_ledger(load_settings().ledger_path) as ledger:
        (newest, *_) = list_results(ledger, dag_id="dag", run_id="r")
    return newest


def test_a_fresh_source_passes_without_a_partition(project: Path) -> None:
    land(project, days_ago=0)
    assert check(project) == {"verdict": "pass", "checks": 1}
    result = find_result()
    assert (result.dataset, result.check, result.partition_key, result.status) == (
        "till_sales",
        "freshness",
        "",
        "passed",
    )


def test_a_source_that_grows_old_warns_then_stops_then_is_mended(project: Path) -> None:
    land(project, days_ago=2)
    assert check(project)["verdict"] == "warn"
    assert (find_result().severity, find_result().status) == ("warning", "failed")
    land(project, days_ago=5)
    with pytest.raises(
        AirflowFailException, match=r"till_sales: its newest row was loaded 5 days ago, more than 3 days"
    ):
        check(project, try_number=2)
    assert find_result().severity == "critical"
    assert find_result().expected == {"warn_after": "1 day", "error_after": "3 days"}
    land(project, days_ago=0)
    check(project, try_number=3)
    with open_ledger(load_settings().ledger_path) as ledger, ledger.connect() as connection:
        (incident,) = connection.execute(select(schema.incident))
    assert (incident.state, incident.resolution, incident.owner) == ("resolved", "passed", "till@example.com")


def test_an_age_that_cannot_be_found_stops(project: Path) -> None:
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute("drop table if exists till.sales")
    with pytest.raises(AirflowFailException, match=r"its freshness could not be found: .*sales"):
        check(project)
    assert find_result().status == "error"


def test_nothing_to_check_is_no_pass(project: Path) -> None:
    land(project, days_ago=0)
    with pytest.raises(AirflowFailException, match=r"No source of .* that is selected has a freshness"):
        check(project, select="source:till.shops")
