"""Where a page of the inbox ended, as an opaque text. Pure."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace.exceptions import InvalidCursorError

_FORM = 1
_LONGEST = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Cursor:
    """The last row of a page: what the next page's rows come after.

    Attributes:
        sort: The order that the page was read in.
        rank: The row's severity rank; 0 where the order is not by severity.
        at: The time that the order is by.
        id: The incident's.
    """

    sort: str
    rank: int
    at: datetime
    id: int


def encode_cursor(cursor: Cursor) -> str:
    """Return it as text that is safe in a URL."""
    microseconds = (cursor.at - _EPOCH) // timedelta(microseconds=1)
    document = json.dumps([_FORM, cursor.sort, cursor.rank, microseconds, cursor.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode_cursor(text: str, sort: str) -> Cursor:
    """Read what :func:`encode_cursor` wrote.

    Raises:
        InvalidCursorError: It was cut or changed, or is of a page in another order.
    """
    if len(text) > _LONGEST:
        raise _invalid("it is too long")
    try:
        decoded = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        document = json.loads(decoded)
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("it is not what a page gave as its 'next'") from None
    match document:
        case [form, str(of_sort), int(rank), int(microseconds), int(id_)] if form == _FORM:
            pass
        case _:
            raise _invalid("it is not what a page gave as its 'next'")
    if of_sort != sort:
        raise _invalid(f"it is of a list sorted by {of_sort[:20]!r}, not by {sort!r}")
    if isinstance(rank, bool) or isinstance(id_, bool) or not (0 <= rank <= 2 and 0 < id_ <= _LARGEST_ID):
        raise _invalid("it names a row that cannot be")
    try:
        at = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise _invalid("it names a time that cannot be") from None
    return Cursor(of_sort, rank, at, id_)


def _invalid(why: str) -> InvalidCursorError:
    return InvalidCursorError(f"the cursor of the page of incidents is not usable: {why}; begin again without one")
