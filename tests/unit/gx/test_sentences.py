"""The sentence that on-call reads."""

from datetime import datetime
from typing import Any

import pytest

from headrace.gx.check_meta import describe_checks
from headrace.gx.parse_results import find_exception, name_columns, parse_result
from headrace.gx.sentences import describe_failure, show_time, show_value
from headrace.gx.suites import SuiteTarget


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1048.36058, "1,048.36"), (2010, "2,010"), (3.0, "3"), (0.00012, "0.00012"), (None, "null"), (True, "true"),
     (["EWR", "JFK"], "EWR, JFK"), (list(range(12)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …"), ("x" * 300, "x" * 100)],
)  # fmt: skip
def test_values_are_shown_as_a_person_would_write_them(value: Any, shown: str) -> None:
    assert show_value(value) == shown


def between(values: list[float], low: float | None, high: float | None, **meta: Any) -> str:
    configuration = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "wind", "min_value": low, "max_value": high},
        "meta": meta,
    }
    details = {"unexpected_count": len(values), "element_count": 1000, "partial_unexpected_list": values}
    sample = [{"id": number, "wind": value} for number, value in enumerate(values)]
    return describe_failure(configuration, details, sample, ["id"], 1000)


def test_which_side_of_the_range() -> None:
    assert between([300.0], 0, 200, unit="mph") == "1 of 1,000 rows has wind above 200 mph (300 at id=0)"
    assert between([-1.0, -2.5], 0, 200) == "2 of 1,000 rows have wind below 0 (-1 at id=0; -2.50 at id=1)"
    assert between([-1.0, 300.0], 0, 200) == "2 of 1,000 rows have wind outside 0 to 200 (-1 at id=0; 300 at id=1)"
    assert between([7.0], None, 5) == "1 of 1,000 rows has wind above 5 (7 at id=0)"
    assert between([1.0], 5, None) == "1 of 1,000 rows has wind below 5 (1 at id=0)"


def test_an_expectation_that_is_not_known_here_still_gets_a_sentence() -> None:
    odd = {"type": "expect_moon_to_be_full", "kwargs": {}, "description": "The moon is full"}
    assert describe_failure(odd, {"observed_value": 0.5}, [], [], 10) == "The moon is full does not hold; found 0.50"
    by_row = {"type": "expect_column_values_to_glow", "kwargs": {"column": "moon"}}
    details = {"unexpected_count": 2, "element_count": 10}
    assert describe_failure(by_row, details, [], [], 10) == (
        "2 of 10 rows are against expect_column_values_to_glow of moon"
    )


def test_missing_columns_and_values_are_listed() -> None:
    columns = {"type": "expect_table_columns_to_match_set", "kwargs": {"column_set": ["a", "b"]}}
    details = {"observed_value": ["a"], "details": {"mismatched": {"missing": ["b"]}}}
    assert describe_failure(columns, details, [], [], 10) == "the table lacks b"


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"raised_exception": False, "exception_message": None}, None),
        ({}, None),
        ({"raised_exception": True, "exception_message": "no such column\nmore"}, "no such column"),
        ({"MetricConfigurationID(…)": {"raised_exception": True, "exception_message": "deep down"}}, "deep down"),
        ({"raised_exception": True, "exception_message": ""}, "it raised without a message"),
        (
            {"raised_exception": True, "exception_message": "'type'", "exception_traceback": "…\nKeyError: 'type'\n"},
            "GX failed inside this expectation on DuckDB (KeyError: 'type')",
        ),
    ],
)
def test_why_an_expectation_raised(info: dict[str, Any], reason: str | None) -> None:
    assert find_exception(info) == reason


def test_columns_of_an_expectation() -> None:
    assert name_columns({"column": "a"}) == "a"
    assert name_columns({"column_list": ["a", "b"]}) == "a, b"
    assert name_columns({"column_A": "a", "column_B": "b"}) == "a, b"
    assert name_columns({"min_value": 1}) is None


def test_utc_is_marked_only_where_the_suite_says_so() -> None:
    result = {
        "success": False,
        "expectation_config": {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}},
        "result": {"unexpected_count": 1, "element_count": 2},
        "exception_info": {"raised_exception": False},
    }
    (check,) = describe_checks("w", {}, [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}}])
    sample = [{"at": datetime(2013, 2, 12, 8), "x": None}]
    for zone, shown in (("UTC", "12 Feb 2013 08:00Z"), (None, "12 Feb 2013 08:00")):
        target = SuiteTarget("w", "w", None, ("at",), zone)
        parsed = parse_result(result, check, target, None, 2, sample)
        assert parsed.message == f"w: 1 of 2 rows has no x (null at {shown})"
        assert parsed.partition_key is None


@pytest.mark.parametrize(
    ("text", "partition_key", "shown"),
    [
        ("2013-02-12T08:00:00Z", "2013-02", "12 Feb 08:00Z"),
        ("2013-02-12T08:00:00", "2013-02", "12 Feb 08:00"),
        ("2013-02-12T08:00:07.250Z", "2013-02", "12 Feb 08:00:07.25Z"),
        ("2013-02-12 08:00:00+01:00", "2013-02", "12 Feb 08:00+0100"),
        ("2013-02-12", "2013-02", "12 Feb"),
        ("2013-02-12", "2014-01", "12 Feb 2013"),
        ("2013-02-12T08:00:00Z", None, "12 Feb 2013 08:00Z"),
        ("2013-02-12-UA1545-EWR", "2013-02", None),
        ("2013-02-31", "2013-02", None),
        ("20130212", "2013-02", None),
    ],
)
def test_times_are_as_short_as_they_can_be(text: str, partition_key: str | None, shown: str | None) -> None:
    assert show_time(text, partition_key) == shown


def test_a_part_of_a_key_that_says_nothing_alone_has_its_name() -> None:
    configuration = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}}
    row = {"origin": "EWR", "flight": 1545, "gate": None, "x": None, "y": 3}
    details = {"unexpected_count": 1, "element_count": 2}
    assert describe_failure(configuration, details, [row], ["origin", "flight", "gate"], 2) == (
        "1 of 2 rows has no x (null at EWR, flight=1545, gate=null)"
    )
