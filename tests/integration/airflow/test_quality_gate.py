"""What a gate does to the partition it checks: the operators, DuckDB and Great Expectations are real."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from headrace.airflow.ledger import open_task_ledger
from headrace.airflow.operators.landing import LandPartitionOperator
from headrace.airflow.operators.publishing import PublishPartitionOperator
from headrace.airflow.operators.quality_gate import QualityGateOperator
from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.files import read_json
from headrace.exceptions import InvalidActionError, WarehouseLockedError
from headrace.ledger.database import Ledger
from headrace.ledger.queries import list_incidents, list_quarantine, load_quarantine
from headrace.ledger.releases import release_quarantine, waive
from headrace.ledger.verdicts import list_blocking, list_waivers
from headrace.ledger.views import IncidentFilter, IncidentRow, QuarantineRow
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.holds import BEING_CHECKED, NOT_CHECKED
from headrace.warehouse.quarantine_tables import find_mirror

SOURCE = {
    "source_name": "field",
    "name": "notes",
    "schema": "field",
    "meta": {"landing": "notes/{partition_key}.csv"},
    "columns": {"id": {"name": "id", "data_type": "bigint"}},
}
BAD = "id\n1\n-1\n"
GOOD = "id\n1\n2\n"
MIXED = "id\n1\n-1\n2\n-2\n3\n"
ROOT = Path(__file__).parents[3]


class Project:
    """A project of one partitioned table, a suite for it and a suite for a table that has no partitions."""

    run_id = "r"
    try_number = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = folder / "w.duckdb"
        profiles = {"p": {"target": "t", "outputs": {"t": {"type": "duckdb", "path": str(self.warehouse)}}}}
        self.write(".headrace/compiled/dbt/profiles.yml", json.dumps(profiles))
        self.write(".headrace/compiled/dbt/manifest.json", json.dumps({"sources": {"notes": SOURCE}}))
        self.write_suite("notes", table="field.notes", partition_column="partition_key")
        self.write_suite("sites", table="field.sites")
        with open_warehouse(self.warehouse) as connection:
            connection.execute("create schema field; create table field.sites as select 1 as id")

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def write_suite(self, name: str, severity: str = "critical", low: int = 0, **meta: Any) -> None:
        marks = {each: meta.pop(each) for each in ("quarantine", "quarantine_limit") if each in meta}
        between = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "id", "min_value": low}}
        document = {
            "name": name,
            "meta": meta,
            "expectations": [{**between, "id": "b", "severity": severity, "meta": marks}],
        }
        self.write(f"expectations/expectations/{name}.json", json.dumps(document))

    def write_checks(self, name: str, *checks: dict[str, Any], **meta: Any) -> None:
        meta = {"table": "field.notes", "partition_column": "partition_key", **meta}
        document = {"name": name, "meta": meta, "expectations": list(checks)}
        self.write(f"expectations/expectations/{name}.json", json.dumps(document))

    def land(self, text: str, key: str = "2013-02", **arguments: Any) -> None:
        self.write(f".headrace/landing/notes/{key}.csv", text)
        self.run(LandPartitionOperator(task_id="land", project_dir=self.folder, partition_key=key, **arguments))

    def check(self, *suites: str, key: str = "2013-02", task_id: str = "check") -> Any:
        return self.run(
            QualityGateOperator(
                task_id=task_id, suites=suites or ("notes",), project_dir=self.folder, partition_key=key
            )
        )

    def mark(self, **arguments: Any) -> None:
        marks = {"quarantine": True, "quarantine_limit": 0.5, **arguments}
        self.write_suite("notes", table="field.notes", partition_column="partition_key", row_key="id", **marks)

    def ledger(self) -> Ledger:
        return open_task_ledger()

    @property
    def ids(self) -> list[int]:
        with open_warehouse(self.warehouse, read_only=True) as connection:
            return [id for (id,) in connection.execute("select id from field.notes order by 1").fetchall()]

    @property
    def aside(self) -> list[tuple[int, str]]:
        with open_warehouse(self.warehouse, read_only=True) as connection:
            if not find_mirror(connection, "field.notes"):
                return []
            query = 'select id, _state from headrace_quarantine."field.notes" order by 1, 2'
            return connection.execute(query).fetchall()

    @property
    def results(self) -> list[CheckResult]:
        (file,) = self.folder.glob(f".headrace/runs/*/{self.run_id}/check/checks.json")
        return [CheckResult.from_json(check) for check in read_json(file)["checks"]]

    @property
    def quarantine(self) -> list[QuarantineRow]:
        with self.ledger() as ledger:
            return list_quarantine(ledger)

    def sample(self, known: QuarantineRow) -> Any:
        with self.ledger() as ledger:
            return load_quarantine(ledger, known.id).sample

    @property
    def incidents(self) -> list[tuple[str, str]]:
        with self.ledger() as ledger:
            rows = list_incidents(ledger, IncidentFilter(states=())).rows
            return [(row.state, row.severity) for row in rows]

    @property
    def blocking(self) -> list[str]:
        with self.ledger() as ledger:
            return [row.dataset for row in list_blocking(ledger, ["notes"], ["2013-02"])]

    def run(self, task: Any) -> Any:
        ti = SimpleNamespace(dag_id="dag", task_id=task.task_id, map_index=-1, try_number=self.try_number)
        context: Any = {"run_id": self.run_id, "ti": ti}
        return task.execute(context)

    @property
    def holds(self) -> dict[tuple[str, str], str]:
        with open_warehouse(self.warehouse, read_only=True) as connection:
            rows = connection.execute("select relation, partition_key, reason from headrace.held_partitions").fetchall()
        return {(relation, key): reason for relation, key, reason in rows}


NOTES = ("field.notes", "2013-02")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    for operator in (LandPartitionOperator, QualityGateOperator, PublishPartitionOperator):
        monkeypatch.setattr(operator, "dag_id", "dag", raising=False)
    return Project(tmp_path)


def test_what_landed_is_held_until_it_passes(project: Project) -> None:
    project.land(GOOD, "2013-01")
    project.land(GOOD)
    assert project.holds == {("field.notes", "2013-01"): NOT_CHECKED, NOTES: NOT_CHECKED}
    assert project.check("notes", "sites")["verdict"] == "pass"
    assert project.holds == {("field.notes", "2013-01"): NOT_CHECKED}, "the other partition was not checked"


def test_a_blocked_partition_is_held_with_the_reason_until_a_mended_one_passes(project: Project) -> None:
    project.land(BAD)
    with pytest.raises(
        AirflowFailException, match="partition 2013-02 of notes blocked: 0 of 1 checks passed"
    ) as failed:
        project.check()
    assert project.holds == {NOTES: str(failed.value)}
    assert "1 of 2 rows has id" in project.holds[NOTES]
    project.land(GOOD)
    project.check()
    assert project.holds == {}


def test_a_warning_lets_it_through(project: Project) -> None:
    project.write_suite("notes", "warning", table="field.notes", partition_column="partition_key")
    project.land(BAD)
    assert project.check()["verdict"] == "warn"
    assert project.holds == {}


def test_a_partition_that_had_passed_is_held_when_it_fails_later(project: Project) -> None:
    """Somebody mended the suite: nothing is landed again, and what was let through is taken back."""
    project.land(BAD, hold=False)
    with pytest.raises(AirflowFailException):
        project.check()
    assert list(project.holds) == [NOTES]


def test_a_table_without_partitions_is_not_held_and_holds_its_neighbours(project: Project) -> None:
    with open_warehouse(project.warehouse) as connection:
        connection.execute("insert into field.sites values (-1)")
    project.land(GOOD)
    with pytest.raises(AirflowFailException):
        project.check("notes", "sites")
    assert list(project.holds) == [NOTES]
    assert "partition 2013-02 of notes, sites blocked" in project.holds[NOTES]


def test_a_check_that_breaks_holds_too(project: Project) -> None:
    project.land(GOOD)
    project.check()
    with pytest.raises(AirflowFailException, match="suite 'gone' does not exist"):
        project.check("notes", "gone")
    assert "suite 'gone' does not exist" in project.holds[NOTES]
    with pytest.raises(AirflowFailException, match="has no rows"):
        project.check(key="2013-03")
    assert "has no rows" in project.holds["field.notes", "2013-03"]


def find_incident(project: Project, check: str) -> IncidentRow:
    with project.ledger() as ledger:
        (row,) = [each for each in list_incidents(ledger, IncidentFilter(states=())).rows if each.check == check]
    return row


def test_a_suite_that_cannot_be_run_is_an_incident_until_it_can(project: Project) -> None:
    project.land(GOOD)
    with pytest.raises(AirflowFailException, match="has no rows"):
        project.check(key="2013-03")
    row = find_incident(project, "suite")
    assert (row.dataset, row.state, row.severity) == ("notes", "open", "critical")
    assert "has no rows" in row.title
    with project.ledger() as ledger, pytest.raises(InvalidActionError, match="cannot be waived"):
        waive(ledger, row.id, "anna", ["2013-03"], "it will do")
    project.land(GOOD, "2013-03")
    project.check(key="2013-03")
    assert find_incident(project, "suite").state == "resolved"


def test_a_file_that_does_not_land_is_an_incident_until_it_does(project: Project) -> None:
    project.land(GOOD)
    with pytest.raises(AirflowFailException, match="malformed"):
        project.land("id\nseven\n")
    row = find_incident(project, "lands")
    assert (row.tool, row.dataset, row.state, row.severity) == ("landing", "field_notes.file", "open", "critical")
    assert "2013-02.csv" in row.title
    assert project.ids == [1, 2], "the table keeps what it had"
    project.land(GOOD)
    assert find_incident(project, "lands").state == "resolved"


@pytest.mark.parametrize("text", [GOOD, BAD])
def test_a_gate_that_cannot_write_its_hold_is_red_and_asks_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def locked(*_: object) -> None:
        raise WarehouseLockedError("warehouse is locked by process 7")

    project.land(text)
    with monkeypatch.context() as patch:
        patch.setattr("headrace.warehouse.holds.hold_partition", locked)
        patch.setattr("headrace.warehouse.holds.release_partition", locked)
        with pytest.raises(AirflowException, match="locked by process 7") as failed:
            project.check()
    assert not isinstance(failed.value, AirflowFailException), "it must be tried again"
    assert project.holds == {NOTES: NOT_CHECKED}
    (file,) = project.folder.glob(".headrace/runs/*/r/check/checks.json")
    assert len(read_json(file)["checks"]) == 1, "the results are kept"


@pytest.fixture
def marked(project: Project) -> Project:
    """The suite sets failing rows aside, up to half of a partition; of five landed rows, two fail."""
    project.mark()
    project.land(MIXED)
    return project


def test_failing_rows_are_set_aside_and_the_chain_goes_on(marked: Project) -> None:
    assert marked.check()["verdict"] == "warn"
    assert marked.holds == {}
    assert marked.ids == [1, 2, 3]
    assert marked.aside == [(-2, "held"), (-1, "held")]
    (result,) = marked.results
    assert (result.status, result.failed_rows, result.quarantined_rows, result.total_rows) == (Status.FAILED, 2, 2, 5)
    (known,) = marked.quarantine
    assert (known.rows, known.total_rows, known.relation, known.state) == (2, 5, "field.notes", "held")
    assert sorted(row["row"]["id"] for row in marked.sample(known)) == [-2, -1]
    assert marked.incidents == [("open", "warning")]
    assert marked.blocking == []


def test_a_gate_that_runs_again_says_the_same(marked: Project) -> None:
    for number in (1, 2, 3):
        marked.try_number = number
        assert marked.check()["verdict"] == "warn"
    marked.run_id, marked.try_number = "another", 1
    assert marked.check()["verdict"] == "warn"
    assert marked.ids == [1, 2, 3]
    (result,) = marked.results
    assert (result.failed_rows, result.quarantined_rows) == (2, 2)
    assert [(each.rows, each.task.run_id, each.task.try_number) for each in marked.quarantine] == [(2, "r", 1)]


def test_above_the_limit_nothing_moves_and_it_blocks_whatever_its_severity(project: Project) -> None:
    project.mark(severity="info", quarantine_limit=0.1)
    project.land(MIXED)
    with pytest.raises(AirflowFailException, match=r"40 % of the partition's 5 rows, more than the 10 % that may"):
        project.check()
    assert project.ids == [-2, -1, 1, 2, 3]
    assert list(project.holds) == [NOTES]
    assert project.quarantine == []
    assert project.results[0].severity is Severity.CRITICAL
    assert project.blocking == ["notes"]


def test_what_is_released_is_put_back_and_flows_on(marked: Project) -> None:
    marked.check()
    (known,) = marked.quarantine
    first = next(row["row_id"] for row in marked.sample(known) if row["row"]["id"] == -1)
    with marked.ledger() as ledger:
        (rerun,) = release_quarantine(ledger, known.id, "anna", "a true reading", [first])
    assert (rerun.run_id, rerun.task_id) == ("r", "check")
    marked.try_number = 2
    assert marked.check()["verdict"] == "warn"
    assert marked.ids == [-1, 1, 2, 3]
    assert marked.aside == [(-2, "held"), (-1, "released")]
    (result,) = marked.results
    assert (result.failed_rows, result.quarantined_rows, result.excused) == (1, 1, None)
    assert "1 of them released by anna: a true reading" in result.message

    with marked.ledger() as ledger:
        release_quarantine(ledger, known.id, "ben", "this one too")
    marked.try_number = 3
    assert marked.check()["verdict"] == "pass"
    assert marked.ids == [-2, -1, 1, 2, 3]
    (result,) = marked.results
    assert result.status is Status.FAILED
    assert result.excused == "released by anna: a true reading; ben: this one too"
    assert marked.quarantine == []
    assert marked.incidents == [("resolved", "warning")]
    marked.try_number = 4
    assert marked.check()["verdict"] == "pass", "their word holds"


def test_landing_the_same_file_again_keeps_what_people_released(marked: Project) -> None:
    marked.check()
    with marked.ledger() as ledger:
        release_quarantine(ledger, marked.quarantine[0].id, "anna", "true")
    marked.try_number = 2
    marked.check()
    marked.land(MIXED)
    assert marked.ids == [-2, -1, 1, 2, 3]
    assert marked.check()["verdict"] == "pass"
    marked.land(MIXED.replace("3", "4"))
    assert marked.check()["verdict"] == "warn", "her word was about another file"
    assert marked.ids == [1, 2, 4]


def test_a_release_that_no_gate_has_seen_outlives_the_same_file(marked: Project) -> None:
    marked.check()
    with marked.ledger() as ledger:
        release_quarantine(ledger, marked.quarantine[0].id, "anna", "true")
    marked.land(MIXED)
    marked.try_number = 2
    assert marked.check()["verdict"] == "pass"
    assert marked.ids == [-2, -1, 1, 2, 3]
    assert marked.quarantine == []


def test_landing_again_supersedes_what_was_set_aside(marked: Project) -> None:
    marked.check()
    marked.land(GOOD)
    assert marked.aside == [(-2, "superseded"), (-1, "superseded")]
    assert marked.quarantine == []
    marked.try_number = 2
    assert marked.check()["verdict"] == "pass"
    assert marked.ids == [1, 2]
    assert marked.incidents == [("resolved", "warning")]

    marked.land(MIXED)
    marked.try_number = 3
    marked.check()
    marked.land(MIXED)
    marked.try_number = 4
    marked.check()
    assert marked.ids == [1, 2, 3]
    assert [each.rows for each in marked.quarantine] == [2]


def test_an_edited_suite_takes_rows_back(marked: Project) -> None:
    marked.check()
    marked.mark(low=-1)
    marked.try_number = 2
    assert marked.check()["verdict"] == "warn"
    assert marked.ids == [-1, 1, 2, 3]
    marked.mark(low=-9)
    marked.try_number = 3
    assert marked.check()["verdict"] == "pass"
    assert marked.ids == [-2, -1, 1, 2, 3]
    assert marked.quarantine == []


def at_least(low: int, check_id: str | None = None, **marks: Any) -> dict[str, Any]:
    """An expectation that sets aside rows below a bound, with an id or without one."""
    check = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "id", "min_value": low},
        "meta": {"quarantine": True, "quarantine_limit": 0.9, **marks},
    }
    return {**check, "id": check_id} if check_id else check


ROW_COUNT = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}, "id": "rows"}


@pytest.mark.parametrize(
    ("before", "after"),
    [([at_least(0)], [at_least(1)]), ([at_least(0, "a"), at_least(1, "b")], [at_least(1, "b")])],
    ids=["a bound of an expectation without id", "the first of two checks"],
)
def test_rows_aside_are_booked_anew_where_a_suite_is_edited(
    project: Project, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    project.write_checks("notes", *before)
    project.land(MIXED)
    assert project.check()["verdict"] == "warn"
    project.write_checks("notes", *after)
    project.try_number = 2
    assert project.check()["verdict"] == "warn"
    assert project.ids == [1, 2, 3]
    (known,) = project.quarantine
    assert (known.rows, known.state) == (2, "held")
    with project.ledger() as ledger:
        release_quarantine(ledger, known.id, "anna", "true")
    project.try_number = 3
    assert project.check()["verdict"] == "pass"
    assert project.ids == [-2, -1, 1, 2, 3]


def test_a_suite_of_the_same_dataset_puts_nothing_back(project: Project) -> None:
    project.write_checks("notes", at_least(0, "a"))
    project.write_checks("soft", ROW_COUNT, dataset="notes")
    project.write_checks("whole", ROW_COUNT, dataset="notes", partition_column="")
    project.land(MIXED)
    project.check("notes")
    assert project.check("soft", task_id="soft")["verdict"] == "pass"
    project.try_number = 2
    for suites in (["notes", "whole"], ["whole", "notes"]):
        assert project.check(*suites)["verdict"] == "warn"
        assert project.ids == [1, 2, 3]
        assert [(each.rows, each.total_rows) for each in project.quarantine] == [(2, 5)]


def test_a_suite_that_was_renamed_takes_over_its_rows(project: Project) -> None:
    project.write_checks("old", at_least(0, "a"), dataset="notes")
    project.land(MIXED)
    project.check("old")
    (project.folder / "expectations/expectations/old.json").unlink()
    project.write_checks("new", at_least(-1, "a"), dataset="notes")
    project.try_number = 2
    project.check("new")
    assert project.ids == [-1, 1, 2, 3]
    assert [each.rows for each in project.quarantine] == [1]


def test_a_row_goes_back_when_no_suite_of_any_gate_holds_it(project: Project) -> None:
    project.write_checks("notes", at_least(0, "a"))
    project.write_checks("other", at_least(0, "b"))
    project.land(MIXED)
    project.check("notes")
    project.check("other", task_id="other")
    project.write_checks("notes", at_least(-9, "a"))
    project.try_number = 2
    assert project.check("notes")["verdict"] == "pass"
    assert project.ids == [1, 2, 3], "the other suite holds them still"
    project.check("other", task_id="other")
    (known,) = project.quarantine
    assert (known.dataset, known.rows) == ("other", 2)
    project.write_checks("other", at_least(-9, "b"))
    project.try_number = 3
    assert project.check("other", task_id="other")["verdict"] == "pass"
    assert project.ids == [-2, -1, 1, 2, 3]


def test_a_release_from_one_gate_waits_for_the_other(project: Project) -> None:
    project.write_checks("notes", at_least(0, "a"))
    project.write_checks("other", at_least(0, "b"))
    project.land(MIXED)
    project.check("notes")
    project.check("other", task_id="other")
    with project.ledger() as ledger:
        release_quarantine(ledger, project.quarantine[0].id, "anna", "true")
    project.try_number = 2
    for _ in range(2):
        assert project.check("notes")["verdict"] == "pass", "her word holds"
        assert project.ids == [1, 2, 3]
    project.check("other", task_id="other")
    (known,) = project.quarantine
    with project.ledger() as ledger:
        release_quarantine(ledger, known.id, "ben", "true")
    project.try_number = 3
    assert project.check("other", task_id="other")["verdict"] == "pass"
    assert project.check("notes")["verdict"] == "pass"
    assert project.ids == [-2, -1, 1, 2, 3]


def test_a_mirror_of_an_older_headrace_goes_on(marked: Project) -> None:
    marked.check()
    with open_warehouse(marked.warehouse) as connection:
        for name in ("_suite", "_holders", "_words"):
            connection.execute(f'alter table headrace_quarantine."field.notes" drop column {name}')
    marked.mark(low=-1)
    marked.try_number = 2
    assert marked.check()["verdict"] == "warn"
    assert marked.aside == [(-2, "held"), (-1, "returned")]


def test_a_second_set_of_one_run_counts_its_own_rows(marked: Project) -> None:
    marked.check()
    with marked.ledger() as ledger:
        release_quarantine(ledger, marked.quarantine[0].id, "anna", "true")
    marked.try_number = 2
    marked.check()
    marked.mark(low=2, quarantine_limit=0.9)
    marked.try_number = 3
    marked.check()
    assert marked.ids == [-2, -1, 2, 3]
    (known,) = marked.quarantine
    assert known.rows == 1
    with marked.ledger() as ledger:
        release_quarantine(ledger, known.id, "ben", "true", [row["row_id"] for row in marked.sample(known)])
    marked.try_number = 4
    assert marked.check()["verdict"] == "pass"
    with marked.ledger() as ledger:
        assert load_quarantine(ledger, known.id).state == "released"


def test_a_query_that_names_a_row_twice_sets_it_aside_once(project: Project) -> None:
    query = "select b.* from {batch} b join (values (-1), (-1), (-2)) v(id) on b.id = v.id"
    check = {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": query}, "id": "q"}
    project.write_checks("notes", {**check, "meta": {"quarantine": True, "quarantine_limit": 0.5}})
    project.land(MIXED)
    assert project.check()["verdict"] == "warn"
    assert project.aside == [(-2, "held"), (-1, "held")]
    assert [(each.failed_rows, each.quarantined_rows) for each in project.results] == [(2, 2)]


def test_generated_columns_are_left_to_the_database(project: Project) -> None:
    project.write_checks("notes", at_least(0, "a"))
    with open_warehouse(project.warehouse) as connection:
        connection.execute(
            "create table field.notes (id bigint, twice bigint generated always as (id * 2), partition_key varchar);"
            "insert into field.notes (id, partition_key) values (1, '2013-02'), (-1, '2013-02')"
        )
    assert project.check()["verdict"] == "warn"
    assert project.aside == [(-1, "held")]
    project.write_checks("notes", at_least(-9, "a"))
    project.try_number = 2
    assert project.check()["verdict"] == "pass"
    with open_warehouse(project.warehouse, read_only=True) as connection:
        assert connection.execute("select id, twice from field.notes order by 1").fetchall() == [(-1, -2), (1, 2)]


def test_marks_on_what_dbt_builds_are_refused(project: Project) -> None:
    node = {"resource_type": "model", "schema": "Field", "name": "n", "alias": "notes", "relation_name": "x"}
    manifest = {"sources": {"notes": SOURCE}, "nodes": {"model.p.n": node}}
    project.write(".headrace/compiled/dbt/manifest.json", json.dumps(manifest))
    with open_warehouse(project.warehouse) as connection:
        connection.execute("create table field.notes as select -1::bigint as id, '2013-02' as partition_key")
    project.mark()
    with pytest.raises(AirflowFailException, match=r"dbt builds field\.notes \(model\.p\.n\).* landed tables"):
        project.check()
    assert (project.ids, project.aside) == ([-1], [])
    project.write_checks("notes", {**at_least(0, "a"), "meta": {}})
    with pytest.raises(AirflowFailException, match="blocked"):
        project.check()


def test_partitions_and_the_whole_of_one_table_are_not_both_marked(project: Project) -> None:
    project.write_checks("notes", at_least(0, "a"))
    project.write_checks("whole", at_least(0, "w"), dataset="whole", partition_column="")
    project.land(MIXED)
    with pytest.raises(
        AirflowFailException, match=r"suites notes and whole are both marked quarantine on field\.notes"
    ):
        project.check("notes", "whole")
    assert project.aside == []


def test_a_waived_failure_above_the_limit_goes_on_whole(project: Project) -> None:
    project.mark(quarantine_limit=0.1)
    project.land(MIXED)
    with pytest.raises(AirflowFailException):
        project.check()
    with project.ledger() as ledger:
        waive(ledger, 1, "anna", ["2013-02"], "known")
    project.try_number = 2
    assert project.check()["verdict"] == "pass"
    assert project.ids == [-2, -1, 1, 2, 3]
    assert project.results[0].excused == "waived by anna: known"


KILL = """
import os, signal, sys
from types import SimpleNamespace
import headrace.airflow.operators.quality_gate as gate, headrace.airflow.quarantine as place
import headrace.ledger.quarantine as ledger, headrace.warehouse.quarantine as rows
gate.QualityGateOperator.dag_id = "dag"
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def then_die(function):
    def call(*arguments, **named):
        function(*arguments, **named)
        die()
    return call
point, folder = sys.argv[1:]
if point == "in the warehouse transaction":
    rows.moves.set_aside = then_die(rows.moves.set_aside)
elif point == "after the warehouse commit":
    rows.place_rows = then_die(rows.place_rows)
elif point == "in the ledger transaction":
    ledger.supersede_quarantine = die
elif point == "after the ledger commit":
    place.record_gate = then_die(place.record_gate)
ti = SimpleNamespace(dag_id="dag", task_id="check", map_index=-1, try_number=int(os.environ["TRY"]))
gate.QualityGateOperator(task_id="check", suites=["notes"], project_dir=folder, partition_key="2013-02").execute(
    {"run_id": "r", "ti": ti}
)
"""
POINTS = [
    "in the warehouse transaction",
    "after the warehouse commit",
    "in the ledger transaction",
    "after the ledger commit",
]


def run_and_kill(project: Project, point: str, try_number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILL, point, str(project.folder)],
        env={**os.environ, "TRY": str(try_number), "PYTHONPATH": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize("point", POINTS)
def test_a_gate_that_is_killed_converges(marked: Project, point: str) -> None:
    run_and_kill(marked, point, 1)
    assert sorted([*marked.ids, *[id for id, state in marked.aside if state == "held"]]) == [-2, -1, 1, 2, 3]
    assert NOTES in marked.holds, "nobody sees the rows until it has finished"
    marked.try_number = 2
    assert marked.check()["verdict"] == "warn"
    assert marked.ids == [1, 2, 3]
    assert marked.aside == [(-2, "held"), (-1, "held")]
    (known,) = marked.quarantine
    assert (known.rows, len(marked.sample(known))) == (2, 2)
    assert marked.incidents == [("open", "warning")]

    with marked.ledger() as ledger:
        release_quarantine(ledger, known.id, "anna", "true")
    run_and_kill(marked, point, 3)
    marked.try_number = 4
    assert marked.check()["verdict"] == "pass"
    assert marked.ids == [-2, -1, 1, 2, 3]
    assert marked.aside == [(-2, "released"), (-1, "released")]
    assert marked.quarantine == []
    assert marked.incidents == [("resolved", "warning")]


def test_what_had_passed_is_held_while_a_gate_moves_its_rows_again(marked: Project) -> None:
    marked.check()
    assert marked.holds == {}
    marked.mark(quarantine_limit=0.1)
    run_and_kill(marked, "after the warehouse commit", 2)
    assert marked.ids == [-2, -1, 1, 2, 3]
    assert marked.holds == {NOTES: BEING_CHECKED}
    marked.mark()
    marked.try_number = 3
    marked.check()
    assert marked.holds == {}


def test_a_ledger_that_cannot_be_written_moves_nothing(marked: Project) -> None:
    with marked.ledger() as ledger:
        file = Path(str(ledger.engine.url.database))
    for path in file.parent.glob("*"):
        path.unlink()
    file.mkdir()
    with pytest.raises(AirflowException, match="ledger"):
        marked.check()
    assert marked.ids == [-2, -1, 1, 2, 3]
    assert "ledger" in marked.holds[NOTES]
    file.rmdir()
    assert marked.check()["verdict"] == "warn"


def test_publishing_refuses_what_a_verdict_blocks(project: Project) -> None:
    project.land(BAD)
    with pytest.raises(AirflowFailException):
        project.check()
    publish = PublishPartitionOperator(
        task_id="publish", relation="field.notes", asset=Asset("notes"), project_dir=project.folder,
        partition_key="2013-02",
    )  # fmt: skip
    with pytest.raises(AirflowFailException, match=r"notes 2013-02 is blocked by expect_column_values_to_be_between"):
        project.run(publish)
    assert not list(project.folder.rglob("*.parquet"))


def test_a_landing_is_told_to_the_ledger(project: Project) -> None:
    project.land(BAD)
    with pytest.raises(AirflowFailException):
        project.check()
    with project.ledger() as ledger:
        waive(ledger, 1, "anna", ["2013-02"], "known")
        assert list_waivers(ledger, "notes", "2013-02")
    project.land(BAD)
    with project.ledger() as ledger:
        assert list_waivers(ledger, "notes", "2013-02"), "the same file"
    project.land(BAD + "7\n")
    with project.ledger() as ledger:
        assert not list_waivers(ledger, "notes", "2013-02")
