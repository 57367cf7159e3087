"""One plain sentence for a failed expectation; pure; orchestration interpreter."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_SHOWN_ROWS = 3
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")

# Expectations about a statistic of the whole partition: what the statistic is called.
_STATISTICS = {
    "expect_column_mean_to_be_between": "the mean of {column}",
    "expect_column_median_to_be_between": "the median of {column}",
    "expect_column_min_to_be_between": "the least {column}",
    "expect_column_max_to_be_between": "the greatest {column}",
    "expect_column_sum_to_be_between": "the sum of {column}",
    "expect_column_stdev_to_be_between": "the standard deviation of {column}",
    "expect_column_unique_value_count_to_be_between": "the number of distinct values of {column}",
    "expect_column_proportion_of_unique_values_to_be_between": "the share of distinct values of {column}",
    "expect_column_proportion_of_non_null_values_to_be_between": "the share of rows with a {column}",
    "expect_table_row_count_to_be_between": "the number of rows",
    "expect_table_row_count_to_equal": "the number of rows",
    "expect_table_column_count_to_be_between": "the number of columns",
}


def describe_failure(
    configuration: Mapping[str, Any],
    details: Mapping[str, Any],
    sample: Sequence[Mapping[str, Any]],
    row_key: Sequence[str],
    total_rows: int,
    partition_key: str | None = None,
) -> str:
    """Say what failed, on how many rows and where.

    Args:
        configuration: The expectation: ``type``, ``kwargs``, ``description``, ``meta`` (``unit`` goes after numbers).
        details: GX's ``result`` of it.
        sample: Failing rows, keys included; JSON-safe.
        row_key: Columns that name a row.
        total_rows: Rows that were looked at.
        partition_key: Of the partition; times are shown without the year that it says already.
    """
    kind, kwargs = str(configuration["type"]), configuration.get("kwargs") or {}
    unit = str((configuration.get("meta") or {}).get("unit") or "")
    if kind == "unexpected_rows_expectation":
        rows = _rows(int(details.get("observed_value") or 0), total_rows)
        return f"{rows} {_described(configuration)}{_places([], sample, row_key, partition_key)}"
    if "unexpected_count" in details:
        failed, total = int(details["unexpected_count"]), int(details.get("element_count") or total_rows)
        tested = _tested_columns(kwargs)
        values = [row.get(tested[0]) for row in sample] if tested else []
        phrase = _phrase(kind, kwargs, values, unit, failed == 1)
        allowed = _allowed(kwargs)
        return f"{_rows(failed, total)} {phrase}{_places(tested, sample, row_key, partition_key)}{allowed}"
    if kind == "expect_column_to_exist":
        return f"there is no column {kwargs.get('column')}"
    if kind in _STATISTICS:
        subject = _STATISTICS[kind].format(column=kwargs.get("column"))
        observed = show_value(details.get("observed_value"))
        return f"{subject} is {observed}{_unit(unit)}, expected {_bounds(kwargs, unit)}"
    mismatched = (details.get("details") or {}).get("mismatched") or {}
    missing = details.get("partial_missing_list") or mismatched.get("missing")
    if missing:
        return f"{kwargs.get('column') or 'the table'} lacks {', '.join(show_value(value) for value in missing)}"
    observed = f"; found {show_value(details['observed_value'])}" if details.get("observed_value") is not None else ""
    return f"{configuration.get('description') or kind} does not hold{observed}"


def show_value(value: Any) -> str:
    """Write a value as a person would: thousands separated, at most two decimals, null for None."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.2f}" if abs(value) >= 0.01 else f"{value:g}"
    if isinstance(value, list):
        return ", ".join(show_value(each) for each in value[:10]) + (", …" if len(value) > 10 else "")
    return str(value)[:100]


def _rows(failed: int, total: int) -> str:
    return f"{failed:,} of {total:,} row{'s'[: total != 1]}"


def _tested_columns(kwargs: Mapping[str, Any]) -> list[str]:
    if kwargs.get("column"):
        return [str(kwargs["column"])]
    several = kwargs.get("column_list") or [kwargs.get("column_A"), kwargs.get("column_B")]
    return [str(name) for name in several if name]


def _phrase(kind: str, kwargs: Mapping[str, Any], values: Sequence[Any], unit: str, one: bool) -> str:
    has, is_ = ("has", "is") if one else ("have", "are")
    column = kwargs.get("column")
    if kind == "expect_column_values_to_not_be_null":
        return f"{has} no {column}"
    if kind == "expect_column_values_to_be_null":
        return f"{has} a {column}, which should be null"
    if kind == "expect_column_values_to_be_between":
        return f"{has} {column} {_outside(kwargs, values, unit)}"
    if kind in ("expect_column_values_to_be_in_set", "expect_column_values_to_not_be_in_set"):
        a_forbidden = "none of" if kind.endswith("be_in_set") and "not" not in kind else "one of"
        return f"{has} {column} that is {a_forbidden} {show_value(kwargs.get('value_set'))}"
    if kind == "expect_column_values_to_be_unique":
        return f"{has} a {column} that another row has too"
    if kind in ("expect_compound_columns_to_be_unique", "expect_select_column_values_to_be_unique_within_record"):
        others = "another row has" if one else "other rows have"
        return f"{has} {', '.join(kwargs.get('column_list') or [])} that {others} too"
    if kind == "expect_column_pair_values_a_to_be_greater_than_b":
        return f"{has} {kwargs.get('column_A')} not greater than {kwargs.get('column_B')}"
    if kind == "expect_column_pair_values_to_be_equal":
        return f"{has} {kwargs.get('column_A')} different from {kwargs.get('column_B')}"
    return f"{is_} against {kind}" + (f" of {column}" if column else "")


def _outside(kwargs: Mapping[str, Any], values: Sequence[Any], unit: str) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    values = [_as_number(value) for value in values if value is not None]
    comparable = all(type(value) in (int, float) for value in [*values, *(b for b in (low, high) if b is not None)])
    if high is not None and (low is None or (comparable and values and all(value >= high for value in values))):
        return f"above {show_value(high)}{_unit(unit)}"
    if low is not None and (high is None or (comparable and values and all(value <= low for value in values))):
        return f"below {show_value(low)}{_unit(unit)}"
    return f"outside {show_value(low)} to {show_value(high)}{_unit(unit)}"


def _bounds(kwargs: Mapping[str, Any], unit: str) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if kwargs.get("value") is not None:
        return f"{show_value(kwargs['value'])}{_unit(unit)}"
    if low is None or high is None:
        return f"at {'most' if low is None else 'least'} {show_value(high if low is None else low)}{_unit(unit)}"
    return f"{show_value(low)} to {show_value(high)}{_unit(unit)}"


def _places(
    tested: Sequence[str], sample: Sequence[Mapping[str, Any]], row_key: Sequence[str], partition_key: str | None
) -> str:
    """Say where: ``(1,048.36 at EWR, 12 Feb 08:00Z)``."""
    shown = []
    tested = list(tested)
    for row in sample[:_SHOWN_ROWS]:
        names = [name for name in row_key if name in row and [name] != tested]
        key = ", ".join(_show_key(name, row[name], partition_key) for name in names)
        others = [name for name in tested if name in row and (len(tested) == 1 or name not in row_key)]
        values = ", ".join(
            show_value(row[name]) if len(tested) == 1 else f"{name}={show_value(row[name])}" for name in others
        )
        shown.append(" at ".join(part for part in (values, key) if part))
    shown = [each for each in shown if each]
    more = "; …" if len(sample) > _SHOWN_ROWS else ""
    return f" ({'; '.join(shown)}{more})" if shown else ""


def _show_key(name: str, value: Any, partition_key: str | None) -> str:
    """Write a part of a row's key: times short, words as they are, and the name before what says nothing without it."""
    if isinstance(value, str) and value:
        return show_time(value, partition_key) or value[:100]
    return f"{name}={value if isinstance(value, int) else show_value(value)}"


def show_time(text: str, partition_key: str | None = None) -> str | None:
    """Write an ISO 8601 date or time as ``12 Feb 08:00Z``; with the year, where the partition key does not say it.

    Returns:
        None where the text is neither.
    """
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    day = f"{moment.day} {_MONTHS[moment.month - 1]}"
    if not (partition_key or "").startswith(f"{moment.year:04}"):
        day += f" {moment.year}"
    if len(text) == 10:
        return day
    clock = f"{moment:%H:%M:%S.%f}".rstrip("0").rstrip(".") if moment.microsecond else f"{moment:%H:%M:%S}"
    clock = clock.removesuffix(":00") if clock.count(":") == 2 and not moment.microsecond else clock
    offset = moment.utcoffset()
    zone = "" if offset is None else "Z" if not offset else f"{moment:%z}"
    return f"{day} {clock}{zone}"


def _as_number(value: Any) -> Any:
    """Read back what JSON cannot hold, to compare it; NaN lies above everything, as in DuckDB."""
    return (
        {"NaN": math.inf, "Infinity": math.inf, "-Infinity": -math.inf}.get(value, value)
        if isinstance(value, str)
        else value
    )


def _allowed(kwargs: Mapping[str, Any]) -> str:
    mostly = kwargs.get("mostly")
    if mostly is None or mostly == 1:
        return ""
    return f"; at most {(1 - float(mostly)) * 100:.4g} % may"


def _described(configuration: Mapping[str, Any]) -> str:
    text = configuration.get("description") or (configuration.get("meta") or {}).get("notes")
    return f"fail: {text}" if text else "are returned by a query that should return none"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
