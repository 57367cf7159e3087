"""Artifacts captured from a real run: one model is broken, one depends on it, one test of each severity fails."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.contracts.check_result import Severity, Status
from headrace.dbt.manifest import DbtManifest, load_manifest
from headrace.dbt.run_results import load_run_results, parse_run_results, require_success
from headrace.dbt.waived_tests import is_of_run, list_stopping_tests, select_tests
from headrace.exceptions import ConfigurationError, DbtRunError
from headrace.quality.check_digest import digest_check

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


def with_meta(manifest: DbtManifest, unique_id: str, **meta: object) -> DbtManifest:
    return replace(manifest, nodes={**manifest.nodes, unique_id: replace(manifest.nodes[unique_id], meta=meta)})


@pytest.mark.parametrize(
    ("test", "wanted", "severity", "remark"),
    [
        ("accepted_values_penguin_features_sex__male.78e0f986a3", "critical", Severity.CRITICAL, ""),
        ("accepted_values_penguin_features_sex__male.78e0f986a3", "info", Severity.INFO, ""),
        ("not_null_penguin_features_sex.3bc20029a3", "warning", Severity.CRITICAL, "set dbt's own `severity: warn`"),
        ("not_null_penguin_features_sex.3bc20029a3", "loud", Severity.CRITICAL, "'loud' is none: write info"),
        ("unique_penguin_features_penguin_id.5b2e4b5a17", "warning", Severity.CRITICAL, "holds"),
    ],
)
def test_meta_says_the_severity_unless_dbt_has_stopped_on_it(
    manifest: DbtManifest, test: str, wanted: str, severity: Severity, remark: str
) -> None:
    unique_id = f"test.penguins.{test}"
    run = load_run_results(DATA / "run_results.json", with_meta(manifest, unique_id, severity=wanted), "2007")
    (check,) = [check for check in run.checks if check.check_id == unique_id]
    assert check.severity is severity
    assert remark in check.message


def test_a_warning_that_its_user_calls_critical_fails_a_run_that_succeeded(manifest: DbtManifest) -> None:
    document = json.loads((DATA / "run_results.json").read_text())
    (warned,) = [each for each in document["results"] if each["status"] == "warn"]
    calm = parse_run_results({**document, "results": [warned]}, manifest)
    require_success(calm)
    strict = parse_run_results(
        {**document, "results": [warned]}, with_meta(manifest, warned["unique_id"], severity="critical")
    )
    with pytest.raises(DbtRunError, match="1 value of sex outside male"):
        require_success(strict)
    require_success(replace(strict, checks=(replace(strict.checks[0], excused="waived by anna: so it is"),)))


def test_what_was_built_and_what_could_not_be_are_results_and_what_was_skipped_is_none(manifest: DbtManifest) -> None:
    builds = {check.dataset: check for check in load_run_results(DATA / "run_results.json", manifest, "2007").builds}
    assert builds.keys() == {"broken", "penguin_features"}
    assert builds["penguin_features"].passed
    broken = builds["broken"]
    assert (broken.check, broken.status, broken.severity) == ("build", Status.ERROR, Severity.CRITICAL)
    assert broken.message.startswith("2007 broken: dbt could not build it: ")
    assert "wingspan_mm" in broken.message


def test_every_node_of_the_project_is_known_also_what_was_not_run(manifest: DbtManifest) -> None:
    run = parse_run_results({"results": []}, manifest)
    assert run.known == frozenset(manifest.nodes)
    assert run.ran == frozenset()


def test_failing_rows_are_found_by_the_tests_own_sql(manifest: DbtManifest) -> None:
    document = json.loads((DATA / "run_results.json").read_text())
    for each in document["results"]:
        each["compiled_code"] = '\n\nselect sex\nfrom "w"."main"."penguin_features"\nwhere sex is null\n'
    failing = parse_run_results(document, manifest).failing
    assert {unique_id.split(".")[2] for unique_id in failing} == {
        "accepted_values_penguin_features_sex__male",
        "not_null_penguin_features_sex",
    }
    missing = failing["test.penguins.not_null_penguin_features_sex.3bc20029a3"].sql or ""
    assert " ".join(missing.split()) == 'select * from "w"."main"."penguin_features" where sex is null'
    values = failing["test.penguins.accepted_values_penguin_features_sex__male.78e0f986a3"].sql or ""
    assert values.split()[1] == "sex", "only of not_null is the column alone useless"


def test_a_waived_test_is_told_by_selectors_and_belongs_to_runs_that_have_what_it_is_about(
    manifest: DbtManifest,
) -> None:
    unique_id = "test.penguins.not_null_penguin_features_sex.3bc20029a3"
    stopping = {check.check_id: check for check in list_stopping_tests(manifest, "2007")}
    assert "test.penguins.accepted_values_penguin_features_sex__male.78e0f986a3" not in stopping, "dbt only warns"
    (recorded,) = [
        check for check in load_run_results(DATA / "run_results.json", manifest, "2007").checks
        if check.check_id == unique_id
    ]  # fmt: skip
    assert digest_check(stopping[unique_id]) == digest_check(recorded)
    assert select_tests(manifest, [unique_id])[unique_id].endswith(".not_null_penguin_features_sex")
    odd = replace(manifest.nodes[unique_id], fqn=("penguins", "is it --full-refresh?"))
    assert select_tests(replace(manifest, nodes={unique_id: odd}), [unique_id]) == {}
    assert is_of_run(manifest, unique_id, {"model.penguins.penguin_features"})
    assert not is_of_run(manifest, unique_id, {"model.penguins.broken"})
