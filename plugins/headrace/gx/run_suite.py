"""Running one suite on one partition, pushed down into DuckDB; orchestration interpreter."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headrace.contracts.check_result import CheckResult, Status
from headrace.exceptions import ConfigurationError, NoResultsError
from headrace.gx.check_meta import CheckMeta, describe_checks
from headrace.gx.failing_rows import FailingRows, find_failing_rows, is_about_rows
from headrace.gx.parse_results import find_exception, parse_result
from headrace.gx.suites import SuiteDocument, SuiteTarget, build_expectation_suite, load_suite
from headrace.quality.partitions import check_partition_key
from headrace.warehouse.connection import open_warehouse, translate_open_error
from headrace.warehouse.quarantine_tables import TAGS, PartitionRows, describe_columns, select_partition

SAMPLE_ROWS = 20


@dataclass(frozen=True)
class Checked:
    """An expectation's result, and which rows it would set aside.

    Attributes:
        result: The check result; nothing is set aside yet.
        quarantines: Whether the check sets its failing rows aside.
        limit: Largest share of the partition's rows that it may.
        query: SQL for its failing rows, over the partition's tagged rows; None where there are none.
        keys: Columns of the query that name a row; empty: it has the tags.
    """

    result: CheckResult
    quarantines: bool = False
    limit: float = 0.0
    query: str | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class SuiteRun:
    """A suite's results, in its order, and the rows that it is about."""

    suite: str
    target: SuiteTarget
    checked: tuple[Checked, ...]

    @property
    def results(self) -> list[CheckResult]:
        return [each.result for each in self.checked]


def run_suite(
    context_dir: Path,
    suite: str,
    warehouse: Path,
    partition_key: str | None,
    *,
    table: str | None = None,
    partition_column: str | None = None,
    row_key: Sequence[str] | None = None,
    suite_parameters: Mapping[str, Any] | None = None,
) -> list[CheckResult]:
    """Run a suite on the rows of one partition; see :func:`check_partition`, which also says which rows fail.

    Returns:
        One result an expectation, in the suite's order.
    """
    return check_partition(
        context_dir,
        suite,
        warehouse,
        partition_key,
        table=table,
        partition_column=partition_column,
        row_key=row_key,
        suite_parameters=suite_parameters,
    ).results


def check_partition(
    context_dir: Path,
    suite: str,
    warehouse: Path,
    partition_key: str | None,
    *,
    table: str | None = None,
    partition_column: str | None = None,
    row_key: Sequence[str] | None = None,
    suite_parameters: Mapping[str, Any] | None = None,
) -> SuiteRun:
    """Run a suite on the rows of one partition, those that are set aside included: the partition as it was landed.

    The suite's ``meta`` says which table it is about: ``{"table": "raw.weather", "partition_column": "partition_key",
    "row_key": ["origin", "time_hour"]}``. The arguments of the same names win over it, so that a suite that
    knows nothing of Headrace runs as it is. Without a partition column the whole table is checked.

    Args:
        context_dir: The ``context_root_dir`` of the GX file context; only read.
        suite: Name of the suite.
        warehouse: The DuckDB file; opened read-only.
        partition_key: For example ``2013-02``; None only where the suite has no partition column.
        table: ``schema.table``.
        partition_column: Column that holds the partition key; empty for none.
        row_key: Columns that name a row.
        suite_parameters: Values of ``{"$PARAMETER": …}`` in the suite; ``partition_key`` is always among them.

    Raises:
        ConfigurationError: No such suite, table or column, a suite that GX cannot read, or ``quarantine`` where rows
            cannot be set aside; the message says which.
        NoResultsError: The partition has no rows, the suite no expectations, or GX too few results.
        WarehouseLockedError: Another process holds the warehouse.
    """
    document = load_suite(context_dir, suite)
    target = document.target(table, partition_column, row_key)
    _silence_gx()
    expectation_suite = build_expectation_suite(document)
    checks = _decide_quarantine(document)
    plain, tagged = _select_partition(
        warehouse, document, target, partition_key, tagged=any(check.quarantine for check in checks)
    )
    parameters = {"partition_key": partition_key, **(suite_parameters or {})}
    checked: dict[int, Checked] = {}
    with _open_source(warehouse) as source:
        batch = _open_batch(warehouse, source, "partition", plain.query)
        validation = batch.validate(
            expectation_suite,
            expectation_parameters=parameters,
            # rows are fetched below, and only where some fail; SUMMARY takes GX a third longer and adds only rows
            result_format={"result_format": "BASIC", "partial_unexpected_count": 0},
        )
        rows = _FailingRows(warehouse, source, batch, plain, tagged)
        checked_key = partition_key if target.partition_column else None
        for result in validation.results:
            place = int(result.expectation_config.id)
            document_of_result = result.to_json_dict()
            failing = FailingRows()
            if not result.success and not find_exception(document_of_result.get("exception_info") or {}):
                failing = rows.find(result.expectation_config, tagged=checks[place].quarantine)
            parsed = parse_result(
                document_of_result, checks[place], target, checked_key, plain.rows, _without_tags(failing.sample)
            )
            checked[place] = _with_selection(parsed, checks[place], failing, document, target)
    if len(checked) != len(document.expectations):
        raise NoResultsError(
            f"suite {suite} has {len(document.expectations)} expectations and GX gave {len(checked)} results",
            suite=suite,
        )
    return SuiteRun(suite, target, tuple(checked[place] for place in sorted(checked)))


def _decide_quarantine(suite: SuiteDocument) -> list[CheckMeta]:
    """Return what is known of each check; what only the suite marks counts for expectations about rows."""
    decided = []
    checks = describe_checks(suite.name, suite.meta, suite.expectations)
    for number, (check, expectation) in enumerate(zip(checks, suite.expectations, strict=True), 1):
        about_rows = is_about_rows(str(expectation["type"])) if check.quarantine else True
        if check.required and not about_rows:
            raise ConfigurationError(
                f"suite {suite.name}: expectation {number} ({expectation['type']}) is marked quarantine and is about "
                "the whole table: no row fails it by itself. Take the mark away, or check rows, for example with "
                "expect_column_values_to_be_between or unexpected_rows_expectation",
                suite=suite.name,
                expectation=expectation["type"],
            )
        decided.append(check if about_rows else replace(check, quarantine=False))
    return decided


def _with_selection(
    result: CheckResult, check: CheckMeta, failing: FailingRows, suite: SuiteDocument, target: SuiteTarget
) -> Checked:
    if not check.quarantine or result.status is not Status.FAILED:
        return Checked(result, check.quarantine, check.limit)
    if failing.query and set(TAGS) <= set(failing.columns):
        return Checked(result, True, check.limit, failing.query)
    if failing.query and target.row_key and set(target.row_key) <= set(failing.columns):
        return Checked(result, True, check.limit, failing.query, target.row_key)
    key = ", ".join(target.row_key) or "a row_key, which the suite's meta does not name,"
    raise ConfigurationError(
        f"suite {suite.name}: {result.check} is marked quarantine, and which rows fail cannot be told: let its query "
        f"return every column (select * from {{batch}} …) or {key}; it returns {', '.join(failing.columns) or 'none'}",
        suite=suite.name,
        expectation=result.check,
    )


def _without_tags(sample: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in TAGS} for row in sample]


class _FailingRows:
    """Finds failing rows in the partition's batch, or in one that has the tags, opened when it is first wanted."""

    def __init__(
        self, warehouse: Path, source: Any, batch: Any, plain: PartitionRows, tagged: PartitionRows | None
    ) -> None:
        self.warehouse, self.source, self.batch, self.plain, self.tagged = warehouse, source, batch, plain, tagged
        self._tagged_batch: Any = None

    def find(self, configuration: Any, *, tagged: bool) -> FailingRows:
        engine = self.source.get_execution_engine()
        if not tagged or self.tagged is None:
            return find_failing_rows(engine, configuration, self.batch.id, self.plain.columns, SAMPLE_ROWS)
        if self._tagged_batch is None:
            self._tagged_batch = _open_batch(self.warehouse, self.source, "tagged", self.tagged.query)
            engine.load_batch_data(self._tagged_batch.id, self._tagged_batch.data)
        return find_failing_rows(engine, configuration, self._tagged_batch.id, self.tagged.columns, SAMPLE_ROWS)


def _select_partition(
    warehouse: Path, suite: SuiteDocument, target: SuiteTarget, partition_key: str | None, *, tagged: bool
) -> tuple[PartitionRows, PartitionRows | None]:
    """Return the partition's rows, at least 1, and with tags where they are wanted."""
    import duckdb

    key, what = "", f"table {target.table}"
    if target.partition_column:
        key = check_partition_key(partition_key)
        what = f"partition {key} of {target.table}"
    with open_warehouse(warehouse, read_only=True) as connection:
        try:
            columns = list(describe_columns(connection, target.table))
        except duckdb.CatalogException as error:
            raise ConfigurationError(
                f"suite {suite.name}: table {target.table} does not exist in {warehouse}",
                suite=suite.name,
                table=target.table,
            ) from error
        wanted = [column for column in (target.partition_column, *target.row_key) if column]
        missing = [column for column in wanted if column not in columns]
        if missing:
            role = "partition_column" if missing[0] == target.partition_column else "row_key"
            raise ConfigurationError(
                f"suite {suite.name}: {role} {missing[0]!r} is not a column of {target.table}, "
                f"which has: {', '.join(columns)}",
                suite=suite.name,
                table=target.table,
            )
        plain = select_partition(connection, target.table, target.partition_column, key)
        if not plain.rows:
            raise NoResultsError(
                f"suite {suite.name}: {what} has no rows, so nothing would be checked",
                suite=suite.name,
                table=target.table,
            )
        if not tagged:
            return plain, None
        return plain, select_partition(connection, target.table, target.partition_column, key, tagged=True)


@contextmanager
def _open_source(warehouse: Path) -> Iterator[Any]:
    import great_expectations as gx

    from headrace.gx.duckdb_datasource import DuckdbExecutionEngine

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_duckdb(
        "warehouse",
        connection_string=f"duckdb:///{quote(str(warehouse.resolve()))}",
        kwargs={"connect_args": {"read_only": True}},
    )
    try:
        yield source
    finally:
        engine = source.get_execution_engine()
        if isinstance(engine, DuckdbExecutionEngine):
            engine.close()
        engine.engine.dispose()
        source.get_engine().dispose()


def _open_batch(warehouse: Path, source: Any, name: str, query: str) -> Any:
    from great_expectations.datasource.fluent.interfaces import TestConnectionError

    try:
        asset = source.add_query_asset(name, query)
        return asset.add_batch_definition_whole_table(name).get_batch()
    except TestConnectionError as error:
        raise translate_open_error(warehouse, error) from error


def _silence_gx() -> None:
    """No telemetry unless somebody asked for it, and no log line an expectation."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
