"""Check one partition with Great Expectations suites and stop the chain where it must; orchestration interpreter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from logging import INFO, WARNING
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from headrace.airflow.base import WAREHOUSE_POOL, HeadraceOperator
from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.exceptions import HeadraceError
from headrace.quality.incidents import SUITE_CHECK
from headrace.quality.verdict import decide_verdict, require_usable
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.gx.run_suite import SuiteRun
    from headrace.ledger.database import Ledger


class QualityGateOperator(HeadraceOperator):
    """Run expectation suites on one partition, pushed down into the warehouse.

    A failing ``critical`` expectation, or one that could not be evaluated, fails the task for good: nothing
    downstream runs for this partition. A failing ``warning`` is reported and the chain goes on. No suite, no table,
    no rows or no results fail the task too.

    Failing rows of an expectation marked ``meta: {"quarantine": true}`` are set aside first, up to its
    ``quarantine_limit`` (:mod:`headrace.warehouse.quarantine`); the chain goes on without them.

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
        from headrace.airflow.ledger import open_task_ledger
        from headrace.dbt.manifest import list_built_relations
        from headrace.dbt.profiles import load_compiled_warehouse_path
        from headrace.gx.refused_marks import refuse_marks
        from headrace.gx.run_suite import check_partition

        built = list_built_relations(settings.dbt_manifest)
        warehouse = load_compiled_warehouse_path(settings.dbt_profiles)
        runs: list[SuiteRun] = []
        broken: list[CheckResult] = []
        with self.hold_unless_usable(settings, warehouse), open_task_ledger() as ledger:
            try:
                for suite in self.suites:
                    try:
                        refuse_marks(settings.expectations_dir, suite, self.suites, built)
                        runs.append(check_partition(settings.expectations_dir, suite, warehouse, self.partition_key))
                    except HeadraceError as error:
                        broken += [] if error.retryable else [self.describe_broken(settings, suite, error)]
                        raise
            finally:
                # Also what was found before a suite could not be run.
                checks = self.place_and_record(context, settings, ledger, warehouse, runs, broken)
            return self.report(checks)

    def describe_broken(self, settings: Settings, suite: str, error: HeadraceError) -> CheckResult:
        """Return the result of a suite that could not be run: no result is a failure, and on-call is to know of it."""
        from headrace.gx.suites import load_suite

        dataset, meta = suite, {}
        with suppress(HeadraceError):
            document = load_suite(settings.expectations_dir, suite)
            dataset, meta = document.target().dataset, dict(document.meta)
        return CheckResult(
            tool="gx",
            dataset=dataset,
            partition_key=self.partition_key,
            check=SUITE_CHECK,
            column=None,
            severity=Severity.CRITICAL,
            status=Status.ERROR,
            message=f"{self.partition_key} {dataset}: {error.message}",
            check_id=suite,
            meta={name: meta[name] for name in ("owner", "runbook", "tier") if meta.get(name)},
        )

    def place_and_record(
        self,
        context: Context,
        settings: Settings,
        ledger: "Ledger",
        warehouse: Path,
        runs: "list[SuiteRun]",
        broken: list[CheckResult],
    ) -> list[CheckResult]:
        """Set failing rows aside, then tell the ledger, and return the results as they are to be judged."""
        from headrace.airflow.ledger import task_try, tell_lineage
        from headrace.airflow.lineage import record_gate as record_looked_at
        from headrace.airflow.quarantine import place_failing_rows, record_gate
        from headrace.gx.suites import list_suites
        from headrace.ledger.recording import record_results
        from headrace.ledger.verdicts import apply_waivers

        found = [*(result for run in runs for result in run.results), *broken]
        self.leave_checks(context, found)
        if not found:
            return []
        task = task_try(context)
        tell_lineage(ledger, settings)
        try:
            known = list_suites(settings.expectations_dir)
            aside = place_failing_rows(ledger, warehouse, task, runs, self.partition_key, known)
        except HeadraceError:
            record_results(ledger, task, apply_waivers(ledger, found))  # what was found is known, whatever is next
            raise
        results = list(apply_waivers(ledger, [*aside.results, *broken]))
        self.leave_checks(context, results)
        opened = record_gate(ledger, task, aside, results, complete=len(runs) == len(self.suites))
        record_looked_at(ledger, context, settings, self.partition_key, [run.target.table for run in runs])
        for each in aside.held:
            where = f"{each.relation} {each.partition_key}".strip()
            self.log.warning("%s: %d rows are set aside: %s", where, each.rows, each.reason)
        for released in aside.released:
            self.log.info("Put back what %s released: %s", released.actor, released.reason)
        numbers = f", incidents opened: {', '.join(map(str, opened))}" if opened else ""
        self.log.info("Recorded %d check results in the ledger%s", len(results), numbers)
        return results

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
