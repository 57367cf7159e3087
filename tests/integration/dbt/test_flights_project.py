"""The flights project on two real months: no leak, no wind that cannot be, no row lost."""

import json
import shutil
from pathlib import Path

import pytest

from headrace.contracts.check_result import Severity, Status
from headrace.dbt.manifest import load_manifest
from headrace.dbt.run_results import load_run_results
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.holds import hold_partition, release_partition
from headrace.warehouse.landing import land_partition, load_landing_tables
from headrace.warehouse.publishing import publish_partition

ROOT = Path(__file__).parents[3]

# A flight's trailing features once more, the slow way: every flight is compared with every other. Arrival is worked
# out from actual departure, time in the air and the clock at the gate; the model works it out from the timetable.
BRUTE_FORCE = """
with arrivals as (
    select
        flights.*,
        (arr_delay > 15)::int as late,
        time_hour + to_minutes(minute) as scheduled_at,
        time_hour + to_minutes(minute + dep_delay + air_time) as touched_down_at,
        (touched_down_at at time zone 'UTC')
            at time zone coalesce(airports.tzone, 'America/Puerto_Rico') as local_clock,
        touched_down_at + to_minutes(
            ((arr_time // 100) * 60 + arr_time % 100 - hour(local_clock) * 60 - minute(local_clock) + 2880) % 1440
        ) as arrived_at
    from raw.flights as flights
    left join raw.airports as airports on dest = faa
    where arr_delay is not null and flights.partition_key not in ({held})
),
asked as (
    select f.*, time_hour + to_minutes(minute) as scheduled_at,
        strftime(make_date(year::int, month::int, day::int), '%Y-%m-%d')
            || '-' || carrier || flight || '-' || origin as flight_key
    from raw.flights as f
),
sample as (select * from asked where hash(flight_key) % 400 = 7 and arr_delay is not null)
select
    sample.flight_key,
    count(*) filter (a.arrived_at >= sample.scheduled_at - interval 3 hours),
    avg(a.late) filter (a.arrived_at >= sample.scheduled_at - interval 3 hours),
    count(*) filter (a.arrived_at >= sample.scheduled_at - interval 4 hours and a.origin = sample.origin),
    avg(a.late) filter (a.arrived_at >= sample.scheduled_at - interval 4 hours and a.origin = sample.origin),
    avg(a.dep_delay) filter (a.arrived_at >= sample.scheduled_at - interval 4 hours and a.origin = sample.origin),
    count(*) filter (a.arrived_at >= sample.scheduled_at - interval 12 hours and a.dest = sample.dest),
    count(*) filter (a.arrived_at >= sample.scheduled_at - interval 24 hours and a.carrier = sample.carrier),
    avg(a.late) filter (a.arrived_at >= sample.scheduled_at - interval 24 hours and a.carrier = sample.carrier),
    count(*) filter (a.carrier = sample.carrier and a.origin = sample.origin and a.dest = sample.dest),
    max_by(a.arr_delay, a.arrived_at) filter (
        a.tailnum = sample.tailnum and a.arrived_at >= sample.scheduled_at - interval 3 days
    )
from sample
left join arrivals as a
    on a.arrived_at < sample.scheduled_at and a.arrived_at >= sample.scheduled_at - interval 14 days
group by sample.flight_key
order by sample.flight_key
"""
FEATURES = (
    "network_landed_3h, network_late_share_3h, origin_landed_4h, origin_late_share_4h, origin_departure_delay_4h, "
    "dest_landed_12h, carrier_landed_24h, carrier_late_share_24h, route_landed_14d, plane_last_arrival_delay"
)


def test_trailing_features_know_only_flights_that_had_landed(flights) -> None:
    with open_warehouse(flights.warehouse, read_only=True) as connection:
        expected = connection.execute(BRUTE_FORCE.format(held="''")).fetchall()
        found = connection.execute(
            f"select flight_key, {FEATURES} from marts.flight_features "
            "where hash(flight_key) % 400 = 7 order by flight_key"
        ).fetchall()
    assert len(found) > 100
    assert [row[0] for row in found] == [row[0] for row in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine[1:] == pytest.approx(theirs[1:], abs=1e-9), mine[0]


def test_one_row_a_flight_that_arrived(flights) -> None:
    with open_warehouse(flights.warehouse, read_only=True) as connection:
        found = connection.execute(
            "select partition_key, count(*), count(distinct flight_key), round(avg(is_late), 4), max(wind_speed_mph) "
            "from marts.flight_features group by all order by all"
        ).fetchall()
        expected = connection.execute(
            "select partition_key, count(*), round(avg((arr_delay > 15)::int), 4) from raw.flights "
            "where arr_delay is not null group by all order by all"
        ).fetchall()
        wind = connection.execute(
            "select wind_speed_mph from staging.stg_weather "
            "where origin = 'EWR' and observed_hour_utc = '2013-02-12 08:00:00'"
        ).fetchall()
        raw = connection.execute("select max(wind_speed) from raw.weather").fetchall()
    assert [(key, rows, late) for key, rows, _, late, _ in found] == expected
    assert all(rows == keys for _, rows, keys, _, _ in found)
    assert all(wind_speed < 60 for *_, wind_speed in found)
    assert (wind, raw) == ([(None,)], [(1048.36058,)])


def test_results_of_dbt_become_check_results(flights) -> None:
    manifest = load_manifest(flights.target / "manifest.json")
    run = load_run_results(flights.target / "run_results_1.json", manifest, "2013-02")
    assert run.summary.succeeded
    assert (run.summary.models_built, run.summary.tests_failed, run.summary.tests_warned) == (7, 0, 1)
    (warning,) = [check for check in run.checks if not check.passed]
    assert (warning.dataset, warning.column, warning.severity, warning.status) == (
        "stg_flights", "tailnum", Severity.WARNING, Status.FAILED,
    )  # fmt: skip
    assert warning.message.startswith("2013-02 stg_flights: 3,888 rows have a tailnum that stg_planes.tailnum lacks")
    assert {check.check for check in run.checks} >= {
        "only_flights_landed_before_scheduled_departure_count",
        "what_happens_after_departure_changes_no_feature_of_the_flight",
        "a_flight_gets_the_weather_of_the_hour_before",
        "arrivals_are_placed_in_time",
    }
    exposure = manifest.find("exposure", "flight_delay")
    assert exposure.owner == {"name": "ML platform", "email": "ml-platform@example.com"}
    assert exposure.upstream == ("model.flights.flight_features",)


def test_a_partition_that_lost_rows_is_rebuilt_and_published(flights, dbt, tmp_path: Path) -> None:
    """Re-landing February with fewer flights takes their features away, and leaves January's as they were."""
    warehouse, landing = flights.copy(tmp_path), tmp_path / "landing"
    shutil.copytree(flights.landing_dir, landing)
    before = {
        key: publish_partition(warehouse, "marts.flight_features", key, tmp_path / "out", order_by=["flight_key"])
        for key in ("2013-01", "2013-02")
    }
    tables = load_landing_tables(flights.target / "manifest.json")
    file = landing / "flights" / "2013-02.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], *lines[1001:]]))
    landed = land_partition(warehouse, landing, tables, "2013-02")
    assert [(table.rows, table.replaced_rows) for table in landed if table.name == "raw.flights"] == [(23_951, 24_951)]
    command = [
        "run",
        "--select",
        "int_flight_trailing",
        "flight_features",
        "--vars",
        json.dumps({"partition_key": "2013-02"}),
    ]
    done = dbt(ROOT / "dbt_project", landing, warehouse, tmp_path / "target", [], [command])
    assert done.returncode == 0, done.stderr
    after = {
        key: publish_partition(warehouse, "marts.flight_features", key, tmp_path / "out", order_by=["flight_key"])
        for key in before
    }
    assert after["2013-01"].sha256 == before["2013-01"].sha256
    assert not after["2013-01"].changed
    assert after["2013-02"].changed
    with open_warehouse(warehouse, read_only=True) as connection:
        (expected,) = connection.execute(
            "select count(*) from raw.flights where partition_key = '2013-02' and arr_delay is not null"
        ).fetchall()
    assert after["2013-02"].rows == expected[0] < before["2013-02"].rows


def test_a_held_partition_reaches_no_later_feature(flights, dbt, tmp_path: Path) -> None:
    """February built while January is held looks back on February alone; released, on January as before."""
    warehouse, held, target = flights.copy(tmp_path), ["raw.flights", "raw.weather"], tmp_path / "target"
    hold_partition(warehouse, held, "2013-01", "it's bad")
    models = ["stg_flights", "stg_weather", "int_flights", "int_flight_trailing", "flight_features"]
    command = ["build", "--exclude-resource-type", "test", "--select", *models]
    command += ["--vars", json.dumps({"partition_key": "2013-02"})]
    done = dbt(ROOT / "dbt_project", flights.landing_dir, warehouse, target, [], [command])
    assert done.returncode == 0, done.stderr
    run = load_run_results(target / "run_results_0.json", load_manifest(target / "manifest.json"))
    assert run.summary.succeeded, run.summary.describe()
    with open_warehouse(warehouse, read_only=True) as connection:
        expected = connection.execute(BRUTE_FORCE.format(held="'2013-01'")).fetchall()
        found = connection.execute(
            f"select flight_key, {FEATURES} from marts.flight_features "
            "where hash(flight_key) % 400 = 7 and partition_key = '2013-02' order by flight_key"
        ).fetchall()
        for table in ("stg_flights", "stg_weather"):
            seen = connection.execute(f"select distinct partition_key from staging.{table}").fetchall()
            assert seen == [("2013-02",)], table
    expected = [row for row in expected if row[0].startswith("2013-02")]
    assert len(found) > 40
    assert [row[0] for row in found] == [row[0] for row in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine[1:] == pytest.approx(theirs[1:], abs=1e-9), mine[0]

    # What dbt compiled, run once more: it asks for the holds when it is read.
    compiled = (target / "compiled/flights/models/intermediate/int_flight_trailing.sql").read_text()
    trailing = f"select count(*), sum(route_landed_14d) from ({compiled})"
    built = (
        "select count(*), sum(route_landed_14d) from intermediate.int_flight_trailing where partition_key = '2013-02'"
    )
    with open_warehouse(flights.warehouse, read_only=True) as connection:
        before = connection.execute(built).fetchall()
    with open_warehouse(warehouse, read_only=True) as connection:
        assert connection.execute(trailing).fetchall() == connection.execute(built).fetchall() != before
    release_partition(warehouse, held, "2013-01")
    with open_warehouse(warehouse, read_only=True) as connection:
        assert connection.execute(trailing).fetchall() == before
