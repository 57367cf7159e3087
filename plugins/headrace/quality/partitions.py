"""Partition keys: what may be one, checked before it gets near a path or a query. Pure; either interpreter."""

import re

from headrace.exceptions import InvalidPartitionKeyError

_MONTH_KEY = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_PARTITION_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=-]{0,99}")


def parse_month_key(key: object) -> tuple[int, int]:
    """Parse the key of a monthly partition.

    Args:
        key: For example ``2013-01``; nothing else is trimmed or guessed.

    Returns:
        Year and month, the month in 1 to 12.

    Raises:
        InvalidPartitionKeyError: Not a month; the message names the key and the form that is wanted.
    """
    match = _MONTH_KEY.fullmatch(key) if isinstance(key, str) else None
    if match is None:
        raise InvalidPartitionKeyError(
            f"partition key {_shown(key)} is not a month: write it as YYYY-MM, for example 2013-01", key=_shown(key)
        )
    return int(match[1]), int(match[2])


def check_partition_key(key: object) -> str:
    """Return the key of a partition of any dataset if it is safe in a file name and in a query.

    Raises:
        InvalidPartitionKeyError: Empty, too long, or with characters outside letters, digits and ``_ . = -``.
    """
    if not isinstance(key, str) or not _PARTITION_KEY.fullmatch(key) or ".." in key:
        raise InvalidPartitionKeyError(
            f"partition key {_shown(key)} is not usable: 1 to 100 letters, digits or any of _ . = -, "
            "beginning with a letter or digit and without '..', for example 2013-01",
            key=_shown(key),
        )
    return key


def _shown(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 120 else f"{text[:117]}..."
