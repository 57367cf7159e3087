"""``headrace check-dbt`` on the example project in a git checkout of its own, as an analyst types it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

WEATHER = "dbt_project/models/staging/stg_weather.sql"
SUITE = "expectations/expectations/flight_features.json"


@pytest.fixture
def failing() -> Callable[[dict[str, Any]], set[tuple[str, str]]]:
    def find(said: dict[str, Any]) -> set[tuple[str, str]]:
        return {(each["dataset"], each["check"]) for each in said["checks"] if each["status"] != "passed"}

    return find


def test_nothing_has_changed(checkout: Any) -> None:
    said = checkout.judge(0)
    assert (said["verdict"], said["built"], said["suites"], said["partition_key"]) == (None, [], [], "2013-02")
    rows = {each["relation"]: (each["rows"], each["of"]) for each in said["sample"]}
    assert rows["raw.flights"] == (1000, 51955)
    assert rows["raw.airports"][0] == rows["raw.airports"][1]


def test_a_change_is_built_and_checked_with_what_is_made_from_it(checkout: Any) -> None:
    before = checkout.warehouse.read_bytes()
    checkout.edit("dbt_project/models/intermediate/int_flight_trailing.sql", "select", "select -- other words\n")
    said = checkout.judge(0)
    assert (said["verdict"], said["built"]) == ("pass", ["flight_features", "int_flight_trailing"])
    assert said["suites"] == ["flight_features"]
    assert {each["tool"] for each in said["checks"]} == {"dbt", "gx"}
    assert said["not_checked"] == ["flight_features: expect_table_row_count_to_be_between"]
    assert checkout.warehouse.read_bytes() == before


def test_what_the_chain_would_stop_at_fails_with_its_rows(
    checkout: Any, failing: Callable[[dict[str, Any]], set[tuple[str, str]]]
) -> None:
    checkout.edit(WEATHER, "    origin,", "    case when origin <> 'JFK' then origin end as origin,")
    said = checkout.judge(1)
    assert said["verdict"] == "block"
    (check,) = [each for each in said["checks"] if each["check"] == "not_null" and each["status"] == "failed"]
    assert (check["dataset"], check["column"], check["failed_rows"] > 0) == ("stg_weather", "origin", True)
    assert check["sample"][0]["origin"] is None
    people = checkout.check("--sample", "500")
    assert people.returncode == 1
    assert "have no origin" in people.stdout
    assert "checks after these were not reached" in people.stdout


def test_what_fails_without_the_change_too_does_not_count(checkout: Any) -> None:
    # So few rows that the trailing shares are null more often than the suite allows, with or without the change.
    checkout.edit("dbt_project/models/marts/flight_features.sql", "select", "select -- other words\n")
    said = checkout.judge(0)
    excused = [each for each in said["checks"] if each["excused"]]
    assert {each["column"] for each in excused} >= {"origin_late_share_4h"}
    assert said["verdict"] == "pass"


def test_an_edited_suite_is_run_alone(checkout: Any) -> None:
    suite = json.loads((checkout.folder / SUITE).read_text())
    too_short = {"column": "distance_miles", "max_value": 1}
    suite["expectations"] = [{"type": "expect_column_max_to_be_between", "kwargs": too_short, "severity": "critical"}]
    (checkout.folder / SUITE).write_text(json.dumps(suite))
    said = checkout.judge(1)
    assert (said["built"], said["suites"], len(said["checks"])) == ([], ["flight_features"], 1)


def test_a_branch_is_compared_with_where_it_left_main(checkout: Any) -> None:
    checkout.git("checkout", "-qb", "work")
    checkout.edit(WEATHER, "select", "select -- other words\n")
    checkout.git("commit", "-qam", "Change the weather")
    assert checkout.judge(0)["built"][-1] == "stg_weather"
    assert checkout.judge(0, "--base", "work")["built"] == []
    assert checkout.judge(0, "--select", "flight_features")["built"] == ["flight_features"]
    checkout.git("checkout", "-q", "main")
    checkout.git("branch", "-qD", "work")


def test_while_a_run_holds_the_warehouse_the_sample_of_before_is_used(checkout: Any) -> None:
    checkout.judge(0)
    with duckdb.connect(str(checkout.warehouse)):
        done = checkout.check("--sample", "500")
        assert done.returncode == 0, done.stderr
        assert "the sample of before is used" in done.stdout
        assert checkout.check("--sample", "501").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(["--base", "nowhere"], 2, "git knows no revision 'nowhere'"), (["--base", "--version"], 2, "git knows no rev")],
)
def test_a_commit_that_is_not_there(checkout: Any, arguments: list[str], code: int, said: str) -> None:
    done = checkout.check(*arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_a_project_that_cannot_be_parsed_says_where(checkout: Any) -> None:
    checkout.edit(WEATHER, "select", "select {{ ref('nowhere') }},")
    done = checkout.check()
    assert done.returncode == 1
    assert "models/staging/stg_weather.sql" in done.stderr
    assert "nowhere" in done.stderr


def test_without_git_nothing_says_what_has_changed(checkout: Any, tmp_path: Path) -> None:
    shutil.copytree(checkout.folder / "dbt_project", tmp_path / "dbt_project")
    (tmp_path / "dags").mkdir()
    done = replace(checkout, folder=tmp_path).check()
    assert (done.returncode, "is in no git checkout" in done.stderr) == (3, True), done.stderr
