"""Drift, skew and statistics, measured by the real TFDV on made-up flights; both interpreters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import FLIGHT_PIPELINES, HERE, Project, WarmWorker, add_pipeline, make_project
from flight_data import write_flight_features

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.node_run import NodeOutcome
from headrace.contracts.statistics import MAX_FEATURES, Statistics, load_statistics

DRIFTED = (
    "case when n < 12 then 'WN' else carrier end as carrier, "
    "case when n % 3 = 0 then null else 40.0 + n end as wind_speed_mph"
)


@pytest.fixture(scope="module")
def drift(warm: WarmWorker, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(warm, tmp_path_factory.mktemp("drift"), FLIGHT_PIPELINES, "drift_watch")
    add_pipeline(project, HERE / "pipelines" / "drift_watch")
    code, said = project.compile()
    assert code == 0, said
    return project


@pytest.fixture(scope="module")
def months(drift: Project) -> dict[str, dict[str, NodeOutcome]]:
    """The outcomes of three months: January, February which has drifted, and March which is like February."""
    outcomes = {}
    for month, days, changes in (("2010-01", 31, ""), ("2010-02", 28, DRIFTED), ("2010-03", 31, DRIFTED)):
        write_flight_features(drift.state_dir / "features" / "flight_features", month, changes, days)
        outcomes[month] = drift.run_until("DistributionValidator", month, partition_key=month)
    return outcomes


def by_check(outcome: NodeOutcome) -> Mapping[tuple[str, str | None], CheckResult]:
    found = {(check.check, check.column): check for check in outcome.checks}
    assert len(found) == len(outcome.checks), "no two results are of one check"
    return found


def test_without_a_baseline_nothing_is_compared_and_that_is_said(months: dict[str, dict[str, NodeOutcome]]) -> None:
    checks = by_check(months["2010-01"]["DistributionValidator"])
    assert set(checks) == {("drift_train", None), ("drift_eval", None)}
    assert all(check.passed for check in checks.values())
    assert "no baseline statistics yet" in checks["drift_train", None].message


def test_a_feature_that_drifted_is_a_failed_check_with_its_distance(months: dict[str, dict[str, NodeOutcome]]) -> None:
    checks = by_check(months["2010-02"]["DistributionValidator"])
    features = {None, "carrier", "origin", "wind_speed_mph"}
    assert set(checks) == {(f"drift_{split}", feature) for split in ("train", "eval") for feature in features}
    assert {column for (_, column), check in checks.items() if not check.passed} == {"carrier", "wind_speed_mph"}
    carrier = checks["drift_train", "carrier"]
    assert carrier.status is Status.FAILED
    assert carrier.severity is Severity.CRITICAL
    assert carrier.partition_key == "2010-02"
    assert {check.check_id for check in checks.values()} == {"DistributionValidator"}
    assert carrier.observed == pytest.approx(0.6, abs=0.01)  # 12 of 20 flights a day are now of WN
    assert carrier.expected == {"max_value": 0.1}
    assert carrier.message == (
        "Feature carrier of the train examples is far from the baseline: its L-infinity distance is 0.6, at most 0.1 "
        "is allowed; the value that differs most is WN."
    )
    assert checks["drift_train", "wind_speed_mph"].meta == {"unit": "Jensen-Shannon divergence"}
    origin = checks["drift_train", "origin"]
    assert origin.passed
    assert 0 <= origin.observed <= 0.1


def test_a_feature_that_drifts_no_more_is_seen_to_pass(months: dict[str, dict[str, NodeOutcome]]) -> None:
    before = by_check(months["2010-02"]["DistributionValidator"])
    after = by_check(months["2010-03"]["DistributionValidator"])
    assert set(after) == set(before)
    assert all(check.passed for check in after.values())
    assert after["drift_train", "carrier"].observed < 0.1


def test_a_pipeline_says_who_to_tell_and_how_bad_it_is(drift: Project) -> None:
    metadata = drift.load_compiled().metadata
    assert metadata["runbook"] == "https://runbooks.example.com/drift"
    assert metadata["tier"] == "2"
    assert metadata["severity"] == {"drift": {"carrier": "warning"}}


def test_every_node_says_the_partitions_of_its_examples(months: dict[str, dict[str, NodeOutcome]]) -> None:
    outcomes = months["2010-02"]
    assert outcomes["ParquetExampleGen"].partitions == ("2010-02",)
    assert outcomes["StatisticsGen"].partitions == ("2010-02",)
    assert outcomes["baseline"].partitions == ()
    assert outcomes["DistributionValidator"].partitions == ()


def statistics_of(project: Project, node: str, run_id: str) -> Statistics | None:
    return load_statistics(project.state_dir / "jobs" / run_id / node)


def test_statistics_are_left_for_charts(drift: Project, months: dict[str, dict[str, NodeOutcome]]) -> None:
    assert statistics_of(drift, "ParquetExampleGen", "2010-02") is None
    statistics = statistics_of(drift, "StatisticsGen", "2010-02")
    assert statistics is not None
    assert set(statistics) == {"train", "eval"}
    train = statistics["train"]
    assert set(train) == {"carrier", "origin", "dest", "wind_speed_mph", "distance_miles"}
    assert train["carrier"] == {
        "type": "string", "count": 400, "missing": 0, "nan": 0, "mean": None, "std": None, "min": None, "max": None,
        "median": None, "zeros": None, "histogram": [], "unique": 4,
        "top": [["WN", 240.0], ["UA", 60.0], ["B6", 60.0], ["DL", 40.0]],
    }  # fmt: skip
    wind = train["wind_speed_mph"]
    assert (wind["type"], wind["count"], wind["missing"], wind["zeros"]) == ("float", 260, 140, 0)
    assert (wind["min"], wind["max"]) == (41.0, 59.0)
    assert wind["min"] < wind["median"] < wind["max"]
    assert wind["mean"] == pytest.approx(50, abs=0.5)
    assert wind["histogram"][0][0] == 41.0
    assert wind["histogram"][-1][1] == 59.0
    assert sum(count for _, _, count in wind["histogram"]) == pytest.approx(260)
    assert train["distance_miles"]["type"] == "int"
    assert "histogram" in train["distance_miles"]


def test_a_cached_node_leaves_its_statistics_too(drift: Project, months: dict[str, dict[str, NodeOutcome]]) -> None:
    _, outcome = drift.run_node("ParquetExampleGen", "again", partition_key="2010-02")
    assert outcome is not None
    assert outcome.partitions == ("2010-02",)
    drift.run_node("baseline", "again", partition_key="2010-02")
    _, outcome = drift.run_node("StatisticsGen", "again", partition_key="2010-02")
    assert outcome is not None
    assert outcome.state == "CACHED"
    assert statistics_of(drift, "StatisticsGen", "again") == statistics_of(drift, "StatisticsGen", "2010-02")


@pytest.fixture(scope="module")
def compared(drift: Project, months: dict[str, dict[str, NodeOutcome]], tmp_path_factory: Any) -> dict[str, Any]:
    """What is reported of schemas with comparators, by case; see the script."""
    uris = [months[month]["StatisticsGen"].outputs["statistics"][0]["uri"] for month in ("2010-01", "2010-02")]
    folder: Path = tmp_path_factory.mktemp("compared")
    cases = drift.warm.run_script("validate_with_comparators", folder, *uris)
    return {
        name: {(result["check"], result["column"]): CheckResult.from_json(result) for result in results}
        for name, results in cases.items()
    }


def test_a_schemas_own_comparators_tell_drift_from_skew(compared: dict[str, Any]) -> None:
    checks = compared["drift and skew"]
    kinds = {(check, column): result.status.value for (check, column), result in checks.items()}
    assert kinds == {
        ("schema_train", None): "passed",
        ("schema_train", "carrier"): "passed",
        ("schema_train", "dest"): "passed",
        ("schema_train", "distance_miles"): "passed",
        ("schema_train", "origin"): "passed",
        ("schema_train", "wind_speed_mph"): "passed",
        ("drift_train", None): "failed",  # the number of examples
        ("drift_train", "carrier"): "failed",
        ("drift_train", "origin"): "passed",
        ("skew_train", None): "passed",
        ("skew_train", "carrier"): "failed",
        ("skew_train", "wind_speed_mph"): "failed",
    }
    assert "versus the previous span" in checks["drift_train", None].message
    assert checks["drift_train", "carrier"].expected == {"max_value": 0.01}
    assert checks["skew_train", "carrier"].expected == {"max_value": 0.02}
    assert checks["skew_train", "carrier"].observed == pytest.approx(0.6, abs=0.01)
    assert "far from the examples of serving" in checks["skew_train", "carrier"].message


def test_a_worse_distance_than_another_metrics_is_the_one_that_is_told(compared: dict[str, Any]) -> None:
    check = compared["two metrics"]["drift_train", "wind_speed_mph"]
    assert not check.passed
    assert check.meta == {"unit": "Jensen-Shannon divergence"}
    assert check.expected == {"max_value": pytest.approx(0.001)}


def test_a_feature_without_a_baseline_of_its_own_fails(compared: dict[str, Any]) -> None:
    check = compared["baseline lacks carrier"]["drift_train", "carrier"]
    assert not check.passed
    assert check.observed == ["previous data is missing"]
    assert check.message == (
        "Feature carrier of the train examples could not be compared with the baseline: previous data is missing."
    )


def test_examples_against_their_schema(compared: dict[str, Any]) -> None:
    checks = compared["against the schema"]
    assert {key for key, result in checks.items() if not result.passed} == {
        ("schema_train", None),
        ("schema_train", "carrier"),
        ("schema_train", "wind_speed_mph"),
    }
    assert checks["schema_train", None].message == "The train examples: the schema does not know dest, distance_miles."
    assert checks["schema_train", "carrier"].severity is Severity.WARNING, "as the validation options say"
    assert checks["schema_train", "carrier"].expected == "text that is one of UA, B6, DL"
    assert checks["schema_train", "carrier"].observed == ["Examples contain values missing from the schema: WN (~60%)"]
    assert checks["schema_train", "wind_speed_mph"].severity is Severity.CRITICAL
    assert checks["schema_train", "origin"].passed


def test_no_examples_are_a_failure_and_not_a_pass_of_every_feature(compared: dict[str, Any]) -> None:
    [(key, check)] = compared["no examples"].items()
    assert key == ("schema_train", None)
    assert check.status is Status.FAILED
    assert check.severity is Severity.CRITICAL
    assert "there are no examples" in check.message


def test_a_refusal_without_an_anomaly_is_a_failure(compared: dict[str, Any]) -> None:
    assert [key for key, check in compared["refused"].items() if not check.passed] == [("validation", "train")]


def test_statistics_are_bounded_and_finite(drift: Project, tmp_path: Path) -> None:
    drift.warm.run_script("summarize_awkward_statistics", tmp_path)
    statistics = load_statistics(tmp_path)
    assert statistics is not None
    assert len(statistics["train"]) == MAX_FEATURES
    feature = statistics["train"]["f0"]
    assert feature["mean"] is None
    assert feature["max"] is None
    assert feature["nan"] == 3
    assert len(feature["histogram"]) == 20
    assert sum(count for _, _, count in feature["histogram"]) == 1000
    assert feature["histogram"][0][0] == 0.0, "the infinite bound became the finite one"
    text = statistics["train"]["f1"]
    assert len(text["top"]) == 20
    assert text["top"][0] == ["\ufffd" + 98 * "x" + "…", 50.0]
    assert statistics["train"]["f2"]["mean"] is None, "nobody measured a feature without values"
