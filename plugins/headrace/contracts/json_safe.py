"""Any value made fit for a JSON column: bounded, without NaN, NUL or secrets; either interpreter."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any

MAX_TEXT = 2_000
MAX_ITEMS = 200
MAX_DEPTH = 8
HIDDEN = "***"

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SECRET_WORD = (
    r"(?:password|passwd|pwd|passphrase|secret|(?:api|access|private)[_-]?key|(?:auth[_-]?|access[_-]?)?token)"
)
_SUSPECT = re.compile(r"[\x00\ud800-\udfff]|://\S*@|pass|pwd|secret|key|token|bearer", re.IGNORECASE)
_SECRET_KEY = re.compile(rf"(?:^|[_\-.\s]){_SECRET_WORD}$", re.IGNORECASE)
_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE)
_ASSIGNED = re.compile(rf"({_SECRET_WORD}[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&)}}]+", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer\s+)[a-z0-9._~+/=-]{8,}", re.IGNORECASE)


def hide_secrets(text: str) -> str:
    """Replace what looks like a password, token or key in a message by ``***``."""
    text = _IN_URL.sub(rf"\1{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1{HIDDEN}", text)


def make_text_safe(text: object, limit: int = MAX_TEXT) -> str:
    """Return at most ``limit`` characters that every database keeps, without secrets; ``…`` marks what was cut."""
    whole = str(text)
    if len(whole) <= limit and not _SUSPECT.search(whole):
        return whole
    # A little more than the limit, so that a secret at the cut is seen whole enough to be hidden.
    shown = hide_secrets(_UNSTORABLE.sub("\ufffd", whole[: limit + 500]))
    return shown if len(shown) <= limit and len(whole) <= limit + 500 else shown[: limit - 1] + "…"


def make_name_safe(name: object, limit: int = 500) -> str:
    """Return a name of at most ``limit`` characters; a longer one ends in a digest, so that two stay two."""
    whole = str(name)
    if len(whole) <= limit and whole.isascii() and "\0" not in whole:
        return whole
    shown = _UNSTORABLE.sub("\ufffd", whole[: limit + 1])
    if len(whole) <= limit and shown == whole:
        return shown
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{shown[: limit - 17]}…{digest}"


def make_json_safe(value: Any, *, depth: int = MAX_DEPTH, items: int = MAX_ITEMS) -> Any:
    """Return the value as JSON types only.

    NaN and the infinities become the strings ``NaN``, ``Infinity`` and ``-Infinity``; times ISO 8601; texts are cut at
    2,000 characters, mappings and lists at ``items`` entries, nesting at ``depth``; values under keys such as
    ``password`` become ``***``. What is unknown becomes its ``str``.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return make_text_safe(value)
    if kind is dict and depth > 0:
        return _make_mapping_safe(value, depth, items)
    if isinstance(value, Enum):
        return make_json_safe(value.value, depth=depth, items=items)
    if isinstance(value, int):
        return value if value.bit_length() <= 256 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        return _make_float_safe(value)
    if isinstance(value, str):
        return make_text_safe(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return make_text_safe(bytes(value[:MAX_TEXT]).decode("utf-8", "replace"))
    if depth <= 0:
        return "…"
    if isinstance(value, Mapping):
        return _make_mapping_safe(value, depth, items)
    if isinstance(value, Iterable) and not hasattr(value, "item"):
        return _make_list_safe(value, depth, items)
    return _make_other_safe(value, depth, items)


def _make_float_safe(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _make_mapping_safe(value: Mapping[Any, Any], depth: int, items: int) -> dict[str, Any]:
    safe: dict[str, Any] = {}
    for number, (key, inner) in enumerate(value.items()):
        if number >= items:
            safe["…"] = f"{len(value) - items} more"
            break
        name = make_name_safe(key)
        hidden = _SECRET_KEY.search(name) is not None and inner is not None
        safe[name] = HIDDEN if hidden else make_json_safe(inner, depth=depth - 1, items=items)
    return safe


def _make_list_safe(value: Iterable[Any], depth: int, items: int) -> list[Any]:
    safe: list[Any] = []
    for inner in value:
        if len(safe) >= items:
            safe.append("…")
            break
        safe.append(make_json_safe(inner, depth=depth - 1, items=items))
    return safe


def _make_other_safe(value: Any, depth: int, items: int) -> Any:
    """Numbers of numpy and decimal, arrays, and whatever else a tool hands over."""
    unwrap = getattr(value, "tolist", None)  # numpy scalars and arrays
    if callable(unwrap):
        return make_json_safe(unwrap(), depth=depth - 1, items=items)
    try:
        return _make_float_safe(float(value))
    except (TypeError, ValueError, OverflowError):
        return make_text_safe(value)
