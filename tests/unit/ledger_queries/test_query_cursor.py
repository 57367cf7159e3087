"""A cursor comes back as it was, and anything else is refused in words."""

import base64
import json
from datetime import UTC, datetime

import pytest

from headrace.exceptions import HeadraceError, InvalidCursorError
from headrace.ledger.query_cursor import Cursor, decode_cursor, encode_cursor

AT = datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)


def _encode(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor("severity", 2, AT, 1),
        Cursor("newest", 0, datetime(1, 1, 1, tzinfo=UTC), 2**63 - 1),
        Cursor("oldest", 0, datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), 7),
    ],
)
def test_a_cursor_survives_and_is_safe_in_a_url(cursor: Cursor) -> None:
    encoded = encode_cursor(cursor)
    assert decode_cursor(encoded, cursor.sort) == cursor
    assert encoded.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "text",
    [
        "not base64!", "é", "====", "a" * 201, _encode(None), _encode({}), _encode([]), _encode([1, "newest", 0, 0]),
        _encode([2, "newest", 0, 0, 1]), _encode([1, "newest", "0", 0, 1]), _encode([1, "newest", 0, 1.5, 1]),
        _encode([1, "newest", 3, 0, 1]), _encode([1, "newest", 0, 0, 0]), _encode([1, "newest", 0, 0, 2**63]),
        _encode([1, "newest", 0, 10**40, 1]), _encode([1, "newest", True, 0, 1]), _encode([1, "newest", 0, 0, True]),
        encode_cursor(Cursor("newest", 0, AT, 9))[:-4], "[" * 150,
    ],
)  # fmt: skip
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError, match="begin again without one") as refused:
        decode_cursor(text, "newest")
    assert isinstance(refused.value, HeadraceError)


def test_a_cursor_of_another_order_is_refused() -> None:
    with pytest.raises(InvalidCursorError, match="sorted by 'newest', not by 'severity'"):
        decode_cursor(encode_cursor(Cursor("newest", 0, AT, 9)), "severity")
