"""Tests that a person waived, left out of a run of dbt that would stop on them; orchestration interpreter."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.airflow.base import make_task_folder
from headrace.airflow.ledger import open_task_ledger
from headrace.contracts.check_result import CheckResult
from headrace.contracts.files import ContractError, read_json, write_json
from headrace.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

WAIVED_FILE = "waived.json"


@dataclass(frozen=True)
class WaivedTests:
    """Tests that dbt is not to run.

    Attributes:
        selectors: dbt's selectors of them.
        reasons: By the test's id, who waived it and why.
    """

    selectors: tuple[str, ...]
    reasons: Mapping[str, str]


def leave_out_waived_tests(context: "Context", settings: Settings) -> WaivedTests:
    """Find the tests that a person waived for the partition, where dbt would stop on them, and write them down."""
    from headrace.dbt.manifest import load_manifest
    from headrace.dbt.waived_tests import list_stopping_tests, select_tests
    from headrace.ledger.verdicts import apply_waivers

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
    reasons = {unique_id: str(waived[unique_id].excused) for unique_id in selectors}
    return WaivedTests(tuple(selectors.values()), reasons)


def load_left_out(context: "Context") -> list[CheckResult]:
    try:
        document = read_json(make_task_folder(context) / WAIVED_FILE)
    except ContractError:
        return []
    return [CheckResult.from_json(check) for check in document["checks"]]
