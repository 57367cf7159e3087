"""``headrace incidents`` and ``headrace quarantine``, typed as their user types them, on a real ledger."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.ledger.database import open_ledger
from headrace.ledger.recording import record_results
from headrace.ledger.views import TaskTry
from headrace.settings import Settings, load_settings

HEADRACE = Path(sys.executable).with_name("headrace")
GATE = TaskTry("flights_dataops", "manual__2013-02", "check_raw")
WIND = CheckResult(
    tool="gx",
    dataset="raw_weather",
    partition_key="2013-02",
    check="expect_column_values_to_be_between",
    column="wind_speed",
    severity=Severity.CRITICAL,
    status=Status.FAILED,
    message="2013-02 raw_weather: 1 of 2,010 rows has wind_speed above 200 mph [red](1,048.36 at EWR)",
    observed=1,
    expected={"min_value": 0, "max_value": 200},
    failed_rows=1,
    total_rows=2010,
    sample=({"origin": "EWR", "wind_speed": 1048.36058},),
    check_id="wind",
    meta={"owner": "data-platform@example.com"},
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "dags").mkdir()
    settings = load_settings(tmp_path)
    with open_ledger(settings.ledger_path) as ledger:
        record_results(ledger, GATE, [WIND, replace(WIND, check_id="gust", column="wind_gust", message="gusts")])
    return settings


def run(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "HEADRACE"))}
    return subprocess.run(
        [HEADRACE, *arguments], cwd=settings.project_dir, env=clean, capture_output=True, text=True, timeout=120
    )


def run_json(settings: Settings, *arguments: str) -> Any:
    done = run(settings, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def find_wind(settings: Settings) -> int:
    rows = run_json(settings, "incidents", "list", "--text", "wind_speed")["rows"]
    assert len(rows) == 1
    return int(rows[0]["id"])


def test_the_list_says_each_incident_in_a_sentence_and_means_brackets_literally(settings: Settings) -> None:
    done = run(settings, "incidents", "list")
    assert done.returncode == 0, done.stderr
    flat = " ".join(done.stdout.replace("│", " ").split())
    assert "wind_speed above 200 mph [red](1,048.36 at EWR)" in flat or "[red](1,048.36" in flat
    assert "data-platform@example.com" in flat
    assert "2 of 2" in flat


def test_a_ledger_that_was_moved_away_is_not_replaced_by_an_empty_one(settings: Settings) -> None:
    away = settings.ledger_path.parent.rename(settings.state_dir / "away")
    done = run(settings, "incidents", "list")
    assert done.returncode == 1, done.stdout
    assert f"{settings.ledger_path}) does not exist" in done.stderr.replace("\n", " ")
    assert not settings.ledger_path.parent.exists()
    away.rename(settings.ledger_path.parent)
    assert len(run_json(settings, "incidents", "list")["rows"]) == 2


def test_the_list_names_the_owner_and_to_whom_it_is_assigned(settings: Settings) -> None:
    assert run(settings, "incidents", "assign", str(find_wind(settings)), "--to", "anna").returncode == 0
    shown = run(settings, "incidents", "list").stdout
    assert shown.count("data-platform") == 2
    assert shown.count("→ anna") == 1


def test_filters_that_match_nothing_say_what_there_is(settings: Settings) -> None:
    done = run(settings, "incidents", "list", "--severity", "info")
    assert done.returncode == 0
    assert "No such incident" in done.stdout


def test_acknowledging_is_recorded_under_the_users_name(settings: Settings) -> None:
    incident = find_wind(settings)
    assert run_json(settings, "incidents", "ack", str(incident), "--comment", "on it")[0]["done"]
    detail = run_json(settings, "incidents", "show", str(incident))
    assert detail["row"]["state"] == "acknowledged"
    assert any("(command line)" in event["actor"] for event in detail["events"])
    assert "failing rows" in run(settings, "incidents", "show", str(incident)).stdout


def test_an_unknown_incident_fails_and_the_others_are_done(settings: Settings) -> None:
    incident = find_wind(settings)
    done = run(settings, "incidents", "ack", "999999", str(incident), "--json")
    assert done.returncode == 1
    assert [each["done"] for each in json.loads(done.stdout)] == [False, True]
    assert "999999" in done.stderr


def test_snoozing_takes_a_span_or_a_time_and_nothing_else(settings: Settings) -> None:
    incident = str(find_wind(settings))
    assert run(settings, "incidents", "snooze", incident).returncode == 2
    wrong = run(settings, "incidents", "snooze", incident, "--for", "4 hours")
    assert wrong.returncode == 2
    assert "30m, 4h, 2d or 1w" in wrong.stderr
    assert run(settings, "incidents", "snooze", incident, "--for", "4h").returncode == 0
    assert find_state(settings, incident) == "snoozed"


def find_state(settings: Settings, incident: str) -> str:
    return str(run_json(settings, "incidents", "show", incident)["row"]["state"])


def test_a_waiver_without_an_airflow_says_what_is_left_to_do(settings: Settings) -> None:
    incident = str(find_wind(settings))
    assert run(settings, "incidents", "waive", incident).returncode == 2, "a reason is needed"
    done = run(settings, "incidents", "waive", incident, "--reason", "sensor swapped")
    assert done.returncode == 0, done.stderr
    assert "check_raw of flights_dataops manual__2013-02 was not run again" in " ".join(done.stdout.split())
    assert find_state(settings, incident) == "resolved"


def test_nothing_is_quarantined_and_that_is_said(settings: Settings) -> None:
    assert "Nothing is set aside" in run(settings, "quarantine", "list").stdout
    missing = run(settings, "quarantine", "show", "7")
    assert missing.returncode == 1
    assert "7" in missing.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("incidents", "list", "--state", "opne"),
        ("incidents", "list", "--severity", "fatal"),
        ("incidents", "list", "--sort", "owner"),
        ("incidents", "list", "--limit", "201"),
        ("incidents", "list", "--cursor", "garbage"),
        ("quarantine", "list", "--state", "kept"),
    ],
)
def test_a_filter_that_cannot_be_is_a_usage_error(settings: Settings, wrong: tuple[str, ...]) -> None:
    done = run(settings, *wrong)
    assert done.returncode == 2, done.stdout
    assert wrong[2] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_ends_where_the_next_one_begins(settings: Settings) -> None:
    first = run_json(settings, "incidents", "list", "--limit", "1")
    second = run_json(settings, "incidents", "list", "--limit", "1", "--cursor", first["next"])
    assert {page["rows"][0]["column"] for page in (first, second)} == {"wind_speed", "wind_gust"}
    assert second["next"] is None


def test_a_snooze_is_ended(settings: Settings) -> None:
    incident = str(find_wind(settings))
    assert run(settings, "incidents", "unsnooze", incident).returncode == 1, "it is not snoozed"
    assert run(settings, "incidents", "snooze", incident, "--for", "4h").returncode == 0
    assert run(settings, "incidents", "unsnooze", incident).returncode == 0
    assert find_state(settings, incident) == "open"
