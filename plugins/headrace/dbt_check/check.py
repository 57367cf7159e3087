"""Check what changed in the dbt project on a sample of the raw tables; orchestration interpreter."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.contracts.check_result import CheckResult
from headrace.contracts.files import make_private_folder
from headrace.dbt.base import Base, find_base, list_changed_files
from headrace.dbt.invocation import Invocation, NodeEnd, run_dbt
from headrace.dbt.manifest import DbtManifest, load_manifest
from headrace.dbt.profiles import load_warehouse_path
from headrace.dbt.run_results import DbtRun, load_run_results
from headrace.dbt_check.prepared_base import QUIET, Prepared, PreparedBase, write_profiles
from headrace.dbt_check.suites_process import RunSuite, start_suites_process
from headrace.exceptions import HeadraceError, WarehouseLockedError
from headrace.gx.suites import list_suites, load_suite
from headrace.jobs.locks import take_lock
from headrace.quality.identifiers import name_relation
from headrace.quality.verdict import Decision, Verdict, decide_verdict
from headrace.settings import Settings
from headrace.warehouse.samples import fetch_rows
from headrace.warehouse.sampling import SampledTable, plan_sample

SAMPLE_ROWS = 5_000
SHOWN_ROWS = 5
# What they say of a whole partition says nothing of a sample.
OF_WHOLE_PARTITIONS = frozenset(
    {
        "expect_table_row_count_to_be_between",
        "expect_table_row_count_to_equal",
        "expect_table_row_count_to_equal_other_table",
        "expect_column_sum_to_be_between",
        "expect_column_unique_value_count_to_be_between",
        "expect_column_distinct_values_to_contain_set",
        "expect_column_distinct_values_to_equal_set",
    }
)


@dataclass(frozen=True)
class SlimCheck:
    """What a change came to.

    Attributes:
        base: What it was compared with.
        partition_key: The newest that was landed, which was built; None where the raw tables have no partitions.
        tables: The sample.
        built: Names of the models, seeds and snapshots that were built.
        suites: Those that were run.
        results: Of everything that was checked; what fails without the change too is excused.
        not_checked: Expectations that only hold of a whole partition.
        verdict: What the chain would decide of it; None where nothing has changed.
        seconds: From start to verdict.
    """

    base: Base
    partition_key: str | None
    tables: tuple[SampledTable, ...]
    built: tuple[str, ...]
    suites: tuple[str, ...]
    results: tuple[CheckResult, ...]
    not_checked: tuple[str, ...]
    verdict: Verdict | None
    seconds: float

    @property
    def ok(self) -> bool:
        return self.verdict is None or self.verdict.decision is not Decision.BLOCK


def check_changes(
    settings: Settings,
    *,
    ref: str | None = None,
    rows: int = SAMPLE_ROWS,
    select: Sequence[str] = (),
    say: Callable[[str], None] = print,
    on_node_end: Callable[[NodeEnd], None] = lambda _: None,
) -> SlimCheck:
    """Build what changed since a commit, and what is made from it, on a sample; run its tests and expectations.

    The warehouse is only read. The sample, with the models as they were at that commit, is kept under the state folder
    and made anew when other data was landed.

    Args:
        settings: Of the project.
        ref: The commit; by default see :func:`headrace.dbt.base.find_base`.
        rows: Of each partition of a raw table, at most.
        select: dbt selection: only these of what changed.
        say: Told what is being done, where it takes longer than a second.
        on_node_end: Told of each node that dbt ended.

    Raises:
        UnknownRevisionError: There is no such commit.
        ConfigurationError: Something is not set up: no git, no warehouse, not DuckDB.
        WarehouseLockedError: A run holds the warehouse, and there is no sample yet.
        DbtRunError: dbt cannot parse the project, or not build it as it was at the commit.
    """
    began = time.monotonic()
    base = find_base(settings.dbt_project_dir, ref)
    folder = settings.state_dir / "check"
    with _hold_folder(folder), start_suites_process(settings.expectations_dir) as run_suite:
        check = _Check(settings, folder, base)
        manifest = check.parse()
        prepared = check.prepare(manifest, rows, say)
        key = prepared.plan.newest
        run = check.build(prepared, manifest, select, on_node_end)
        suites = check.find_suites(manifest, run)
        found = [*run.results, *(each for suite in suites for each in check.run_suite(run_suite, suite, key))]
    results = tuple(each for each in found if each.check not in OF_WHOLE_PARTITIONS)
    return SlimCheck(
        base=base,
        partition_key=key,
        tables=prepared.tables,
        built=tuple(sorted(each.dataset for each in run.builds if each.passed)),
        suites=tuple(suites),
        results=results,
        not_checked=tuple(f"{each.dataset}: {each.check}" for each in found if each.check in OF_WHOLE_PARTITIONS),
        verdict=decide_verdict(results) if results else None,
        seconds=time.monotonic() - began,
    )


@contextmanager
def _hold_folder(folder: Path) -> Iterator[None]:
    make_private_folder(folder)
    with (folder / "lock").open("a") as lock:
        if not take_lock(lock):
            raise HeadraceError(f"Another check of this project is running in {folder}: wait for it, or end it.")
        yield


class _Check:
    """One check's steps, in its folder."""

    def __init__(self, settings: Settings, folder: Path, base: Base) -> None:
        self.settings, self.base = settings, base
        self.database = folder / "sample.duckdb"
        self.profiles, self.target = folder / "profiles.yml", folder / "target"
        self.of_base = PreparedBase(base, settings.dbt_project_dir, folder, self.database)
        write_profiles(settings.dbt_project_dir, self.profiles, self.database)

    def parse(self) -> DbtManifest:
        shutil.rmtree(self.target, ignore_errors=True)
        run_dbt(Invocation("parse", self.settings.dbt_project_dir, self.profiles, self.target, options=QUIET))
        return load_manifest(self.target / "manifest.json")

    def prepare(self, manifest: DbtManifest, rows: int, say: Callable[[str], None]) -> Prepared:
        sources = [node.relation for node in manifest.nodes.values() if node.resource_type == "source"]
        warehouse = load_warehouse_path(self.settings.dbt_project_dir)
        try:
            plan = plan_sample(warehouse, [each for each in sources if each], rows)
        except WarehouseLockedError as error:
            kept = self.of_base.load()
            if kept is None or (kept.plan.warehouse, kept.plan.rows) != (warehouse, rows):
                raise
            say(f"{error.message}. Until then, the sample of before is used.")
            plan = kept.plan
        return self.of_base.prepare(plan, say)

    def build(
        self,
        prepared: Prepared,
        manifest: DbtManifest,
        select: Sequence[str],
        on_node_end: Callable[[NodeEnd], None],
    ) -> DbtRun:
        """Build and test what changed; of a project that was not there at the base, everything."""
        state, key = self.of_base.state, prepared.plan.newest
        changed = ["state:modified+"] if state else []
        invocation = Invocation(
            "build",
            self.settings.dbt_project_dir,
            self.profiles,
            self.target,
            variables={} if key is None else {"partition_key": key},
            select=[",".join([*changed, each]) for each in select] or changed,
            options=[*QUIET, *(["--state", str(state)] if state else [])],
        )
        run_dbt(invocation, on_node_end)
        run = load_run_results(self.target / "run_results.json", manifest, key)
        excuse = f"it fails without the change too, on the sample of {self.base.name}"
        checks = [
            replace(each, excused=excuse) if not each.passed and each.check_id in prepared.failing else each
            for each in run.checks
        ]
        return replace(run, checks=tuple(self._show_rows(run, each) for each in checks))

    def _show_rows(self, run: DbtRun, check: CheckResult) -> CheckResult:
        """Give a failed test the first of its rows."""
        import duckdb

        where = run.failing.get(str(check.check_id))
        query = (where.relation or where.sql) if where and not check.passed else None
        if not query:
            return check
        try:
            return replace(check, sample=tuple(fetch_rows(self.database, query, SHOWN_ROWS)))
        except duckdb.Error as error:
            return replace(check, message=f"{check.message} (its rows cannot be shown: {error})")

    def find_suites(self, manifest: DbtManifest, run: DbtRun) -> list[str]:
        """Return the suites whose table was built, or that were edited themselves."""
        root = self.settings.expectations_dir
        edited = {path.resolve() for path in list_changed_files(self.base, root)}
        built = [manifest.nodes.get(str(each.check_id)) for each in run.builds if each.passed]
        tables = {name_relation(node.relation) for node in built if node and node.relation}
        suites = [load_suite(root, name) for name in list_suites(root)]
        return [
            suite.name
            for suite in suites
            if name_relation(suite.target().table) in tables or suite.path.resolve() in edited
        ]

    def run_suite(self, run_suite: RunSuite, suite: str, partition_key: str | None) -> list[CheckResult]:
        """Run a suite; what fails without the change too, by the same suite, is excused."""
        results = run_suite(suite, self.database, partition_key)
        failed = [each for each in results if not each.passed and each.check not in OF_WHOLE_PARTITIONS]
        path = load_suite(self.settings.expectations_dir, suite).path.resolve()
        if not failed or path in {each.resolve() for each in list_changed_files(self.base, path.parent)}:
            return results
        before = run_suite(suite, self.of_base.pristine, partition_key)
        failing = {(each.check, each.column, each.check_id) for each in before if not each.passed}
        excuse = f"it fails without the change too, on the sample of {self.base.name}"
        return [
            replace(each, excused=excuse)
            if not each.passed and (each.check, each.column, each.check_id) in failing
            else each
            for each in results
        ]
