"""Which partition files a training window holds, and what exactly is in them; TFX interpreter."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tfx.dsl.io import fileio

_SUFFIX = ".parquet"
# One path segment: no separators, nothing hidden, nothing that climbs.
_PARTITION_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=+-]*")
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class PartitionFile:
    """One partition's file, identified by its content.

    Attributes:
        key: The partition's key, which is the file's stem: ``2013-01``.
        uri: Where the file lies.
        size: Bytes.
        sha256: Digest of the content, so that a cached result is never reused for other data.
    """

    key: str
    uri: str
    size: int
    sha256: str


def choose_partitions(available: Sequence[str], partition_key: str | None, window: int) -> list[str]:
    """Choose the partitions of a window.

    Args:
        available: Keys that exist, in any order.
        partition_key: The newest partition of the window; None: the newest that exists.
        window: How many partitions, at most; fewer are fine where fewer exist.

    Returns:
        Keys in ascending order, ending at ``partition_key``.

    Raises:
        ValueError: The key is not a plain name, it does not exist, or the window is empty.
    """
    if window < 1:
        raise ValueError(f"window is {window}; it must be at least 1 partition")
    if not available:
        raise ValueError("there is no partition file at all")
    last = partition_key or max(available)
    if not _PARTITION_KEY.fullmatch(last):
        raise ValueError(f"{last!r} is not a partition key: letters, digits and _ . = + - only, and no folders")
    if last not in available:
        raise ValueError(f"there is no partition {last!r}; there are {', '.join(sorted(available)[-12:])}")
    return sorted(key for key in available if key <= last)[-window:]


def find_window(folder: str, partition_key: str | None, window: int) -> list[PartitionFile]:
    """Find and fingerprint the files of a window; hidden, temporary and foreign files are never looked at.

    Raises:
        ValueError: See :func:`choose_partitions`; the message names the folder.
    """
    names = fileio.listdir(folder) if fileio.isdir(folder) else []
    available = [
        name[: -len(_SUFFIX)]
        for name in names
        if name.endswith(_SUFFIX) and _PARTITION_KEY.fullmatch(name[: -len(_SUFFIX)])
    ]
    try:
        keys = choose_partitions(available, partition_key, window)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    return [fingerprint_file(key, os.path.join(folder, key + _SUFFIX)) for key in keys]


def fingerprint_file(key: str, uri: str) -> PartitionFile:
    """Digest one file, a megabyte at a time."""
    digest, size = hashlib.sha256(), 0
    with fileio.open(uri, "rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return PartitionFile(key=key, uri=uri, size=size, sha256=digest.hexdigest())


def encode_window(files: Sequence[PartitionFile]) -> str:
    return json.dumps([asdict(file) for file in files])


def decode_window(text: str) -> list[PartitionFile]:
    return [PartitionFile(**file) for file in json.loads(text)]
