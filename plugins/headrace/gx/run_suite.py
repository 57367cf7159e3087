"""Running one suite on one partition, pushed down into DuckDB; orchestration interpreter."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headrace.contracts.check_result import CheckResult
from headrace.exceptions import ConfigurationError, NoResultsError
from headrace.gx.parse_results import name_columns, parse_validation_result
from headrace.gx.suites import SuiteDocument, SuiteTarget, build_expectation_suite, load_suite
from headrace.quality.identifiers import quote_identifier, quote_literal, quote_relation
from headrace.quality.partitions import check_partition_key
from headrace.warehouse.connection import open_warehouse, translate_open_error

SAMPLE_ROWS = 20

log = logging.getLogger(__name__)


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
    """Run a suite on the rows of one partition.

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

    Returns:
        One result an expectation, in the suite's order.

    Raises:
        ConfigurationError: No such suite, table or column, or a suite that GX cannot read; the message says which.
        NoResultsError: The partition has no rows, the suite no expectations, or GX too few results.
        WarehouseLockedError: Another process holds the warehouse.
    """
    document = load_suite(context_dir, suite)
    target = document.target(table, partition_column, row_key)
    query, total_rows = _select_partition(warehouse, document, target, partition_key)
    _silence_gx()
    expectation_suite = build_expectation_suite(document)
    with _open_batch(warehouse, query) as batch:
        validation = batch.validate(
            expectation_suite,
            expectation_parameters={"partition_key": partition_key, **(suite_parameters or {})},
            result_format={
                "result_format": "SUMMARY",
                "partial_unexpected_count": SAMPLE_ROWS,
                **({"unexpected_index_column_names": list(target.row_key)} if target.row_key else {}),
            },
        )
    checked_key = partition_key if target.partition_column else None
    results = parse_validation_result(validation.to_json_dict(), target, checked_key, total_rows)
    if len(results) != len(document.expectations):
        raise NoResultsError(
            f"suite {suite} has {len(document.expectations)} expectations and GX gave {len(results)} results",
            suite=suite,
        )
    return _in_order(results, document)


def _select_partition(
    warehouse: Path, suite: SuiteDocument, target: SuiteTarget, partition_key: str | None
) -> tuple[str, int]:
    """Return the query for the partition's rows, and their number, at least 1."""
    import duckdb

    relation = quote_relation(target.table)
    where, values, what = "", [], f"table {target.table}"
    if target.partition_column:
        key = check_partition_key(partition_key)
        column = quote_identifier(target.partition_column)
        where, values, what = f" where {column} = {quote_literal(key)}", [key], f"partition {key} of {target.table}"
    with open_warehouse(warehouse, read_only=True) as connection:
        try:
            columns = [name for name, *_ in connection.execute(f"describe {relation}").fetchall()]
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
        counting = f"select count(*) from {relation}" + (f" where {column} = ?" if values else "")
        row = connection.execute(counting, values).fetchone()
    if not row or not row[0]:
        raise NoResultsError(
            f"suite {suite.name}: {what} has no rows, so nothing would be checked", suite=suite.name, table=target.table
        )
    return f"select * from {relation}{where}", int(row[0])


@contextmanager
def _open_batch(warehouse: Path, query: str) -> Iterator[Any]:
    import great_expectations as gx
    from great_expectations.datasource.fluent.interfaces import TestConnectionError

    from headrace.gx.duckdb_datasource import DuckdbExecutionEngine

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_duckdb(
        "warehouse",
        connection_string=f"duckdb:///{quote(str(warehouse.resolve()))}",
        kwargs={"connect_args": {"read_only": True}},
    )
    try:
        try:
            asset = source.add_query_asset("partition", query)
            batch = asset.add_batch_definition_whole_table("partition").get_batch()
        except TestConnectionError as error:
            raise translate_open_error(warehouse, error) from error
        yield batch
    finally:
        engine = source.get_execution_engine()
        if isinstance(engine, DuckdbExecutionEngine):
            engine.close()
        engine.engine.dispose()
        source.get_engine().dispose()


def _silence_gx() -> None:
    """No telemetry unless somebody asked for it, and no log line an expectation."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.ERROR)


def _in_order(results: Sequence[CheckResult], suite: SuiteDocument) -> list[CheckResult]:
    """Put results back into the suite's order, as far as types and columns tell them apart: GX groups them."""
    places: dict[tuple[str, str | None], int] = {}
    for place, each in enumerate(suite.expectations):
        places.setdefault((str(each["type"]), name_columns(each.get("kwargs") or {})), place)
    return sorted(results, key=lambda result: places.get((result.check, result.column), len(places)))
