"""Which rows fail an expectation: a few of them whole, and the query that finds them all; orchestration interpreter.

GX builds the statement for the failing rows of each kind of expectation itself, row conditions and ignored nulls
included. It is run here for the first rows and, without its limit, handed on as SQL. Imports GX inside its functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROWS_QUERY = "unexpected_rows_expectation"


@dataclass(frozen=True)
class FailingRows:
    """Rows that fail one expectation.

    Attributes:
        sample: The first of them, as DuckDB gave them.
        query: SQL that returns them all; None where GX knows no rows for this kind of expectation.
        columns: Columns of the query that say which row it is.
    """

    sample: Sequence[Mapping[str, Any]] = ()
    query: str | None = None
    columns: Sequence[str] = ()


def is_about_rows(kind: str) -> bool:
    """Whether an expectation of this type fails row by row, so that its failing rows can be named."""
    from great_expectations.expectations.registry import get_expectation_impl

    return isinstance(getattr(get_expectation_impl(kind), "map_metric", None), str) or _asks_for_rows(kind)


def find_failing_rows(
    engine: Any, configuration: Any, batch_id: str, columns: Sequence[str], limit: int
) -> FailingRows:
    """Find the rows that fail an expectation, pushed down; reads at most ``limit`` of them.

    Args:
        engine: The ``DuckdbExecutionEngine`` that holds the batch.
        configuration: ``expectation_config`` of GX's result, its parameters filled in.
        batch_id: The batch to look at.
        columns: Columns of the batch.
        limit: Rows of the sample.
    """
    from great_expectations.validator.metrics_calculator import MetricsCalculator

    metric = _name_metric(configuration.type)
    if metric is None:
        return FailingRows()
    kwargs = {**configuration.kwargs, "batch_id": batch_id}
    expectation = type(configuration)(type=configuration.type, kwargs=kwargs).to_domain_obj()
    result_format = {"result_format": "SUMMARY", "partial_unexpected_count": limit, "include_unexpected_rows": True}
    wanted = expectation.get_validation_dependencies(
        execution_engine=engine, runtime_configuration={"result_format": result_format}
    ).metric_configurations[metric]
    rows = MetricsCalculator(engine).get_metric(wanted)
    query = _write_query(engine, engine.last_statement)
    found = list(columns) if not _asks_for_rows(configuration.type) else _describe(engine, query)
    return FailingRows([dict(row) for row in rows[:limit]], query, found)


def _name_metric(kind: str) -> str | None:
    from great_expectations.expectations.registry import get_expectation_impl

    if _asks_for_rows(kind):
        return "unexpected_rows_query.table"
    metric = getattr(get_expectation_impl(kind), "map_metric", None)
    return f"{metric}.unexpected_rows" if isinstance(metric, str) else None


def _asks_for_rows(kind: str) -> bool:
    from great_expectations.expectations.core import UnexpectedRowsExpectation
    from great_expectations.expectations.registry import get_expectation_impl

    return issubclass(get_expectation_impl(kind), UnexpectedRowsExpectation)


def _write_query(engine: Any, statement: Any) -> str:
    import sqlalchemy

    if isinstance(statement, sqlalchemy.TextClause):
        return str(statement.text)
    compiled = statement.limit(None).compile(dialect=engine.engine.dialect, compile_kwargs={"literal_binds": True})
    return str(compiled)


def _describe(engine: Any, query: str) -> list[str]:
    import sqlalchemy

    return [str(row[0]) for row in engine.execute_query(sqlalchemy.text(f"describe {query}")).fetchall()]
