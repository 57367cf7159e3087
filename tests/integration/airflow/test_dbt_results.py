"""What a run of dbt tells its tasks and leaves in the ledger: dbt, DuckDB and ledger are real, no scheduler runs."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.execution_time import task_runner
from sqlalchemy import select

from headrace import DbtTransform
from headrace.cli.compile import compile_all
from headrace.contracts.files import read_json
from headrace.ledger import schema
from headrace.ledger.database import open_ledger
from headrace.ledger.queries import list_results
from headrace.ledger.verdicts import load_verdict
from headrace.settings import Settings, load_settings

PRODUCER = "dbt.dbt_build"
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
        task_runner.SUPERVISOR_COMMS = self  # type: ignore[assignment]

    def send(self, message: Any) -> None:
        self.pushed[message.key] = json.loads(json.dumps(message.value))

    def get_task_states(self, *, run_ids: list[str], task_ids: list[str], **_: Any) -> dict[str, dict[str, str | None]]:
        told = {each["task_id"] for value in self.pushed.values() for each in value["ends"]}
        return {run_id: {each: "success" if each in told else None for each in task_ids} for run_id in run_ids}

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
        shutil.rmtree(folder / "dbt_project" / "models", ignore_errors=True)
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

    def run_alone(self, task_id: str, try_number: int, **selection: Any) -> None:
        task, context = self.prepare(task_id, try_number, **selection)
        task.execute(context)

    def found_by(self, task_id: str) -> set[tuple[str, str, str | None]]:
        """Return which checks a task made last."""
        return {key for key, row in self.results().items() if row.task.task_id == task_id}

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
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(folder))
    for part in ("ledger", "runs"):
        shutil.rmtree(folder / ".headrace" / part, ignore_errors=True)
    (folder / "shop.duckdb").unlink(missing_ok=True)
    yield Project(folder)
    vars(task_runner).pop("SUPERVISOR_COMMS", None)


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


def test_a_warning_that_is_called_critical_and_was_waived_is_green(project: Project) -> None:
    project.edit("models/orders.yml", "severity: warn", "severity: warn, meta: {severity: critical}")
    project.sell("(1, 5, 'c')")
    assert project.build()["orders.test"]["failed"]
    project.waive("orders accepted_values", "c is new")
    ends = project.build(try_number=2)
    assert not any(end["failed"] for end in ends.values())
    assert ["warning", "2013-02 orders: 1 value of kind outside a, b"] in ends["orders.test"]["lines"]
    assert project.results()["orders", "accepted_values", "kind"].excused == "waived by anna: c is new"
    assert project.decision("orders") == "pass"
    project.sell("(1, 5, 'c'), (2, 6, 'd')")
    assert project.build(try_number=3)["orders.test"]["failed"], "one row more than was waived"


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


def test_a_models_task_leaves_out_what_the_group_leaves_out(project: Project) -> None:
    project.sell("(1, 5, 'a'), (2, null, 'b')")
    assert not project.build(exclude="not_null_orders_price")["orders.test"]["failed"]
    project.run_alone("dbt.orders.test", try_number=2, exclude="not_null_orders_price")
    assert project.found_by("dbt.orders.test") == {
        ("orders", "build", None),
        ("orders", "unique", "id"),
        ("orders", "accepted_values", "kind"),
    }


def test_a_test_of_two_models_runs_with_the_one_that_is_built_last_alone_too(project: Project) -> None:
    other = "          - relationships: {arguments: {to: ref('totals'), field: kind}}\n"
    project.edit("models/orders.yml", "          - accepted", f"{other}          - accepted")
    compile_all(project.settings, say=lambda _: None)
    project.run_alone("dbt.orders.test", try_number=2)  # of totals there is no table yet
    assert ("orders", "build", None) in project.found_by("dbt.orders.test")
    project.run_alone("dbt.totals.test", try_number=2)
    assert ("orders", "relationships", "kind") in project.found_by("dbt.totals.test")


def test_a_model_beside_a_folder_of_its_name_is_built_alone(project: Project) -> None:
    project.write({f"models/{name}.sql": "select 1 as one" for name in ("staging", "staging/inner", "staging/other")})
    project.build()
    project.run_alone("dbt.staging.run", try_number=2)
    project.run_alone("dbt.inner.run", try_number=2)
    assert project.found_by("dbt.staging.run") == {("staging", "build", None)}
    assert project.found_by("dbt.inner.run") == {("inner", "build", None)}


def test_a_model_that_is_gone_is_no_success(project: Project) -> None:
    project.build()
    task, context = project.prepare("dbt.totals.run", 2)
    project.edit("models/sources.yml", "ref('totals')", "ref('orders')")
    for file in ("totals.sql", "totals.yml"):
        (project.folder / "dbt_project" / "models" / file).unlink()
    with pytest.raises(AirflowException, match=r"dbt knows no model\.shop\.totals"):
        task.execute(context)


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


def test_a_model_that_is_built_in_batches_ends_with_the_last_of_them(project: Project) -> None:
    dated = "select current_date - {0} as day, '{1}' as price"
    project.write(
        {
            "models/dated.sql": "{{ config(materialized='table', event_time='day') }}"
            + " union all ".join([dated.format(2, 5), dated.format(1, "none"), dated.format(0, 6)]),
            "models/daily.sql": "{{ config(materialized='incremental', incremental_strategy='microbatch', "
            "event_time='day', batch_size='day', lookback=3, "
            "begin=(modules.datetime.date.today() - modules.datetime.timedelta(2)).isoformat()) }}"
            "select day, price::int as price from {{ ref('dated') }}",
        }
    )
    ends = project.build()
    assert ends["daily.run"]["failed"]
    said = " ".join(text for _, text in ends["daily.run"]["lines"])
    assert ("Batch 1 of 3 OK" in said, "Batch 2 of 3 ERROR" in said, "Batch 3 of 3" in said) == (True, True, True)


def test_what_cannot_be_kept_for_the_next_run_fails_nothing(project: Project) -> None:
    kept = project.settings.dbt_profiles.parent / "parsed"
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.touch()
    try:
        assert not any(end["failed"] for end in project.build().values())
    finally:
        kept.unlink()


def test_a_mapped_task_is_refused_before_anything_is_built(project: Project) -> None:
    compile_all(project.settings, say=lambda _: None)
    task, context = project.prepare(PRODUCER, 1)
    context["ti"].map_index = 0
    with pytest.raises(AirflowFailException, match="is a mapped task, which cannot work"):
        task.execute(context)
    assert context["ti"].pushed == {}


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
