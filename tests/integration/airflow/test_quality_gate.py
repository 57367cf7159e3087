"""What a gate does to the partition it checks: the operators, DuckDB and Great Expectations are real."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from headrace.airflow.operators.landing import LandPartitionOperator
from headrace.airflow.operators.quality_gate import QualityGateOperator
from headrace.contracts.files import read_json
from headrace.exceptions import WarehouseLockedError
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.holds import NOT_CHECKED

SOURCE = {
    "source_name": "field",
    "name": "notes",
    "schema": "field",
    "meta": {"landing": "notes/{partition_key}.csv"},
    "columns": {"id": {"name": "id", "data_type": "bigint"}},
}
BAD = "id\n1\n-1\n"
GOOD = "id\n1\n2\n"


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

    def write_suite(self, name: str, severity: str = "critical", **meta: str) -> None:
        between = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "id", "min_value": 0}}
        document = {"name": name, "meta": meta, "expectations": [{**between, "severity": severity}]}
        self.write(f"expectations/expectations/{name}.json", json.dumps(document))

    def land(self, text: str, key: str = "2013-02", **arguments: Any) -> None:
        self.write(f".headrace/landing/notes/{key}.csv", text)
        self.run(LandPartitionOperator(task_id="land", project_dir=self.folder, partition_key=key, **arguments))

    def check(self, *suites: str, key: str = "2013-02") -> Any:
        return self.run(
            QualityGateOperator(
                task_id="check", suites=suites or ("notes",), project_dir=self.folder, partition_key=key
            )
        )

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
    for operator in (LandPartitionOperator, QualityGateOperator):
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
