"""What a run of dbt found, in the ledger and in its task's folder, before it can fail; orchestration interpreter."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.airflow.base import CHECKS_FILE, make_task_folder
from headrace.airflow.ledger import record_in_ledger
from headrace.airflow.lineage import record_dbt
from headrace.airflow.operators.dbt_waivers import load_left_out
from headrace.contracts.files import replace_file, write_json
from headrace.exceptions import ConfigurationError, HeadraceError
from headrace.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from headrace.contracts.check_result import CheckResult
    from headrace.dbt.run_results import DbtRun

log = logging.getLogger(__name__)

RUN_RESULTS_FILE = "run_results.json"


def keep_run_results(target: Path, context: "Context", settings: Settings) -> "DbtRun":
    """Keep what a whole run of dbt reports in the task's folder, and record it.

    Returns:
        The run, its results as they were recorded.

    Raises:
        DbtRunError: dbt left no results.
        LedgerError: Nothing was recorded.
    """
    run = load_run(target, context, settings)
    folder = make_task_folder(context)
    replace_file(folder / RUN_RESULTS_FILE, (target / RUN_RESULTS_FILE).read_bytes())
    failing_builds = [check for check in run.builds if not check.passed]
    write_json(folder / CHECKS_FILE, {"checks": [check.to_json() for check in (*run.checks, *failing_builds)]})
    return record_run(context, settings, run, target, complete=True)


def load_run(target: Path, context: "Context", settings: Settings) -> "DbtRun":
    """Load what a run of dbt found: also its failing rows, and the waived tests that it left out."""
    from headrace.dbt.manifest import load_manifest
    from headrace.dbt.run_results import load_run_results
    from headrace.dbt.waived_tests import describe_waived, is_of_run

    manifest = load_manifest(target / "manifest.json")
    run = load_run_results(target / RUN_RESULTS_FILE, manifest, context.get("partition_key"))
    left_out = [
        describe_waived(check)
        for check in load_left_out(context)
        if check.check_id not in run.ran and is_of_run(manifest, str(check.check_id), run.ran)
    ]
    return replace(run, checks=(*add_failing_rows(run, settings), *left_out))


def record_run(
    context: "Context", settings: Settings, run: "DbtRun", target: Path, *, complete: bool = False
) -> "DbtRun":
    """Record a run in the ledger; return it with the results as they were recorded.

    Args:
        context: Of the task.
        settings: Of the project.
        run: What dbt did.
        target: The folder of what dbt wrote.
        complete: It had all that the task runs, not one model.

    Raises:
        LedgerError: Nothing was recorded.
    """
    recorded = record_in_ledger(context, settings, run.results, complete=complete, keep=run.known)
    record_dbt(context, settings, target)
    return replace(run, builds=tuple(recorded[: len(run.builds)]), checks=tuple(recorded[len(run.builds) :]))


def add_failing_rows(run: "DbtRun", settings: Settings) -> "tuple[CheckResult, ...]":
    """Return the checks, the failed ones with some of their rows; where these cannot be had the log says why."""
    import duckdb

    from headrace.dbt.profiles import load_compiled_warehouse_path
    from headrace.warehouse.samples import fetch_rows

    if not run.failing:
        return run.checks
    try:
        warehouse = load_compiled_warehouse_path(settings.dbt_profiles)
    except ConfigurationError as error:
        log.info("No failing rows of dbt's tests are shown: %s", error)
        return run.checks
    checks = []
    for check in run.checks:
        rows = run.failing.get(check.check_id or "")
        query = f"select * from {rows.relation}" if rows and rows.relation else rows and rows.sql
        if query:
            try:
                checks.append(replace(check, sample=tuple(fetch_rows(warehouse, query))))
                continue
            except (duckdb.Error, HeadraceError) as error:
                log.warning("The failing rows of %s cannot be shown: %s", check.check_id, error)
        checks.append(check)
    return tuple(checks)
