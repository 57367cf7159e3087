"""Artifacts captured from a real run: one model is broken, one depends on it, one test of each severity fails."""

import json
from pathlib import Path

import pytest

from headrace.contracts.check_result import Severity, Status
from headrace.dbt.manifest import DbtManifest, load_manifest
from headrace.dbt.run_results import load_run_results, parse_run_results, require_success
from headrace.exceptions import ConfigurationError, DbtRunError

DATA = Path(__file__).parents[2] / "data" / "dbt"


@pytest.fixture(scope="module")
def manifest() -> DbtManifest:
    return load_manifest(DATA / "manifest.json")


def test_the_manifest_names_what_tests_are_about(manifest: DbtManifest) -> None:
    tests = {node.name: node for node in manifest.nodes.values() if node.resource_type == "test"}
    sex = tests["not_null_penguin_features_sex"]
    assert (sex.tests, sex.column, sex.test_name) == ("model.penguins.penguin_features", "sex", "not_null")
    assert manifest.find("model", "penguin_features").relation == "main.penguin_features"
    assert manifest.find("source", "field_notes_penguins").meta["landing"] == "penguins/{partition_key}.csv"
    exposure = manifest.find("exposure", "penguin_species")
    assert exposure.owner == {"name": "Palmer Station", "email": "penguins@example.com"}
    with pytest.raises(ConfigurationError, match=r"has no model 'peng'; there are: after, broken, penguin_features"):
        manifest.find("model", "peng")


def test_every_test_becomes_a_result(manifest: DbtManifest) -> None:
    run = load_run_results(DATA / "run_results.json", manifest, "2007")
    by_check = {(check.check, check.column): check for check in run.checks}
    failing = by_check["not_null", "sex"]
    assert (failing.severity, failing.status, failing.failed_rows) == (Severity.CRITICAL, Status.FAILED, 6)
    assert failing.message == "2007 penguin_features: 6 rows have no sex"
    warned = by_check["accepted_values", "sex"]
    assert (warned.severity, warned.status) == (Severity.WARNING, Status.FAILED)
    assert warned.message == "2007 penguin_features: 1 value of sex outside male"
    skipped = by_check["unique", "wingspan_mm"]
    assert (skipped.severity, skipped.status) == (Severity.CRITICAL, Status.ERROR)
    assert skipped.message == (
        "2007 after: unique_after_wingspan_mm could not be evaluated: "
        "it was skipped, because something before it failed"
    )
    assert by_check["not_null", "penguin_id"].passed


def test_the_summary_and_the_error(manifest: DbtManifest) -> None:
    run = load_run_results(DATA / "run_results.json", manifest)
    summary = run.summary
    assert (summary.models_built, summary.tests_failed, summary.tests_warned) == (1, 1, 1)
    assert set(summary.errors) == {"broken"}
    assert set(summary.skipped) == {"after", "unique_after_wingspan_mm"}
    with pytest.raises(DbtRunError) as caught:
        require_success(run)
    assert "wingspan_mm" in str(caught.value)
    assert "penguin_features: 6 rows have no sex" in str(caught.value)


def test_a_node_that_the_manifest_lacks_is_still_reported(manifest: DbtManifest) -> None:
    document = json.loads((DATA / "run_results.json").read_text())
    stray = {"unique_id": "test.other.not_null_x.123", "status": "fail", "failures": 2, "message": "Got 2 results"}
    run = parse_run_results({**document, "results": [stray]}, manifest)
    assert run.checks[0].status is Status.FAILED
    assert run.checks[0].message == "not_null_x.123: 2 rows fail not_null_x.123"


def test_no_artifacts(manifest: DbtManifest, tmp_path: Path) -> None:
    with pytest.raises(DbtRunError, match="ended before it had any result"):
        load_run_results(tmp_path / "run_results.json", manifest)
    with pytest.raises(ConfigurationError, match="run `dbt parse`"):
        load_manifest(tmp_path / "manifest.json")
    for text in ("{", "[]", "{}"):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ConfigurationError, match="is not a dbt manifest"):
            load_manifest(tmp_path / "x.json")
        with pytest.raises(DbtRunError, match=r"is not dbt's run_results\.json"):
            load_run_results(tmp_path / "x.json", manifest)
