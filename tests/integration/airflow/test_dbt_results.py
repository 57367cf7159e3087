"""What a run of dbt tells its tasks and leaves in the ledger: dbt, DuckDB and ledger are real, no scheduler runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from sqlalchemy import select

from headrace import DbtTransform
from headrace.cli.compile import compile_all
from headrace.contracts.files import read_json
from headrace.ledger import schema
from headrace.ledger.database import open_ledger
from headrace.ledger.queries import list_results
from headrace.ledger.verdicts import load_verdict
from headrace.settings import Settings, load_settings

PRODUCER = "dbt.dbt_producer_watcher"
KEY = "2013-02"
FILES = {
    "dbt_project.yml": "name: shop\nversion: 1.0.0\nprofile: shop\nflags: {send_anonymous_usage_stats: false}\n",
    "models/sources.yml": """
version: 2
sources:
  - name: till
    schema: till
    config: {meta: {owner: till@example.com}}
    tables:
      - name: sales
        columns:
          - {name: id, data_tests: [not_null]}
groups:
  - {name: analytics, owner: {name: Analytics, email: analytics@example.com}}
exposures:
  - {name: revenue, type: ml, owner: {name: Board}, depends_on: [ref('totals')]}
""",
    "models/orders.sql": "select * from {{ source('till', 'sales') }}",
    "models/orders.yml": """
version: 2
models:
  - name: orders
    config: {group: analytics, meta: {runbook: https://example.com/orders, tier: gold}}
    columns:
      - name: id
        data_tests: [unique]
      - name: price
        config: {meta: {unit: EUR}}
        data_tests:
          - not_null:
              config: {meta: {owner: prices@example.com}}
      - name: kind
        data_tests:
          - accepted_values: {arguments: {values: [a, b]}, config: {severity: warn}}
""",
    "models/totals.sql": "select kind, sum(price) as total from {{ ref('orders') }} group by kind",
    "models/totals.yml": """
version: 2
models:
  - name: totals
    columns:
      - {name: kind, data_tests: [not_null]}
unit_tests:
  - name: prices_are_added
    model: totals
    given:
      - {input: ref('orders'), rows: [{kind: a, price: 1}, {kind: a, price: 2}]}
    expect: {rows: [{kind: a, total: 3}]}
""",
}


class TaskInstance:
    """Stands in for the supervisor's end of a task: keeps what is pushed, and for the triggerer, which takes it."""

    def __init__(self, task_id: str, try_number: int) -> None:
        self.dag_id, self.task_id, self.map_index, self.try_number = "shop", task_id, -1, try_number
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))

    def get_task_states(self, *, run_ids: list[str], task_ids: list[str], **_: Any) -> dict[str, dict[str, str]]:
        return dict.fromkeys(run_ids, dict.fromkeys(task_ids, "success"))

    @property
    def ends(self) -> dict[str, dict[str, Any]]:
        """What the tasks were told, by task, in order."""
        told = [each for _, value in sorted(self.pushed.items()) for each in value["ends"]]
        assert len(told) == len({each["task_id"] for each in told}), "a task was told twice"
        return {each["task_id"].removeprefix("dbt."): each for each in told}


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = folder / "shop.duckdb"
        self.write(FILES)
        profile = {"shop": {"target": "t", "outputs": {"t": {"type": "duckdb", "path": str(self.warehouse)}}}}
        self.write({"profiles.yml": json.dumps(profile)})
        self.sell("(1, 5, 'a'), (2, 6, 'b')")

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / "dbt_project" / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "dbt_project" / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / "dbt_project" / name).read_text()
        assert old in text
        self.write({name: text.replace(old, new)})

    def sell(self, rows: str) -> None:
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute("create schema if not exists till")
            connection.execute(
                f"create or replace table till.sales as select * from (values {rows}) t(id, price, kind)"
            )

    @property
    def settings(self) -> Settings:
        return load_settings(self.folder)

    def build(self, try_number: int = 1, run_id: str = "r", **selection: Any) -> dict[str, dict[str, Any]]:
        """Run the one dbt process; returns what the tasks were told."""
        compile_all(self.settings, say=lambda _: None)
        task, context = self.prepare(PRODUCER, try_number, run_id, **selection)
        self.told = context["ti"]
        task.execute(context)
        return self.told.ends

    def run_alone(self, task_id: str, try_number: int) -> None:
        task, context = self.prepare(task_id, try_number)
        task.execute(context)

    def prepare(self, task_id: str, try_number: int, run_id: str = "r", **selection: Any) -> tuple[Any, Any]:
        """Return a task of the group and the context in which it runs."""
        with DAG("shop"):
            group = DbtTransform(project_dir=self.folder, **selection)
        task: Any = group.dag.get_task(task_id)
        task.partition_key = KEY
        return task, {"ti": TaskInstance(task_id, try_number), "run_id": run_id, "partition_key": KEY}

    def results(self, run_id: str = "r") -> dict[tuple[str, str, str | None], Any]:
        with open_ledger(self.settings.ledger_path) as ledger:
            rows = list_results(ledger, dag_id="shop", run_id=run_id)
        return {(row.dataset, row.check, row.column): row for row in reversed(rows)}

    def decision(self, dataset: str) -> str | None:
        with open_ledger(self.settings.ledger_path) as ledger:
            verdict = load_verdict(ledger, dataset, KEY)
        return verdict and verdict.decision

    def waive(self, incident: str, reason: str) -> list[Any]:
        from headrace.ledger.actions import waive

        with open_ledger(self.settings.ledger_path) as ledger:
            return waive(ledger, self.incidents()[incident].id, "anna", [KEY], reason)

    def incidents(self) -> dict[str, Any]:
        query = select(schema.incident, schema.check.c.name).join(
            schema.check, schema.check.c.id == schema.incident.c.check_id
        )
        with open_ledger(self.settings.ledger_path) as ledger, ledger.connect() as connection:
            return {f"{row.dataset} {row.name}": row for row in connection.execute(query)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests: compiling takes longer than everything else."""
    return tmp_path_factory.mktemp("shop")


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(folder))
    for part in ("ledger", "runs"):
        shutil.rmtree(folder / ".headrace" / part, ignore_errors=True)
    (folder / "shop.duckdb").unlink(missing_ok=True)
    return Project(folder)


def test_what_passes_is_recorded_with_what_was_built(project: Project) -> None:
    ends = project.build()
    assert list(ends) == ["orders.run", "orders.test", "totals.run", "totals.test"]
    assert not any(end["failed"] for end in ends.values())
    assert any("OK created" in text for _, text in ends["orders.run"]["lines"]), "dbt's own lines"
    assert all(end["started"] <= end["ended"] for end in ends.values())
    results = project.results()
    assert {row.status for row in results.values()} == {"passed"}
    assert ("totals", "prices_are_added", None) in results, "unit tests too"
    assert ("orders", "build", None) in results
    assert [project.decision(name) for name in ("till_sales", "orders", "totals")] == ["pass"] * 3
    assert project.incidents() == {}


def test_a_failing_test_is_recorded_and_its_own_task_is_red(project: Project) -> None:
    project.sell("(1, 5, 'a'), (2, null, 'c')")
    ends = project.build()
    assert {name: end["failed"] for name, end in ends.items()} == {"orders.run": False, "orders.test": True}
    assert ends["orders.test"]["message"] == "2013-02 orders: 1 row has no price"
    warned = [text for level, text in ends["orders.test"]["lines"] if level == "warning"]
    assert warned == ["2013-02 orders: 1 value of kind outside a, b"]
    results = project.results()
    price = results["orders", "not_null", "price"]
    assert (price.severity, price.status, price.failed_rows) == ("critical", "failed", 1)
    assert list(price.sample) == [{"id": 2, "price": None, "kind": "c"}], "whole rows, so that a row can be found"
    kind = results["orders", "accepted_values", "kind"]
    assert (kind.severity, kind.status) == ("warning", "failed")
    assert list(kind.sample) == [{"value_field": "c", "n_records": 1}]
    assert results["totals", "not_null", "kind"].status == "error"
    assert ("totals", "build", None) not in results, "what was skipped says nothing of its own"
    assert (project.decision("orders"), project.decision("totals")) == ("block", "block")
    incidents = project.incidents()
    assert incidents["orders not_null"].owner == "prices@example.com", "the test's own owner"
    assert incidents["orders accepted_values"].owner == "analytics@example.com", "the group's"
    assert incidents["orders not_null"].runbook == "https://example.com/orders"
    assert incidents["totals not_null"].owner == "Board", "the exposure's"
    causes = {incidents[name].id for name in ("orders not_null", "orders accepted_values")}
    assert incidents["totals not_null"].caused_by in causes, "a consequence, not an alert of its own"


def test_a_model_that_cannot_be_built_is_an_incident_until_it_can(project: Project) -> None:
    project.edit("models/orders.sql", "select *", "select nope, *")
    ends = project.build()
    assert {name: end["failed"] for name, end in ends.items()} == {"orders.run": True}
    assert "nope" in ends["orders.run"]["message"]
    built = project.results()["orders", "build", None]
    assert (built.severity, built.status) == ("critical", "error")
    assert built.message.startswith("2013-02 orders: dbt could not build it: ")
    assert project.incidents()["orders build"].state == "open"
    project.edit("models/orders.sql", "select nope, *", "select *")
    project.build(try_number=2)
    assert project.incidents()["orders build"].state == "resolved"
    assert project.decision("totals") == "pass"


def test_a_warning_that_its_user_calls_critical_blocks_after_the_build(project: Project) -> None:
    project.edit(
        "models/orders.yml", "severity: warn", "severity: warn, store_failures: true, meta: {severity: critical}"
    )
    project.sell("(1, 5, 'c')")
    ends = project.build()
    assert {name for name, end in ends.items() if end["failed"]} == {"orders.test"}
    assert ends["orders.test"]["message"] == "2013-02 orders: 1 value of kind outside a, b"
    assert project.results()["totals", "build", None].status == "passed"
    assert project.decision("orders") == "block"
    kept = project.results()["orders", "accepted_values", "kind"].sample
    assert list(kept) == [{"value_field": "c", "n_records": 1}], "from the table that dbt keeps them in"


def test_a_waived_test_is_left_out_and_what_comes_after_is_built(project: Project) -> None:
    project.sell("(1, 5, 'a'), (2, null, 'b')")
    assert project.build()["orders.test"]["failed"]
    again = project.waive("orders not_null", "prices follow by mail")
    assert [(each.task_id, each.run_id) for each in again] == [(PRODUCER, "r")]
    ends = project.build(try_number=2)
    assert not any(end["failed"] for end in ends.values())
    (said,) = [text for _, text in ends["orders.test"]["lines"] if "was not run" in text]
    assert said.startswith("test.shop.not_null_orders_price.")
    assert said.endswith("was not run: waived by anna: prices follow by mail")
    price = project.results()["orders", "not_null", "price"]
    assert (price.status, price.task.try_number) == ("failed", 2)
    assert price.excused == "waived by anna: prices follow by mail"
    assert price.message == ("2013-02 orders: not_null_orders_price was not run: waived by anna: prices follow by mail")
    assert project.results()["totals", "build", None].status == "passed"
    assert project.decision("orders") == "pass"


def test_when_every_test_of_a_model_is_waived_its_test_task_is_told(project: Project) -> None:
    project.sell("(1, 5, 'a'), (2, 5, null)")
    project.edit("models/orders.yml", "values: [a, b]", "values: [a]")
    assert project.build()["totals.test"]["failed"]
    project.waive("totals not_null", "no kind is a kind")
    assert project.build(try_number=2)["totals.test"]["failed"] is False
    waived = read_json(next(project.folder.glob(f".headrace/runs/*/r/{PRODUCER}/waived.json")))
    assert [check["check_id"].split(".")[2] for check in waived["checks"]] == ["not_null_totals_kind"]


def test_a_models_tests_that_run_by_themselves_are_recorded_and_leave_out_what_is_waived(project: Project) -> None:
    """As when a model's test task is tried again after the one dbt process has ended."""
    project.sell("(1, 5, 'a'), (2, null, 'b')")
    assert project.build()["orders.test"]["failed"]
    with pytest.raises(AirflowException, match="orders: 1 row has no price") as failed:
        project.run_alone("dbt.orders.test", try_number=2)
    assert not isinstance(failed.value, AirflowFailException), "it may be tried again"
    found = project.results()["orders", "not_null", "price"]
    assert (found.status, found.excused, found.task.task_id) == ("failed", None, "dbt.orders.test")
    project.waive("orders not_null", "prices follow by mail")
    project.run_alone("dbt.orders.test", try_number=3)
    found = project.results()["orders", "not_null", "price"]
    assert (found.excused, found.task.try_number) == ("waived by anna: prices follow by mail", 3)
    assert project.results()["orders", "unique", "id"].status == "passed", "the others ran"


def test_tests_that_are_tried_again_build_their_model_again(project: Project) -> None:
    project.sell("(1, 5, 'a'), (2, null, 'b')")
    assert project.build()["orders.test"]["failed"]
    project.sell("(1, 5, 'a'), (2, 6, 'b')")
    project.run_alone("dbt.orders.test", try_number=2)
    assert project.results()["orders", "not_null", "price"].status == "passed"
    assert project.results()["orders", "build", None].task.task_id == "dbt.orders.test"


def test_a_model_that_runs_by_itself_is_built_and_nothing_else(project: Project) -> None:
    project.build()
    project.sell("(1, 5, 'a'), (2, null, 'b')")
    project.run_alone("dbt.orders.run", try_number=2)
    rows = {key: row for key, row in project.results().items() if row.task.task_id == "dbt.orders.run"}
    assert set(rows) == {("orders", "build", None)}


def test_a_failing_test_of_a_source_has_no_task_and_fails_the_process(project: Project) -> None:
    project.sell("(null, 5, 'a')")
    with pytest.raises(AirflowFailException, match="till_sales: 1 row has no id"):
        project.build()
    assert project.told.ends == {}, "nothing was built, and the last tasks are told nothing"
    assert project.results()["till_sales", "not_null", "id"].status == "failed"


def test_a_failing_unit_test_is_its_models_failure(project: Project) -> None:
    project.edit("models/totals.sql", "sum(price)", "max(price)")
    ends = project.build()
    assert {name for name, end in ends.items() if end["failed"]} == {"totals.run"}
    assert "prices_are_added" in ends["totals.run"]["message"]
    assert "totals.test" not in ends, "it was skipped: Airflow calls that upstream_failed"


def test_a_selection_leaves_out_what_dbt_leaves_out(project: Project) -> None:
    ends = project.build(select="orders", exclude="not_null_orders_price")
    assert list(ends) == ["orders.run", "orders.test"]
    assert ("orders", "not_null", "price") not in project.results()


def test_sql_that_cannot_be_parsed_tells_nobody_anything(project: Project) -> None:
    compile_all(project.settings, say=lambda _: None)
    task, context = project.prepare(PRODUCER, 1)
    project.edit("models/totals.sql", "select", "{{ nope( }} select")
    with pytest.raises(AirflowFailException, match="ended without a result"):
        task.execute(context)
    assert context["ti"].pushed == {}
    project.edit("models/totals.sql", "{{ nope( }} select", "select")


def test_a_ledger_that_is_locked_fails_the_task_and_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.ledger.database.WAIT_SECONDS", 1)
    with open_ledger(project.settings.ledger_path) as ledger, ledger.begin():
        with pytest.raises(AirflowException, match=r"The ledger .* cannot be written") as failed:
            project.build()
        assert not isinstance(failed.value, AirflowFailException), "it may be tried again"
    assert project.results() == {}
    assert "totals.test" not in project.told.ends, "nothing goes on without the results"
    project.build(try_number=2)
    assert project.decision("totals") == "pass"
