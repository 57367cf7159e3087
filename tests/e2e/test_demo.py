"""What a new user does first, and what they do when they have seen enough."""

import json
import signal
import time
from pathlib import Path

import pytest
from tests.e2e.conftest import left_behind, run_headrace, start_headrace, wait_for_line

from headrace.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.tfx]


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


def test_the_impossible_wind_is_not_in_the_published_features(settings: Settings) -> None:
    import duckdb

    file = settings.features_dir / "flight_features" / "2013-02.parquet"
    ((rows, highest),) = duckdb.sql(f"select count(*), max(wind_speed_mph) from read_parquet('{file}')").fetchall()
    assert rows > 20_000
    assert 20 < highest < 200
