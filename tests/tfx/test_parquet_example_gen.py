"""ParquetExampleGen: what becomes of values, which rows go where, and what it refuses; both interpreters."""

from datetime import date

import pytest
from conftest import FLIGHT_PIPELINES, Project, WarmWorker
from flight_data import ROWS_A_DAY, write_flight_features


def test_zero_and_empty_text_are_values_and_null_and_nan_are_missing(warm: WarmWorker) -> None:
    found = warm.run_script("encode_parquet", FLIGHT_PIPELINES)
    zero, seven, null = found["rows"]
    assert zero == {
        "int": [0], "small_int": [0], "float": [0.0], "text": [""], "dictionary": [""], "bool": [0],
        "date": ["1970-01-01"], "time": [0], "decimal": [0.0],
    }  # fmt: skip
    assert seven["text"] == ["UA"]
    assert seven["date"] == ["2013-02-12"]
    assert seven["time"] == [1360656000]
    assert "float" not in seven, "NaN is missing"
    assert null == {}
    assert found["labelled"] == 2
    assert "nested" in found["refused"]


def test_splits_and_windows_are_decided_without_a_leak(warm: WarmWorker) -> None:
    found = warm.run_script("split_rows", FLIGHT_PIPELINES)
    assert found["train"] == list(range(23))
    assert found["eval"] == list(range(24, 31)), "day 23 is the gap"
    assert found["eval_share"] == pytest.approx(0.2, abs=0.02)
    assert found["same_again"]
    assert found["timestamp"] == [-1, 0, 1]
    assert found["window"] == ["2013-01", "2013-02"]
    assert found["short_window"] == ["2012-12", "2013-01"]
    assert found["newest"] == ["2013-03"]
    assert "at least 1" in found["no_eval_days"]
    assert "1 nulls" in found["null_time"]
    assert "must be a date or a timestamp" in found["text_time"]
    assert "no partition '2013-04'; there are 2012-12" in found["missing"]
    assert "is not a partition key" in found["climbing"]
    assert "is not a partition key" in found["hidden"]
    assert "no partition file at all" in found["empty"]
    assert "at least 1 partition" in found["no_window"]


def test_two_months_are_split_by_day_and_name_what_they_were_made_of(flights: Project) -> None:
    folder = flights.state_dir / "features" / "flight_features"
    # The label says on which side of the split a row must be, so that the examples themselves can be asked.
    write_flight_features(folder, "2012-11", "0::bigint as is_late")
    write_flight_features(folder, "2012-12", "(day >= 25)::bigint as is_late")
    (folder / ".2012-12.parquet.partial").write_bytes(b"half a file")
    (folder / "2013-01.parquet.tmp").write_bytes(b"half a file")
    code, outcome = flights.run_node("ParquetExampleGen", "split", partition_key="2012-12", window=2)
    assert code == 0, flights.logs["ParquetExampleGen"]
    assert outcome is not None
    [examples] = outcome.outputs["examples"]
    properties = examples["properties"]
    assert properties["partitions"] == '["2012-11", "2012-12"]'
    assert date.fromisoformat(properties["first_eval_day"]) == date(2012, 12, 25)
    assert date.fromisoformat(properties["last_train_day"]) == date(2012, 12, 23)
    found = flights.warm.run_script("read_split", examples["uri"], "is_late")
    # November has 31 made-up days here: its last one is 1 December, still train.
    assert found["train"] == [0] * (31 + 23) * ROWS_A_DAY
    assert found["eval"] == [1] * 7 * ROWS_A_DAY


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"partition_key": "2031-01"}, "there is no partition '2031-01'"),
        ({"partition_key": "../../etc"}, "is not a partition key"),
        ({"partition_key": "2011-01", "eval_days": 40}, "the train split of 2011-01"),
        ({"partition_key": "2011-02"}, "has no column wind_speed_mph"),
        ({"partition_key": "2011-03"}, "the train and eval split of 2011-03"),
        ({"partition_key": "2011-04"}, "Parquet"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_words(
    flights: Project, parameters: dict[str, object], said: str
) -> None:
    folder = flights.state_dir / "features" / "flight_features"
    if not (folder / "2011-01.parquet").exists():
        write_flight_features(folder, "2011-01")
        write_flight_features(folder, "2011-02", without="wind_speed_mph")
        write_flight_features(folder, "2011-03", "null::bigint as is_late")
        (folder / "2011-04.parquet").write_bytes(b"not a table at all")
    run_id = f"refused {parameters}"
    code, outcome = flights.run_node("ParquetExampleGen", run_id, window=1, **parameters)
    assert code == 10
    assert outcome is not None
    assert outcome.state == "FAILED"
    assert outcome.error is not None
    assert said in outcome.error
