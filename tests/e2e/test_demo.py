"""What a new user does first, and what they do when they have seen enough."""

import json
import signal
import time
from pathlib import Path

import pytest
from tests.e2e.conftest import ask_headrace, left_behind, run_headrace, start_headrace, wait_for_line

from headrace.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.tfx]

WIND = "2013-02 raw_weather: 1 of 2,010 rows has wind_speed above 200 mph (1,048.36 at EWR, 12 Feb 08:00Z)"


def test_ctrl_c_leaves_no_process_behind(project: Path, settings: Settings, tmp_path: Path) -> None:
    output = tmp_path / "output"
    demo = start_headrace(project, "demo", "--partition", "2013-02", output=output)
    wait_for_line(output, r"ok .*check_raw", demo, 300)
    demo.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert demo.wait(60) == 130
    assert time.monotonic() - started < 30
    assert left_behind(settings) == []


@pytest.mark.timeout(1500)
def test_after_an_interrupted_demo_another_goes_the_whole_way(project: Path, settings: Settings) -> None:
    done = run_headrace(project, "demo", "--partition", "2013-02", "--json", timeout=1400)
    assert done.returncode == 0, done.stderr[-6000:]
    document = json.loads(done.stdout)
    assert document["ok"]
    (report,) = document["partitions"]

    assert report["dbt"]["model"] == {"success": 7}
    assert set(report["dbt"]["test"]) <= {"pass", "warn"}
    wind = [each["message"] for each in report["failing"] if "wind_speed" in each["message"]]
    assert len(wind) == 1
    assert "1,048.36" in wind[0]
    assert "at EWR, 12 Feb 08:00Z" in wind[0]
    assert report["model"]["blessed"]
    assert {part["slice"].popitem()[0] for part in report["model"]["metrics"]["slices"]} == {"carrier", "origin"}
    assert (Path(report["model"]["pushed_to"]) / "saved_model.pb").is_file()
    assert len(report["scored"]) == 5
    assert left_behind(settings) == []


def test_the_impossible_wind_is_set_aside_and_waits_in_the_inbox(project: Path, settings: Settings) -> None:
    import duckdb

    from headrace.dbt.profiles import load_warehouse_path

    (incident,) = [row for row in ask_headrace(project, "incidents", "list")["rows"] if row["column"] == "wind_speed"]
    assert (incident["title"], incident["state"], incident["severity"]) == (WIND, "open", "warning")
    (aside,) = ask_headrace(project, "quarantine", "list")
    assert (aside["dataset"], aside["partition_key"], aside["rows"]) == ("raw_weather", "2013-02", 1)
    assert aside["incident_id"] == incident["id"]
    (row,) = ask_headrace(project, "quarantine", "show", str(aside["id"]))["sample"]
    assert (row["row"]["origin"], row["row"]["wind_speed"]) == ("EWR", 1048.36058)

    at = "partition_key = '2013-02' and origin = 'EWR' and time_hour = '2013-02-12 08:00'"
    with duckdb.connect(str(load_warehouse_path(settings.dbt_project_dir)), read_only=True) as warehouse:
        month = warehouse.execute(
            f"select count(*), count(*) filter ({at}) from raw.weather where partition_key = '2013-02'"
        ).fetchall()
        mirror = (
            """select count(*), max(wind_speed) from headrace_quarantine."raw.weather" where _state = 'held' and """
        )
        held = warehouse.execute(mirror + at).fetchall()
    assert month == [(2009, 0)]
    assert held == [(1, 1048.36058)]


def test_the_impossible_wind_is_not_in_the_published_features(settings: Settings) -> None:
    import duckdb

    file = settings.features_dir / "flight_features" / "2013-02.parquet"
    ((rows, highest),) = duckdb.sql(f"select count(*), max(wind_speed_mph) from read_parquet('{file}')").fetchall()
    assert rows > 20_000
    assert 20 < highest < 200


def test_the_month_is_scored_by_the_champion_and_the_table_says_so(project: Path, settings: Settings) -> None:
    """A DAG of its own, under a scheduler; what it read is on the record."""
    import duckdb

    from headrace.dbt.profiles import load_warehouse_path

    done = run_headrace(project, "run", "flight_delay_scoring", "--partition", "2013-02")
    assert done.returncode == 0, done.stderr[-3000:]
    with duckdb.connect(str(load_warehouse_path(settings.dbt_project_dir)), read_only=True) as warehouse:
        ((scored, keys, low, high, versions),) = warehouse.execute(
            """select count(*), count(distinct flight_key), min(probability), max(probability), list(distinct
            model_version) from predictions.flight_delay where partition_key = '2013-02'"""
        ).fetchall()
        ((published,),) = warehouse.execute(
            "select count(*) from marts.flight_features where partition_key = '2013-02'"
        ).fetchall()
    assert (scored, keys) == (published, published)
    (version,) = versions
    assert 0 <= low < high <= 1
    lineage = ask_headrace(project, "lineage", "predictions_flight_delay@2013-02", "--upstream")
    found = {(each["dataset"], each["partition_key"]) for each in lineage["versions"]}
    made_of = {("raw_weather", "2013-02"), ("flight_features.published", "2013-02")}
    assert {*made_of, ("flight_delay.versions", str(version))} <= found


def test_the_month_is_found_bad_and_everything_that_saw_it_is_named(project: Path) -> None:
    """No version has answered that saw another month: the champion goes on, and that is said."""
    reached = ask_headrace(project, "impact", "--partition", "raw_weather@2013-02", allowed=(0, 1))
    assert reached["models"][0]["aliases"] == ["champion"]
    seen = sorted(f"flight_delay@{hit['number']}" for hit in reached["models"])  # the interrupted demo's too
    assert "flight_delay_scoring" in {run["dag_id"] for run in reached["dag_runs"]}
    reason = "the anemometer at EWR was broken all month"
    done = run_headrace(project, "quarantine", "partition", "raw_weather@2013-02", "--reason", reason, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["versions"], document["rolled_back"]) == (1, seen, [])
    assert "cannot be rolled back: no version has answered before it" in document["still_answering"][0]
    scored = run_headrace(project, "run", "flight_delay_scoring", "--partition", "2013-02")
    assert scored.returncode == 1
    assert reason in " ".join((scored.stdout + scored.stderr).split())
