"""The value of a check over partitions, for the chart; orchestration interpreter."""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from headrace.contracts.check_result import Status
from headrace.ledger.schema import check_result, check_state
from headrace.ledger.views import SeriesPoint

_MOST = 60
_LOW = ("min_value", "lower")
_HIGH = ("max_value", "upper")


def load_series(connection: Connection, check_id: int, tool: str) -> list[SeriesPoint]:
    """Load the newest value on each of the newest 60 partitions, oldest first."""
    statement = (
        select(
            check_state.c.partition_key,
            check_result.c.id,
            check_result.c.status,
            check_result.c.observed,
            check_result.c.expected,
            check_result.c.failed_rows,
            check_result.c.total_rows,
        )
        .join(check_result, check_result.c.id == check_state.c.result_id)
        .where(check_state.c.check_id == check_id)
        .order_by(check_state.c.partition_key.desc())
        .limit(_MOST)
    )
    rows: Any = connection.execute(statement).mappings()
    return [build_point(tool, row) for row in rows][::-1]


def build_point(tool: str, row: Mapping[str, Any]) -> SeriesPoint:
    """Build one point.

    A check that counts failing rows is drawn as that count, and its bounds are those of the count: the bounds in
    ``expected`` are of the column's values then.

    Args:
        tool: Of the check; dbt gives no count where a test passes.
        row: ``partition_key``, ``id``, ``status``, ``observed``, ``expected``, ``failed_rows``, ``total_rows``.
    """
    observed, failed = read_number(row["observed"]), row["failed_rows"]
    if failed is None and tool == "dbt" and row["status"] == Status.PASSED.value and observed is None:
        failed = 0
    if failed is not None and (observed is None or observed == failed):
        value: float | None = float(failed)
        bounds: tuple[float | None, float | None] = None, _most_failing(row["expected"], row["total_rows"])
    else:
        value, bounds = observed, read_bounds(row["expected"])
    low, high = bounds
    return SeriesPoint(
        partition_key=row["partition_key"], value=value, low=low, high=high, status=row["status"], result_id=row["id"]
    )


def read_number(value: Any) -> float | None:
    """Return it as a number that can be drawn; None for everything else, infinity and booleans included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_bounds(expected: Any) -> tuple[float | None, float | None]:
    """Return least and largest of what was expected: GX's ``min_value``, ``max_value`` or ``value``, TFMA's
    ``lower`` and ``upper``. A bound on a change is none on the value.
    """
    if not isinstance(expected, Mapping) or expected.get("change") is True:
        return None, None
    exact = read_number(expected.get("value"))
    if exact is not None:
        return exact, exact
    low, high = (
        next((found for name in names if (found := read_number(expected.get(name))) is not None), None)
        for names in (_LOW, _HIGH)
    )
    return low, high


def _most_failing(expected: Any, total_rows: int | None) -> float:
    """Return how many rows may fail: none, or what ``mostly`` allows."""
    mostly = read_number(expected.get("mostly")) if isinstance(expected, Mapping) else None
    return math.floor((1 - mostly) * total_rows + 1e-9) if mostly is not None and total_rows else 0.0
