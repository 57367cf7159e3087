"""How values, times and addresses are written for people; pure; orchestration interpreter."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

TOOLS = {"dbt": "dbt", "gx": "Great Expectations", "tfdv": "TFDV", "tfma": "TFMA", "tfx": "TFX", "landing": "Landing"}
STATES = {
    "open": "Open",
    "acknowledged": "Acknowledged",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
}
DECISIONS = {"pass": "Passed", "warn": "Passed with warnings", "block": "Blocked"}
RESOLUTIONS = {
    "passed": "passed again",
    "released": "its rows were released",
    "waived": "waived",
    "retired": "its check is made no more",
    "manual": "resolved by hand",
}
_STEPS = ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (14 * 86400, 86400, "d"), (730 * 86400, 7 * 86400, "w"))
_LONG = {"s": "second", "min": "minute", "h": "hour", "d": "day", "w": "week", "y": "year"}
_OVERRIDES = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\N{REPLACEMENT CHARACTER}")
_NOT_NUMBERS = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True)
class Shown:
    """A value as a cell shows it.

    Attributes:
        text: What is read.
        kind: ``null``, ``nan``, ``number``, ``boolean``, ``text``, ``empty`` or ``json``: how it is set.
    """

    text: str
    kind: str


def show_age(moment: datetime, now: datetime) -> str:
    """Write a time's distance from now in its largest unit: ``3 min``, ``2 h``, ``5 d``, ``7 w``."""
    count, unit = _span(now - moment)
    return f"{count} {unit}"


def show_ago(moment: datetime, now: datetime) -> str:
    """Write a time in the past as prose: ``3 minutes ago``; what is at most 5 seconds off is ``just now``."""
    if abs((now - moment).total_seconds()) <= 5:
        return "just now"
    count, unit = _span(abs(now - moment))
    words = f"{count} {_LONG[unit]}{'s'[: count != 1]}"
    return f"{words} ago" if moment <= now else f"in {words}"


def show_time(moment: datetime) -> str:
    """Write a time whole, in UTC: ``12 Feb 2013, 08:00 UTC``."""
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def show_count(count: int | None, noun: str, plural: str | None = None) -> str:
    """Write ``1 row``, ``2,010 rows``; a dash where the count is not known."""
    if count is None:
        return "–"
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def show_number(value: float) -> str:
    """Write a number as a person would: thousands separated, at most four significant decimals."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        text = f"{int(value):,}"
    elif abs(value) >= 1e15 or abs(value) < 1e-4:
        text = f"{value:.3g}"
    else:
        decimals = 2 if abs(value) >= 1 else 4
        text = f"{value:,.{decimals}f}".rstrip("0").rstrip(".")
    return text.replace("-", "−", 1) if text.startswith("-") else text


def show_cell(value: Any) -> Shown:
    """Tell how a value of a row is shown, so that null, ``"null"``, an empty text and NaN differ to the eye."""
    if value is None:
        return Shown("null", "null")
    if isinstance(value, bool):
        return Shown(str(value).lower(), "boolean")
    if isinstance(value, int | float):
        # As it is in the row: 2013 may be a year, and a float's last digit why it failed.
        return Shown(repr(value), "number") if math.isfinite(value) else Shown(show_number(value), "nan")
    if isinstance(value, str):
        if value in _NOT_NUMBERS:
            return Shown(value, "nan")
        return Shown(value, "text") if value.strip() else Shown("empty text" if not value else "blank text", "empty")
    return Shown(json.dumps(value, ensure_ascii=False, default=str), "json")


def show_value(value: Any, most: int = 12) -> str:
    """Write an observed value in one line: a number, a text, a short list, else JSON."""
    if isinstance(value, list | tuple):
        more = f", … ({len(value):,} in all)" if len(value) > most else ""
        # As they are in the rows: 2013 of a list is a year or a key rather than an amount.
        return ", ".join(show_cell(each).text for each in value[:most]) + more
    if isinstance(value, int | float):
        return show_number(value)
    return show_cell(value).text


def show_expected(expected: Any) -> list[tuple[str, str]]:
    """Write what was expected as pairs of words: bounds become ``between … and …``, other arguments their names.

    Args:
        expected: A check result's ``expected``: None, a value, or a mapping of the check's arguments.
    """
    if expected is None:
        return []
    if not isinstance(expected, Mapping):
        return [("expected", show_value(expected))]
    rest = dict(expected)
    low, high = rest.pop("min_value", None), rest.pop("max_value", None)
    strict = (bool(rest.pop("strict_min", False)), bool(rest.pop("strict_max", False)))
    pairs = []
    if low is not None and high is not None:
        pairs.append(("between", f"{show_value(low)} and {show_value(high)}"))
    elif low is not None:
        pairs.append(("more than" if strict[0] else "at least", show_value(low)))
    elif high is not None:
        pairs.append(("less than" if strict[1] else "at most", show_value(high)))
    mostly = rest.pop("mostly", None)
    if isinstance(mostly, int | float) and mostly < 1:
        pairs.append(("in at least", f"{show_number(mostly * 100)} % of rows"))
    elif mostly not in (None, 1):
        pairs.append(("mostly", show_value(mostly)))
    return pairs + [(_words(name), show_value(value)) for name, value in rest.items()]


def show_partition(partition_key: str) -> str:
    return partition_key or "whole dataset"


def safe_link(address: str | None) -> str | None:
    """Return an address if it may be a link: http or https with a host; None for ``javascript:`` and all else."""
    if not address or any(ord(character) < 33 or character in "\\\"'<>`" for character in address):
        return None
    try:
        parts = urlsplit(address)
        return address if parts.scheme.lower() in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def list_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of rows, in the order in which they first occur; quarantined rows are looked into."""
    return list(dict.fromkeys(str(name) for row in rows for name in (row["row"] if "row_id" in row else row)))


def show_overrides(value: Any) -> Any:
    """Replace characters that turn around the text after them, so that no name passes for another, by a visible one."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return value.translate(_OVERRIDES)
    return value


def path_segment(text: str) -> str:
    return quote(text, safe="")


def _span(distance: timedelta) -> tuple[int, str]:
    seconds = max(0.0, distance.total_seconds())
    for limit, size, unit in _STEPS:
        if seconds < limit:
            return int(seconds // size), unit
    return int(seconds // (365 * 86400)), "y"


def _words(name: str) -> str:
    return str(name).replace("_", " ")
