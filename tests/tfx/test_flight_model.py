"""The flight delay pipeline from features to a pushed model, on made-up features; both interpreters."""

import json
from pathlib import Path

import pytest
from conftest import Project
from flight_data import ROWS_A_DAY, write_flight_features

from headrace.contracts.node_run import NodeOutcome

# The same flights on every day, so that days can be compared row by row.
SAME_DAY = "1::bigint as day_of_week, 'EWR' as origin"


@pytest.fixture(scope="module")
def run(flights: Project) -> dict[str, NodeOutcome]:
    write_flight_features(flights.state_dir / "features" / "flight_features", "2012-01")
    return flights.run_until("Pusher", "trained", partition_key="2012-01", window=1)


@pytest.fixture(scope="module")
def model(run: dict[str, NodeOutcome], flights: Project) -> Path:
    (version,) = (flights.state_dir / "pushed" / "flight_delay").iterdir()
    return version


def score(flights: Project, model: Path, folder: Path, changes: str) -> list[list[float]]:
    """Return the probabilities of flights that differ by ``changes`` alone: a list of rows for each of three days."""
    data = write_flight_features(folder, "2012-02", f"{SAME_DAY}, {changes}", days=3)
    rows = str(3 * ROWS_A_DAY)
    code, said = flights.warm.run(["score", "--model", str(model), "--data", str(data), "--rows", rows, "--json"])
    assert code == 0, said
    found = {row["flight_key"]: row["probability"] for row in json.loads(said)}
    return [[found[f"flight-{day}-{n}"] for n in range(ROWS_A_DAY)] for day in (1, 2, 3)]


def test_the_features_that_the_model_uses_are_its_raw_columns(run: dict[str, NodeOutcome]) -> None:
    signature = run["Pusher"].signature
    assert signature is not None
    assert run["Trainer"].features == tuple(sorted(signature["serving_columns"]["inputs"]))
    assert {"carrier", "distance_miles", "wind_speed_mph"} <= set(run["Trainer"].features or ())
    assert not {"is_late", "flight_key", "partition_key"} & set(run["Trainer"].features or ())


def test_a_model_learns_and_is_evaluated_overall_and_by_every_slice(run: dict[str, NodeOutcome]) -> None:
    metrics = run["Evaluator"].metrics
    assert metrics is not None
    assert metrics["overall"]["auc"] > 0.95, "whether a made-up flight is late follows from its hour"
    assert [one["slice"] for one in metrics["slices"]] == [
        {"carrier": "B6"}, {"carrier": "DL"}, {"carrier": "UA"}, {"origin": "EWR"}, {"origin": "JFK"}, {"origin": "LGA"}
    ]  # fmt: skip
    assert sum(one["metrics"]["example_count"] for one in metrics["slices"]) == 2 * 7 * ROWS_A_DAY


def test_transformed_rows_are_not_written(run: dict[str, NodeOutcome]) -> None:
    assert "transform_graph" in run["Transform"].outputs
    assert "transformed_examples" not in run["Transform"].outputs


def test_a_missing_number_is_an_average_one(flights: Project, model: Path, tmp_path: Path) -> None:
    wind = "case day when 1 then null when 2 then 10.0 else 90.0 end as wind_speed_mph"
    missing, average, high = score(flights, model, tmp_path, wind)
    assert missing == pytest.approx(average)
    assert high != pytest.approx(average)


def test_words_that_were_not_seen_often_are_one(flights: Project, model: Path, tmp_path: Path) -> None:
    carrier = "case day when 1 then 'ZZ' when 2 then null else 'UA' end as carrier"
    unknown, missing, known = score(flights, model, tmp_path, carrier)
    assert unknown == pytest.approx(missing)
    assert known != pytest.approx(missing)


def test_whether_the_plane_was_seen_lately_is_an_input(flights: Project, model: Path, tmp_path: Path) -> None:
    delay = "case day when 1 then null else -4 end::bigint as plane_last_arrival_delay"
    absent, average, same = score(flights, model, tmp_path, delay)
    assert average == pytest.approx(same)
    assert absent != pytest.approx(average)
