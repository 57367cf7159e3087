"""``score``: rows of a Parquet file, answered by a saved model; both interpreters."""

import json
from pathlib import Path

import pytest
from conftest import WarmWorker
from flight_data import write_flight_features


@pytest.fixture(scope="module")
def model(warm: WarmWorker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    warm.run_script("save_model", folder)
    return folder


def test_rows_are_answered_with_their_keys_and_labels(warm: WarmWorker, model: Path, tmp_path: Path) -> None:
    data = write_flight_features(tmp_path, "2013-01", "case when day < 16 then null else 7.5 end as wind_speed_mph")
    code, said = warm.run(
        ["score", "--model", str(model), "--data", str(data), "--rows", "5", "--json", "--label", "is_late"]
    )
    assert code == 0, said
    rows = json.loads(said)
    assert len(rows) == 5
    assert [row["probability"] for row in rows] == [-1.0, -1.0, 7.5, 7.5, 7.5]
    assert rows[0]["flight_key"] == "flight-1-0"
    assert rows[0]["flight_date"] == "2013-01-01"
    assert {row["is_late"] for row in rows} <= {0, 1}


def test_a_table_is_printed_for_a_person(warm: WarmWorker, model: Path, tmp_path: Path) -> None:
    data = write_flight_features(tmp_path, "2013-01")
    code, said = warm.run(["score", "--model", str(model), "--data", str(data), "--rows", "2"])
    assert code == 0
    assert said.count("flight_key=flight-") == 2


@pytest.mark.parametrize("wrong", ["model", "data", "column", "signature", "rows"])
def test_what_does_not_fit_is_one_message(warm: WarmWorker, model: Path, tmp_path: Path, wrong: str) -> None:
    data = write_flight_features(tmp_path, "2013-01", without="carrier" if wrong == "column" else "")
    if wrong == "data":
        data.write_bytes(b"no table")
    code, said = warm.run(
        [
            *("score", "--model", str(tmp_path if wrong == "model" else model), "--data", str(data)),
            *("--signature", "other" if wrong == "signature" else "serving_columns"),
            *("--rows", "0" if wrong == "rows" else "5"),
        ]
    )
    assert code == 12
    assert said.strip().splitlines()[-1].startswith("headrace: ")
