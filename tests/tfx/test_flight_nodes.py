"""Nodes of the flight delay pipeline on made-up features, and its baseline; both interpreters."""

from conftest import FLIGHT_PIPELINES, Project, WarmWorker, by_column
from flight_data import write_flight_features

from headrace.contracts.check_result import Severity, Status


def test_a_schema_violation_is_said_in_plain_words(flights: Project) -> None:
    bad = (
        "case when day = 12 and n = 3 then 1048.0 else 10.0 end as wind_speed_mph, "
        "case when n = 5 then 'ZZ' else carrier end as carrier, "
        "case when day < 12 then null else 0.2 end as dest_late_share_12h"
    )
    write_flight_features(flights.state_dir / "features" / "flight_features", "2010-01", bad)
    outcomes = flights.run_until("ExampleValidator", "bad", partition_key="2010-01", window=1)
    outcome = outcomes["ExampleValidator"]
    failed = by_column(outcome)
    assert set(failed) == {"wind_speed_mph", "carrier", "dest_late_share_12h"}
    assert "1048" in failed["wind_speed_mph"]
    assert "numbers from 0 to 200 in at least 80 % of rows" in failed["wind_speed_mph"]
    assert "ZZ" in failed["carrier"]
    assert "9E, AA" in failed["carrier"]
    assert all(check.partition_key == "2010-01" for check in outcome.checks)
    assert {check.severity for check in outcome.checks if check.status is Status.FAILED} == {Severity.CRITICAL}


def test_the_baseline_has_not_seen_the_evaluation_period(warm: WarmWorker) -> None:
    assert warm.run_script("choose_baseline", FLIGHT_PIPELINES) == {
        "for_march": ["february"],
        "for_january_again": ["january"],
        "for_december": [],
        "none_yet": [],
        "only_refused": [],
    }


def test_a_run_id_of_airflow_and_a_number_as_text_are_fine(flights: Project) -> None:
    write_flight_features(flights.state_dir / "features" / "flight_features", "2009-01")
    code, outcome = flights.run_node(
        "ParquetExampleGen", "asset_triggered__2013-01-01T00:00:00+00:00_x/y", partition_key="2009-01", window="1"
    )
    assert code == 0
    assert outcome is not None
    assert outcome.outputs["examples"][0]["properties"]["partitions"] == '["2009-01"]'


def test_an_unknown_or_missing_parameter_is_a_bad_request(flights: Project) -> None:
    assert flights.run_node("ParquetExampleGen", "none") == (3, None)
    assert "needs a value of its runtime parameter 'partition_key'" in flights.logs["ParquetExampleGen"]
    assert flights.run_node("ParquetExampleGen", "none", partition_key="2009-01", colour=1) == (3, None)
    assert flights.run_node("ParquetExampleGen", "none", partition_key="2009-01", window="many") == (3, None)
    assert flights.run_node("NoSuchNode", "none", partition_key="2009-01") == (3, None)
    assert "it has EvaluationSchema, ImportSchemaGen" in flights.logs["NoSuchNode"]


def test_a_node_whose_inputs_are_not_there_says_which(flights: Project) -> None:
    code, outcome = flights.run_node("StatisticsGen", "nothing before", partition_key="2009-01")
    assert code == 11
    assert outcome is not None
    assert outcome.state == "UNRESOLVED"
    assert "StatisticsGen" in (outcome.error or "")
