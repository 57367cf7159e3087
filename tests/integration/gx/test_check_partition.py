"""What a check says beside its verdict: whose it is, the whole failing rows, and which rows would be set aside."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.check_result import CheckResult, Severity
from headrace.exceptions import ConfigurationError
from headrace.gx.run_suite import SuiteRun, check_partition
from headrace.warehouse.connection import open_warehouse

NOTES = {"table": "field.notes", "partition_column": "partition_key", "row_key": ["id"]}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    with open_warehouse(tmp_path / "w.duckdb") as connection:
        connection.execute(
            "create schema field; create table field.notes as select * from (values "
            "(1, 1.5::double, 'a', '2007'), (2, 'nan', 'é' || chr(0) || 'b', '2007'), (3, 'infinity', null, '2007'), "
            "(null, 900, repeat('x', 100000), '2007'), (null, 900, 'it''s 100%', '2007'), (9, 900, 'a', '2008')"
            ") as notes(id, mass, said, partition_key)"
        )
        connection.execute('alter table field.notes add column "<img src=x onerror=y>" integer')
    return tmp_path / "w.duckdb"


def check(warehouse: Path, *expectations: dict[str, Any], **meta: Any) -> SuiteRun:
    folder = warehouse.parent / "context" / "expectations"
    folder.mkdir(parents=True, exist_ok=True)
    document = {"name": "odd", "meta": {**NOTES, **meta}, "expectations": list(expectations)}
    (folder / "odd.json").write_text(json.dumps(document))
    return check_partition(folder.parent, "odd", warehouse, "2007")


def light(**meta: Any) -> dict[str, Any]:
    kwargs = {"column": "mass", "max_value": 200}
    return {"type": "expect_column_values_to_be_between", "kwargs": kwargs, "meta": meta}


def rows(sql: str) -> dict[str, Any]:
    return {
        "type": "unexpected_rows_expectation",
        "kwargs": {"unexpected_rows_query": sql},
        "meta": {"quarantine": True},
    }


def count(warehouse: Path, query: str | None) -> list[tuple[int, ...]]:
    with open_warehouse(warehouse, read_only=True) as connection:
        return connection.execute(f"select count(*), count(distinct _headrace_row) from ({query})").fetchall()


def test_the_nearest_word_wins(warehouse: Path) -> None:
    run = check(
        warehouse,
        {**light(owner="ben", notes=["one", "two"], severity="info"), "severity": "critical", "id": "x"},
        {**light(), "severity": "warning"},
        {"type": "expect_column_to_exist", "kwargs": {"column": "said"}},
        owner="anna", runbook="https://x", tier="1", severity="warning", quarantine_limit=0.2,
    )  # fmt: skip
    first, second, third = run.results
    assert (first.meta["owner"], first.meta["description"], first.meta["tier"]) == ("ben", "one\ntwo", "1")
    assert (second.meta["owner"], second.meta["runbook"]) == ("anna", "https://x")
    assert [each.severity for each in run.results] == [Severity.INFO, Severity.WARNING, Severity.WARNING]
    assert first.check_id == "x"
    assert third.check_id
    assert "table" not in first.meta


def test_two_expectations_of_one_type_on_one_column_are_two_checks(warehouse: Path) -> None:
    other = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "mass", "max_value": 950}}
    run = check(warehouse, light(), other, {**other, "id": "same"}, {**light(), "id": "same"})
    assert len({each.check_id for each in run.results}) == 4
    assert [each.failed_rows for each in run.results] == [4, 2, 2, 4], "each result is its own expectation's"
    again = check(warehouse, light(), other, {**other, "id": "same"}, {**light(), "id": "same"})
    assert [each.check_id for each in again.results] == [each.check_id for each in run.results]


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (
            {"severity": "fatal"},
            r"expectation 1 \(expect_column_values_to_be_between\): severity 'fatal' is none of info",
        ),
        ({"quarantine": "yes"}, r"meta\.quarantine is 'yes'; write true or false"),
        ({"quarantine_limit": 2}, r"quarantine_limit is 2; write the largest share"),
        ({"quarantine_limit": True}, r"quarantine_limit is True"),
    ],
)
def test_marks_that_are_none(warehouse: Path, meta: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check(warehouse, light(**meta))


def test_failing_rows_are_whole_and_fit_for_json(warehouse: Path) -> None:
    (result,) = check(warehouse, light()).results
    document = json.dumps(result.to_json(), allow_nan=False)
    assert CheckResult.from_json(json.loads(document)) == result
    assert [row["mass"] for row in result.sample] == ["NaN", "Infinity", 900.0, 900.0]
    assert {len(row) for row in result.sample} == {5}
    assert "<img src=x onerror=y>" in result.sample[0]
    assert len(result.sample[2]["said"]) == 2000
    assert result.sample[3]["said"] == "it's 100%"
    assert "\0" not in document
    assert result.message.startswith(
        "2007 odd: 4 of 5 rows have mass above 200 (NaN at id=2; Infinity at id=3; 900 at id=null"
    )


def test_marked_checks_say_which_rows(warehouse: Path) -> None:
    marked = {"quarantine": True}
    pair = ["mass", "partition_key"]
    some = {"column": "id", "row_condition": 'col("mass")==900', "condition_parser": "great_expectations"}
    in_set = {"column": "said", "value_set": ["a", "it's 100%"]}
    run = check(
        warehouse,
        light(**marked),
        {"type": "expect_column_values_to_be_in_set", "kwargs": in_set, "meta": marked},
        {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": pair}, "meta": marked},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "mass"}, "meta": marked},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}, "meta": marked},
        {"type": "expect_column_values_to_not_be_null", "kwargs": some, "meta": marked},
        rows("select * from {batch} where said = 'it''s 100%'"),
    )  # fmt: skip
    assert [each.result.failed_rows for each in run.checked] == [4, 2, 2, 2, 2, 2, 1]
    for each in run.checked:
        assert count(warehouse, each.query) == [(each.result.failed_rows, each.result.failed_rows)], each.result.message


def test_a_query_that_returns_the_key_will_do_and_one_that_does_not_says_what_would(warehouse: Path) -> None:
    (keyed,) = check(warehouse, rows("select id from {batch} where mass > 200 order by id;")).checked
    assert (keyed.keys, keyed.result.failed_rows) == (("id",), 4)
    with pytest.raises(ConfigurationError, match=r"which rows fail cannot be told: let its query return every column"):
        check(warehouse, rows("select mass from {batch} where mass > 200"))
    assert not check(warehouse, rows("select mass from {batch} where mass > 20000 and mass < 3")).checked[0].query


def test_a_mark_on_what_has_no_rows_is_refused_unless_the_suite_has_it(warehouse: Path) -> None:
    whole = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 99}}
    with pytest.raises(ConfigurationError, match=r"expectation 1 \(expect_table_row_count_to_be_between\) is marked"):
        check(warehouse, {**whole, "meta": {"quarantine": True}})
    run = check(warehouse, whole, light(), quarantine=True)
    assert [each.quarantines for each in run.checked] == [False, True]


def test_a_million_failing_rows_take_no_memory(tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    with open_warehouse(warehouse) as connection:
        connection.execute(
            "create schema field; create table field.notes as select i as id, 900.0::double as mass, "
            "repeat('x', 200) as said, '2007' as partition_key from range(1000000) r(i)"
        )
    check(warehouse, light())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (result,) = check(warehouse, light(quarantine=True)).results
    assert (result.failed_rows, len(result.sample)) == (1_000_000, 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024, "KB"
