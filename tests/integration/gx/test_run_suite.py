"""Suites on real partitions, and every way in which a gate must fail closed."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.exceptions import (
    ConfigurationError,
    InvalidPartitionKeyError,
    NoResultsError,
    WarehouseLockedError,
)
from headrace.gx.run_suite import run_suite
from headrace.quality.verdict import Decision, decide_verdict
from headrace.warehouse.connection import open_warehouse

ROOT = Path(__file__).parents[3]
EXPECTATIONS = ROOT / "expectations"
SUITES = ["raw_airlines", "raw_airports", "raw_flights", "raw_planes", "raw_weather", "flight_features"]


def write_suite(folder: Path, name: str, *expectations: dict[str, Any], **meta: Any) -> Path:
    context = folder / "context"
    (context / "expectations").mkdir(parents=True, exist_ok=True)
    document = {"name": name, "meta": meta, "expectations": list(expectations)}
    (context / "expectations" / f"{name}.json").write_text(json.dumps(document))
    return context


def expect(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "severity": severity}


WEATHER = {"table": "raw.weather", "partition_column": "partition_key", "row_key": ["origin", "time_hour"]}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("key", ["2013-01", "2013-02"])
def test_real_months_pass_but_for_the_wind(flights, suite: str, key: str) -> None:
    results = run_suite(EXPECTATIONS, suite, flights.warehouse, key)
    failing = [result.message for result in results if not result.passed]
    if (suite, key) == ("raw_weather", "2013-02"):
        assert failing == [
            "2013-02 raw_weather: 1 of 2,010 rows has wind_speed above 200 mph (1,048.36 at EWR, 12 Feb 08:00Z)"
        ]
        assert decide_verdict(results).decision is Decision.WARN
    else:
        assert failing == []
    assert len(results) == len(
        json.loads((EXPECTATIONS / "expectations" / f"{suite}.json").read_text())["expectations"]
    )


def test_the_wind_row_is_named_for_machines_too(flights) -> None:
    (wind,) = [r for r in run_suite(EXPECTATIONS, "raw_weather", flights.warehouse, "2013-02") if not r.passed]
    assert (wind.check, wind.column, wind.severity) == (
        "expect_column_values_to_be_between", "wind_speed", Severity.WARNING,
    )  # fmt: skip
    assert (wind.failed_rows, wind.total_rows, wind.partition_key) == (1, 2010, "2013-02")
    assert wind.expected == {"min_value": 0, "max_value": 200}
    (row,) = wind.sample
    assert len(row) == 17, "the whole row"
    assert {name: row[name] for name in ("origin", "time_hour", "wind_speed", "wind_gust", "partition_key")} == {
        "origin": "EWR", "time_hour": "2013-02-12T08:00:00Z", "wind_speed": 1048.36058, "wind_gust": None,
        "partition_key": "2013-02",
    }  # fmt: skip
    assert wind.check_id == "acdff68c-e9f8-52ff-bbad-fce74e767df0"
    assert wind.meta["owner"] == "data-platform@example.com"
    assert wind.meta["unit"] == "mph"
    assert "hurricane" in wind.meta["description"]
    assert CheckResult.from_json(json.loads(json.dumps(wind.to_json()))) == wind


def test_a_wind_that_reaches_the_features_blocks(flights, tmp_path: Path) -> None:
    warehouse = flights.copy(tmp_path)
    with open_warehouse(warehouse) as connection:
        connection.execute(
            "update marts.flight_features set wind_speed_mph = 1048.36 where flight_key = '2013-02-12-UA1545-EWR' "
            "or flight_key = (select min(flight_key) from marts.flight_features where partition_key = '2013-02')"
        )
    verdict = decide_verdict(run_suite(EXPECTATIONS, "flight_features", warehouse, "2013-02"))
    assert verdict.blocks
    assert "above 200 mph (1,048.36 at 2013-02-" in verdict.causes[0].message
    assert not decide_verdict(run_suite(EXPECTATIONS, "flight_features", warehouse, "2013-01")).causes


def test_samples_are_bounded_and_sentences_plain(flights, tmp_path: Path) -> None:
    context = write_suite(
        tmp_path,
        "odd",
        expect("expect_column_values_to_be_in_set", "warning", column="origin", value_set=["EWR", "JFK"]),
        expect("expect_column_values_to_not_be_null", "info", column="wind_gust", mostly=0.9),
        expect("expect_table_row_count_to_be_between", min_value=5000),
        expect("expect_column_to_exist", column="snow"),
        expect("expect_column_mean_to_be_between", column="temp", min_value=50, max_value=90),
        expect("expect_compound_columns_to_be_unique", column_list=["origin", "month"]),
        {
            **expect("unexpected_rows_expectation", unexpected_rows_query="select * from {batch} where temp < 20"),
            "description": "it is too cold for de-icing fluid of type I",
        },
        **WEATHER,
    )
    results = run_suite(context, "odd", flights.warehouse, "2013-02")
    assert [result.message.removeprefix("2013-02 odd: ") for result in results] == [
        "670 of 2,010 rows have origin that is none of EWR, JFK (LGA at 1 Feb 05:00; "
        "LGA at 1 Feb 06:00; LGA at 1 Feb 07:00; …)",
        next(result.message for result in results if result.column == "wind_gust").removeprefix("2013-02 odd: "),
        "the number of rows is 2,010, expected at least 5,000",
        "there is no column snow",
        "the mean of temp is 34.27, expected 50 to 90",
        next(result.message for result in results if result.column == "origin, month").removeprefix("2013-02 odd: "),
        next(result.message for result in results if result.check == "unexpected_rows_expectation").removeprefix(
            "2013-02 odd: "
        ),
    ]
    assert all(len(result.sample) <= 20 for result in results)
    assert len(results[0].sample) == 20
    assert "rows have no wind_gust (null at EWR, " in results[1].message
    assert results[1].message.endswith("; at most 10 % may")
    assert "2,010 of 2,010 rows have origin, month that other rows have too" in results[5].message
    assert "of 2,010 rows fail: it is too cold for de-icing fluid of type I (EWR, " in results[6].message
    assert results[6].failed_rows
    assert results[6].failed_rows > 0


def test_an_expectation_that_cannot_be_evaluated_blocks_whatever_its_severity(flights, tmp_path: Path) -> None:
    context = write_suite(
        tmp_path,
        "odd",
        expect("expect_column_values_to_not_be_null", "info", column="snow"),
        expect("expect_column_values_to_match_regex", "info", column="origin", regex="^E"),
        expect("expect_column_values_to_be_of_type", "info", column="temp", type_="DOUBLE"),
        expect("unexpected_rows_expectation", "info", unexpected_rows_query="select nope from {batch}"),
        **WEATHER,
    )
    results = run_suite(context, "odd", flights.warehouse, "2013-02")
    assert {result.status for result in results} == {Status.ERROR}
    assert results[0].message == (
        "2013-02 odd: expect_column_values_to_not_be_null could not be evaluated: "
        'Error: The column "snow" in BatchData does not exist.'
    )
    assert "Regex is not supported" in results[1].message
    assert "nope" in results[3].message
    assert decide_verdict(results).blocks


def test_missing_suite_names_those_that_exist(flights) -> None:
    with pytest.raises(ConfigurationError, match=r"suite 'raw_wether' does not exist in .*; there are: .*raw_weather"):
        run_suite(EXPECTATIONS, "raw_wether", flights.warehouse, "2013-02")


def test_a_suite_name_is_not_a_path(flights) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        run_suite(EXPECTATIONS, "../expectations/raw_weather", flights.warehouse, "2013-02")


def test_fails_closed(flights, tmp_path: Path) -> None:
    not_null = expect("expect_column_values_to_not_be_null", column="origin")
    cases: list[tuple[type[Exception], str, dict[str, Any], list[dict[str, Any]]]] = [
        (ConfigurationError, r"table raw\.snow does not exist", {**WEATHER, "table": "raw.snow"}, [not_null]),
        (ConfigurationError, r"partition_column 'month_key' is not a column of raw\.weather, which has: .*origin",
         {**WEATHER, "partition_column": "month_key"}, [not_null]),
        (ConfigurationError, r"row_key 'id' is not a column", {**WEATHER, "row_key": ["id"]}, [not_null]),
        (ConfigurationError, r"is not a name of a table", {**WEATHER, "table": "raw.weather; drop x"}, [not_null]),
        (NoResultsError, r"holds no expectations", WEATHER, []),
        (ConfigurationError, r"expectation 2 is of type 'expect_column_values_to_be_not_null', which GX does not know; "
         r"did you mean .*expect_column_values_to_not_be_null",
         WEATHER, [not_null, expect("expect_column_values_to_be_not_null", column="origin")]),
        (ConfigurationError, r"expectation 1 \(expect_column_values_to_not_be_null\) is not valid: .*colum",
         WEATHER, [expect("expect_column_values_to_not_be_null", colum="origin")]),
        (ConfigurationError, r"expectation 1 .* is not valid: .*severity",
         WEATHER, [expect("expect_column_values_to_not_be_null", "fatal", column="origin")]),
    ]  # fmt: skip
    for error, message, meta, expectations in cases:
        context = write_suite(tmp_path, "odd", *expectations, **meta)
        with pytest.raises(error, match=message):
            run_suite(context, "odd", flights.warehouse, "2013-02")


def test_an_empty_partition(flights) -> None:
    with pytest.raises(NoResultsError, match=r"suite raw_weather: partition 2013-03 of raw\.weather has no rows"):
        run_suite(EXPECTATIONS, "raw_weather", flights.warehouse, "2013-03")
    with pytest.raises(InvalidPartitionKeyError):
        run_suite(EXPECTATIONS, "raw_weather", flights.warehouse, "' or 1=1 --")


@pytest.mark.parametrize("text", ["{", "[]", "", '{"expectations": {}}', '{"expectations": [{"kwargs": {}}]}'])
def test_malformed_json(flights, tmp_path: Path, text: str) -> None:
    context = write_suite(tmp_path, "odd")
    (context / "expectations" / "odd.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"odd\.json is not"):
        run_suite(context, "odd", flights.warehouse, "2013-02")


def test_a_locked_warehouse_and_none_at_all(flights, tmp_path: Path) -> None:
    warehouse = flights.copy(tmp_path)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(WarehouseLockedError, match=f"process {holder.pid}"):
            run_suite(EXPECTATIONS, "raw_weather", warehouse, "2013-02")
        holder.communicate(b"")
    with pytest.raises(ConfigurationError, match="land a partition first"):
        run_suite(EXPECTATIONS, "raw_weather", tmp_path / "none.duckdb", "2013-02")


def test_nothing_is_written_and_the_file_is_let_go(flights, tmp_path: Path) -> None:
    context = Path(shutil.copytree(EXPECTATIONS, tmp_path / "context"))
    before = sorted(path.as_posix() for path in context.rglob("*"))
    warehouse = flights.copy(tmp_path)
    run_suite(context, "raw_weather", warehouse, "2013-02")
    assert sorted(path.as_posix() for path in context.rglob("*")) == before
    with open_warehouse(warehouse) as connection:
        connection.execute("create table t as select 1")


def test_the_readme_of_the_expectations_is_true(flights, tmp_path: Path) -> None:
    """An analyst's ten lines, as they are written, run in a copy of the project."""
    readme = (EXPECTATIONS / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    shutil.copytree(EXPECTATIONS, tmp_path / "expectations")
    (tmp_path / ".headrace" / "warehouse").mkdir(parents=True)
    shutil.copy(flights.warehouse, tmp_path / ".headrace" / "warehouse" / "flights.duckdb")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "GX_ANALYTICS_ENABLED": "false"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "1048.36058" in done.stdout
    assert '"success": false' in done.stdout


def test_importing_the_adapter_imports_no_great_expectations() -> None:
    code = (
        "import sys, headrace.gx.run_suite, headrace.warehouse.publishing, headrace.warehouse.landing, "
        "headrace.dbt.run_results, headrace.examples.nycflights; "
        "print([m for m in ('great_expectations', 'duckdb', 'dbt', 'airflow', 'sqlalchemy') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
