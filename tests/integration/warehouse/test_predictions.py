"""A partition of ``predictions.<model>``: replaced whole, or not at all."""

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from headrace.exceptions import CheckFailedError, ConfigurationError, InvalidPartitionKeyError
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.predictions import LoadedPredictions, load_predictions

AT = datetime(2026, 11, 24, 9)


def load(folder: Path, query: str, key: str = "2013-01", number: int = 1, **more: Any) -> LoadedPredictions:
    file = folder / "predictions.parquet"
    duckdb.sql(f"copy ({query}) to '{file}' (format parquet)")
    given = {"number": number, "digest": f"d{number}", "key_columns": ["id"], "scored_at": AT, **more}
    return load_predictions(folder / "headrace.duckdb", file, more.pop("model", "delays"), key, **given)


def read(folder: Path, columns: str = "partition_key, id, p, model_version") -> list[tuple[Any, ...]]:
    with open_warehouse(folder / "headrace.duckdb", read_only=True) as connection:
        return connection.execute(f"select {columns} from predictions.delays order by all").fetchall()


def test_a_partition_is_written_with_the_version_on_each_row_and_replaced(tmp_path: Path) -> None:
    first = load(tmp_path, "select range as id, 0.5::float as p from range(3)")
    assert first == LoadedPredictions("predictions.delays", 3, 0)
    load(tmp_path, "select 'x' || range as id, 0.5::float as p from range(1)".replace("'x' || ", ""), "2013-02")
    again = load(tmp_path, "select range as id, 0.25::float as p from range(2)", number=2)
    assert (again.rows, again.replaced_rows) == (2, 3)
    assert read(tmp_path) == [("2013-01", 0, 0.25, 2), ("2013-01", 1, 0.25, 2), ("2013-02", 0, 0.5, 1)]
    assert read(tmp_path, "distinct model, model_digest, scored_at") == [("delays", "d1", AT), ("delays", "d2", AT)]


def test_a_version_may_answer_more_and_the_rows_of_before_keep_what_they_have(tmp_path: Path) -> None:
    load(tmp_path, "select 1 as id, 0.5::float as p")
    load(tmp_path, """select 1 as id, 0.5::float as p, 'late' as "said; drop table x" """, "2013-02", 2)
    assert read(tmp_path, 'partition_key, "said; drop table x"') == [("2013-01", None), ("2013-02", "late")]


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        ("select 1 as id, 'high' as p", ConfigurationError, "has p as FLOAT, and the model answers VARCHAR"),
        ("select 1 as id, 0.5::float as p from range(2)", CheckFailedError, "1 keys are of several rows"),
        ("select null::int as id, 0.5::float as p", CheckFailedError, "1 rows have no id"),
    ],
)
def test_what_does_not_fit_changes_nothing(tmp_path: Path, query: str, error: type[Exception], said: str) -> None:
    load(tmp_path, "select 1 as id, 0.5::float as p")
    with pytest.raises(error, match=said):
        load(tmp_path, query, number=2)
    assert read(tmp_path) == [("2013-01", 1, 0.5, 1)]


def test_a_name_that_is_none_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(InvalidPartitionKeyError):
        load(tmp_path, "select 1 as id", "../x")
    file = tmp_path / "predictions.parquet"
    given = {"number": 1, "digest": "d", "key_columns": ["id"], "scored_at": AT}
    with pytest.raises(ConfigurationError, match="not a name"):
        load_predictions(tmp_path / "w.duckdb", file, 'x"; drop table y', "2013-01", **given)
    assert not (tmp_path / "w.duckdb").exists()
