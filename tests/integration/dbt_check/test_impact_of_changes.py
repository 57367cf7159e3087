"""``headrace impact --dbt-base`` and ``--partition``, on the example project in a git checkout of its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from headrace.ledger import schema
from headrace.ledger.database import open_ledger
from headrace.ledger.training import record_training

FEATURES = "dbt_project/models/marts/flight_features.sql"


@pytest.fixture
def with_champion(checkout: Any) -> Iterator[Any]:
    """The checkout, with a ledger in which a model that uses the distance answers."""
    file = Path(checkout.folder) / ".headrace" / "ledger" / "ledger.sqlite"
    with open_ledger(f"sqlite:///{file}") as ledger:
        record_training(
            ledger, "flight_delay", "flights_training", "r1", "2013-02",
            trained_on={"flight_features": ["2013-02"]}, blessed=True, pushed_to="x",
        )  # fmt: skip
        with ledger.begin() as connection:
            (row,) = connection.execute(schema.trained_model.select()).fetchall()
            version = {
                "model": "flight_delay", "number": 7, "trained_model_id": row.id, "digest": "d", "state": "candidate",
                "code": {}, "signature": {}, "features": ["distance_miles", "wind_gust_mph"], "metrics": {},
                "verdicts": [], "at": row.at, "pushed_version": "1",
            }  # fmt: skip
            made = connection.execute(insert(schema.model_version).values(version).returning(schema.model_version.c.id))
            named = {"model": "flight_delay", "alias": "champion", "model_version_id": made.scalar_one(), "at": row.at, "actor": "a", "reason": "r"}  # fmt: skip  # noqa: E501
            connection.execute(insert(schema.model_alias).values(named))
            connection.execute(insert(schema.dataset).values(name="flight_features", kind="model", project="p"))
    yield checkout
    file.unlink()


def test_a_removed_feature_names_the_version_that_uses_it(with_champion: Any) -> None:
    with_champion.edit(FEATURES, "    flights.distance_miles,\n", "")
    done = with_champion.run("impact", "--dbt-base", "HEAD", "--json")
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert [(each["name"], each["change"], each["removed"]) for each in said["nodes"]] == [
        ("flight_features", "modified", ["distance_miles"])
    ]
    (model,) = said["models"]
    assert (model["name"], model["serving"], model["removed"]) == ("flight_delay@7", True, ["distance_miles"])
    assert said["dags"] == ["flights_training"]
    assert said["exposures"] == [{"name": "flight_delay", "type": "ml", "owner": "ML platform", "trained": True}]
    assert {"dataset": "flight_features", "check": "flight_features"} in said["checks"]
    file = Path(with_champion.folder) / ".headrace" / "comment.md"
    told = with_champion.run("impact", "--dbt-base", "HEAD", "--markdown", "--fail-on", "never", "--out", str(file))
    assert told.returncode == 0
    assert "**flight_delay@7 (champion) uses what this removes: `distance_miles`**" in told.stdout
    assert file.read_text() == told.stdout


def test_a_comment_touches_no_data(with_champion: Any) -> None:
    with_champion.edit(FEATURES, "select\n    flights.flight_key", "select -- words\n    flights.flight_key")
    done = with_champion.run("impact", "--dbt-base", "HEAD", "--fail-on", "trained", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    said = json.loads(done.stdout)
    assert ([each["name"] for each in said["nodes"]], said["models"]) == (["flight_features"], [])


def test_without_a_ledger_it_says_that_models_are_not_known(checkout: Any) -> None:
    checkout.edit("dbt_project/models/staging/stg_weather.sql", "fastest_wind_mph = 200", "fastest_wind_mph = 100")
    done = checkout.run("impact", "--dbt-base", "HEAD", "--markdown")
    assert done.returncode == 0, done.stderr
    assert "| `stg_weather` | modified | changed `wind_gust_mph`, `wind_speed_mph` |" in done.stdout
    assert "| `flight_features` | downstream | changed `wind_gust_mph`, `wind_speed_mph` |" in done.stdout
    assert "Models: not known here" in done.stdout


def test_a_partition(with_champion: Any) -> None:
    done = with_champion.run("impact", "--partition", "flight_features@2013-02")
    assert done.returncode == 1, done.stderr
    assert "answering now, trained on it: flight_delay@7" in done.stdout
    other = with_champion.run("impact", "--partition", "flight_features@2013-01", "--json")
    assert (other.returncode, other.stdout) == (2, "")
    assert "No content of flight_features@2013-01 is known; recorded are 2013-02" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name one of --partition and --dbt-base"),
        (["--dbt-base", "nowhere"], "git knows no revision 'nowhere'"),
        (["--partition", "flight_featurs@2013-02"], "did you mean flight_features?"),
    ],
)
def test_what_cannot_be_meant(with_champion: Any, arguments: list[str], said: str) -> None:
    done = with_champion.run("impact", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
