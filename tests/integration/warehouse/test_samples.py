"""A few rows of a real warehouse, fit to be shown."""

import json
from pathlib import Path

import duckdb
import pytest

from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.samples import MAX_ROWS, fetch_rows


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    with open_warehouse(tmp_path / "w.duckdb") as connection:
        connection.execute("create table t as select range as id from range(1000)")
    return tmp_path / "w.duckdb"


def test_the_first_rows_are_fetched_and_no_more(warehouse: Path) -> None:
    rows = fetch_rows(warehouse, "\n select id from t order by id -- all of them\n")
    assert rows == [{"id": number} for number in range(MAX_ROWS)]
    assert len(fetch_rows(warehouse, "select * from t;", limit=3)) == 3


def test_every_value_is_fit_for_json(warehouse: Path) -> None:
    (row,) = fetch_rows(
        warehouse,
        "select 'nan'::double as nan, timestamp '2013-02-12 08:00' as at, [1, null] as list, 1.5::decimal(4, 1) as d, "
        "'x'::blob as raw, null as nothing",
    )
    assert json.loads(json.dumps(row, allow_nan=False)) == {
        "nan": "NaN",
        "at": "2013-02-12T08:00:00",
        "list": [1, None],
        "d": 1.5,
        "raw": "x",
        "nothing": None,
    }


def test_nothing_can_be_changed(warehouse: Path) -> None:
    with pytest.raises(duckdb.Error):
        fetch_rows(warehouse, "select 1) ; delete from t; select * from (select 1")
    with open_warehouse(warehouse) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (1000,)
