"""Tests that a person waived, left out of a run of dbt that would stop on them; orchestration interpreter."""

import logging
from typing import TYPE_CHECKING, Any, cast

from headrace.airflow.base import make_task_folder
from headrace.airflow.ledger import open_task_ledger
from headrace.airflow.task_groups.dbt_clearing import WAIVED_FILE
from headrace.contracts.check_result import CheckResult
from headrace.contracts.files import ContractError, read_json, write_json
from headrace.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def leave_out_waived_tests(context: "Context", settings: Settings) -> None:
    """Leave out of a run of dbt the tests that a person waived for the partition, where dbt would stop on them.

    Cosmos reads ``exclude`` of its operator when it runs dbt. Of the models' test tasks it waits for every test that
    it knows of; those that lose all of theirs are told here that nothing failed.
    """
    from cosmos.operators._watcher.aggregation import get_tests_status_xcom_key

    from headrace.dbt.manifest import load_manifest
    from headrace.dbt.waived_tests import list_stopping_tests, select_tests
    from headrace.ledger.verdicts import apply_waivers

    task, task_instance = cast("Any", context["task"]), context["ti"]
    manifest = load_manifest(settings.dbt_manifest)
    with open_task_ledger() as ledger:
        tests = apply_waivers(ledger, list_stopping_tests(manifest, context.get("partition_key")))
    waived = {str(check.check_id): check for check in tests if check.excused}
    selectors = select_tests(manifest, waived)
    folder = make_task_folder(context)
    write_json(folder / WAIVED_FILE, {"checks": [waived[unique_id].to_json() for unique_id in selectors]})
    for unique_id, check in waived.items():
        done = "is left out" if unique_id in selectors else "runs all the same, because its name cannot be selected"
        log.warning("Test %s %s: %s", unique_id, done, check.excused)
    if not selectors:
        return
    task.exclude = " ".join([*_as_list(task.exclude), *selectors.values()])
    for model, tests_of_model in getattr(task, "tests_per_model", {}).items():
        remaining = [test for test in tests_of_model if test not in selectors]
        if tests_of_model and not remaining:
            task_instance.xcom_push(key=get_tests_status_xcom_key(model), value="pass")
        tests_of_model[:] = remaining


def load_left_out(context: "Context") -> list[CheckResult]:
    try:
        document = read_json(make_task_folder(context) / WAIVED_FILE)
    except ContractError:
        return []
    return [CheckResult.from_json(check) for check in document["checks"]]


def _as_list(selection: object) -> list[str]:
    """Return the parts of a selection, which Cosmos keeps as it was written."""
    return selection.split() if isinstance(selection, str) else [str(each) for each in cast("Any", selection) or ()]
