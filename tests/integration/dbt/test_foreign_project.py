"""Penguins: a project that knows nothing of flights, through the same functions; and dbt runs that fail."""

import shutil
from pathlib import Path

import duckdb
import pytest

from headrace.contracts.check_result import Severity, Status
from headrace.dbt.manifest import load_manifest
from headrace.dbt.run_results import load_run_results, require_success
from headrace.exceptions import ConfigurationError, DbtRunError, LandingError
from headrace.gx.run_suite import run_suite
from headrace.quality.verdict import Decision, decide_verdict
from headrace.warehouse.landing import land_partition, load_landing_tables
from headrace.warehouse.publishing import publish_partition

PENGUINS = Path(__file__).parents[2] / "foreign" / "penguins"


def test_penguins_all_the_way(penguins, tmp_path: Path) -> None:
    run = load_run_results(penguins.target / "run_results_0.json", load_manifest(penguins.target / "manifest.json"))
    assert run.summary.succeeded, run.summary.describe()
    for suite in ("birds", "penguin_features"):
        results = run_suite(PENGUINS / "expectations", suite, penguins.warehouse, "2007")
        assert decide_verdict(results).decision is Decision.PASS, [result.message for result in results]
    years = {
        year: publish_partition(penguins.warehouse, "main.penguin_features", year, tmp_path)
        for year in ("2007", "2008", "2009")
    }
    assert [published.rows for published in years.values()] == [109, 114, 119]
    rows = duckdb.sql(
        f"select species_index, species, count(*) from '{tmp_path}/*.parquet' group by all order by all"
    ).fetchall()
    assert rows == [(0, "Adelie", 151), (1, "Chinstrap", 68), (2, "Gentoo", 123)]


def test_a_suite_that_knows_nothing_of_headrace(penguins) -> None:
    results = run_suite(
        PENGUINS / "expectations",
        "headcount",
        penguins.warehouse,
        "2009",
        table="field_notes.penguins",
        partition_column="partition_key",
        row_key=["penguin_id"],
    )
    assert [(result.status, result.dataset, result.total_rows) for result in results] == [
        (Status.PASSED, "headcount", 120),
        (Status.PASSED, "headcount", 120),
    ]
    with pytest.raises(ConfigurationError, match="table headcount does not exist"):
        run_suite(PENGUINS / "expectations", "headcount", penguins.warehouse, "2009")


def test_a_bird_of_another_year(penguins, tmp_path: Path) -> None:
    landing = Path(shutil.copytree(penguins.landing_dir, tmp_path / "landing"))
    shutil.copy(landing / "penguins" / "2007.csv", landing / "penguins" / "2010.csv")
    tables = load_landing_tables(penguins.target / "manifest.json")
    with pytest.raises(LandingError, match=r"landed as partition 2010 but holds rows of others: 110 of 2007"):
        land_partition(penguins.copy(tmp_path), landing, tables, "2010")


def test_dbt_sql_that_does_not_compile_and_a_test_that_fails(penguins, dbt, tmp_path: Path) -> None:
    project = Path(shutil.copytree(PENGUINS / "dbt_project", tmp_path / "dbt_project"))
    models = project / "models"
    yml = models / "penguin_features.yml"
    yml.write_text(
        yml.read_text().replace(
            "- { name: sex, data_type: varchar }",
            "- { name: sex, data_type: varchar, data_tests: [not_null] }",
        )
    )
    (models / "broken.sql").write_text("select wingspan_mm from {{ source('field_notes', 'penguins') }}")
    (models / "after.sql").write_text("select * from {{ ref('broken') }}")
    warehouse = penguins.copy(tmp_path)
    done = dbt(project, penguins.landing_dir, warehouse, tmp_path / "target", [], [["build"]])
    assert done.returncode == 0, done.stderr
    manifest = load_manifest(tmp_path / "target" / "manifest.json")
    run = load_run_results(tmp_path / "target" / "run_results_0.json", manifest, "2007")
    assert (run.summary.models_built, run.summary.tests_failed, run.summary.skipped) == (1, 1, ("after",))
    assert "wingspan_mm" in run.summary.errors["broken"]
    (failing,) = [check for check in run.checks if not check.passed]
    assert (failing.severity, failing.failed_rows, failing.column) == (Severity.CRITICAL, 9, "sex")
    assert failing.message == "2007 penguin_features: 9 rows have no sex"
    with pytest.raises(DbtRunError) as caught:
        require_success(run)
    assert "1 failed, 1 in error, 1 skipped" in str(caught.value)
    assert "9 rows have no sex" in str(caught.value)
    assert 'column "wingspan_mm" not found' in str(caught.value)
