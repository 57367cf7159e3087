"""Check one partition with Great Expectations suites and stop the chain where it must; orchestration interpreter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from headrace.airflow.base import WAREHOUSE_POOL, HeadraceOperator
from headrace.contracts.check_result import CheckResult
from headrace.exceptions import HeadraceError
from headrace.quality.verdict import decide_verdict, require_usable
from headrace.settings import Settings


class QualityGateOperator(HeadraceOperator):
    """Run expectation suites on one partition, pushed down into the warehouse.

    A failing ``critical`` expectation, or one that could not be evaluated, fails the task for good: nothing
    downstream runs for this partition. A failing ``warning`` is reported and the chain goes on. No suite, no table,
    no rows or no results fail the task too.

    A partition that passes is released in the suites' tables, and one that does not is held there: dbt does not see
    its rows, whatever partition it builds (:mod:`headrace.warehouse.holds`).

    Args:
        suites: Names of the suites, as in ``expectations/expectations/``.
    """

    ui_color = "#d5f5e3"

    def __init__(self, *, suites: Sequence[str], pool: str = WAREHOUSE_POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)
        self.suites = list(suites)

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        from headrace.dbt.profiles import load_compiled_warehouse_path
        from headrace.gx.run_suite import run_suite

        warehouse = load_compiled_warehouse_path(settings.dbt_profiles)
        checks: list[CheckResult] = []
        with self.hold_unless_usable(settings, warehouse):
            try:
                for suite in self.suites:
                    checks += run_suite(settings.expectations_dir, suite, warehouse, self.partition_key)
            finally:
                # Also what was found before a suite could not be run.
                self.record_checks(context, checks)
            return self.report(checks)

    @contextmanager
    def hold_unless_usable(self, settings: Settings, warehouse: Path) -> Iterator[None]:
        """Hold the partition in the suites' tables when the ``with`` block raises, and release it when it does not."""
        from headrace.warehouse.holds import hold_partition, release_partition

        try:
            yield
        except Exception as error:
            hold_partition(warehouse, self.list_partitioned_tables(settings), self.partition_key, str(error))
            raise
        release_partition(warehouse, self.list_partitioned_tables(settings), self.partition_key)

    def list_partitioned_tables(self, settings: Settings) -> list[str]:
        """Return the tables of which the suites check a partition; a suite that cannot be read has none."""
        from headrace.gx.suites import load_suite

        targets = []
        for suite in self.suites:
            with suppress(HeadraceError):
                targets.append(load_suite(settings.expectations_dir, suite).target())
        return [target.table for target in targets if target.partition_column]

    def report(self, checks: list[CheckResult]) -> dict[str, Any]:
        """Log the verdict in plain words and raise where it is to block."""
        verdict = decide_verdict(checks)
        for line in verdict.describe().splitlines():
            self.log.log(WARNING if verdict.causes else INFO, "%s %s", self.partition_key, line)
        require_usable(verdict, f"partition {self.partition_key} of {', '.join(self.suites)}")
        return {
            "verdict": verdict.decision.value,
            "checks": verdict.checked,
            "failed": [cause.message for cause in verdict.causes],
        }
