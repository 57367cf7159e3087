"""``headrace quarantine`` on rows that a gate has really set aside."""

import json

import pytest

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.ledger.database import open_ledger
from headrace.ledger.quarantine import QuarantinedSet, record_quarantine
from headrace.ledger.recording import record_results
from headrace.ledger.views import TaskTry
from headrace.settings import Settings

from .conftest import Run

GATE = TaskTry("flights_dataops", "manual__2013-02", "check_raw")
ROWS = [{"row_id": f"{hour:02}", "row": {"origin": "EWR", "hour": hour, "wind_speed": 1048.36}} for hour in (8, 9)]
WIND = CheckResult(
    tool="gx",
    dataset="raw_weather",
    partition_key="2013-02",
    check="expect_column_values_to_be_between",
    column="wind_speed",
    severity=Severity.CRITICAL,
    status=Status.FAILED,
    message="2 of 2,010 rows have wind_speed above 200 mph",
    failed_rows=2,
    total_rows=2010,
    quarantined_rows=2,
    sample=tuple(row["row"] for row in ROWS),
    check_id="wind",
)


@pytest.fixture(autouse=True)
def held(project: Settings) -> None:
    with open_ledger(project.ledger_path) as ledger:
        record_results(ledger, GATE, [WIND])
        record_quarantine(
            ledger,
            GATE,
            [QuarantinedSet("raw_weather", "raw.weather", "2013-02", WIND, 2, 2010, "above 200 mph", ROWS)],
        )


def test_what_is_set_aside_is_listed_and_shown_row_by_row(type_in: Run) -> None:
    listed = type_in("quarantine", "list")
    assert listed.returncode == 0, listed.stderr
    assert "2 of 2,010" in listed.stdout
    shown = type_in("quarantine", "show", "1")
    assert shown.returncode == 0, shown.stderr
    assert "rows (of 2)" in shown.stdout
    assert "EWR" in shown.stdout
    document = json.loads(type_in("quarantine", "show", "1", "--json").stdout)
    assert [(row["row_id"], row["state"]) for row in document["sample"]] == [("08", "held"), ("09", "held")]


def test_a_row_is_released_and_what_is_left_to_do_is_said(type_in: Run) -> None:
    done = type_in("quarantine", "release", "1", "--row", "08", "--reason", "the airport confirms it", "--json")
    assert done.returncode == 0, done.stderr
    (rerun,) = json.loads(done.stdout)["reruns"]
    assert rerun == {
        "dag_id": "flights_dataops", "run_id": "manual__2013-02", "task_id": "check_raw", "rerun": "left"
    }  # fmt: skip
    assert "was not run again" in " ".join(done.stderr.split())
    document = json.loads(type_in("quarantine", "show", "1", "--json").stdout)
    assert [(row["row_id"], row["state"]) for row in document["sample"]] == [("08", "releasing"), ("09", "held")]


def test_a_release_without_a_reason_or_of_no_such_row_is_refused(type_in: Run) -> None:
    assert type_in("quarantine", "release", "1").returncode == 2
    assert type_in("quarantine", "release", "1", "--row", "77", "--reason", "x").returncode == 1
    document = json.loads(type_in("quarantine", "show", "1", "--json").stdout)
    assert {row["state"] for row in document["sample"]} == {"held"}
