"""Published contents, kept under their digest so that a model can be trained on them again; either interpreter.

Beside the partitions of an asset, in a hidden folder that no reader of partitions looks into::

    features/<asset>/2013-01.parquet               what is published now
    features/<asset>/.versions/<sha256>.parquet    every content that was, another name of the same file where it can be
"""

import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from headrace.contracts.files import rename_durably

KEPT_FOLDER = ".versions"
SUFFIX = ".parquet"


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_kept(folder: Path, sha256: str) -> Path:
    """Return where a content of the partitions in ``folder`` is kept."""
    return folder / KEPT_FOLDER / f"{sha256}{SUFFIX}"


def keep_content(folder: Path, file: Path, sha256: str) -> Path:
    """Keep a file's content under its digest, whole or not at all: by a link, or a copy where links are impossible.

    One that is kept already stays, unless it is no longer what its name says.

    Args:
        folder: Of the asset's partitions.
        file: Is replaced, never written into, by whoever publishes: a link keeps what it was.
        sha256: Of the file, which the caller has read.

    Raises:
        OSError: It could not be kept; nothing half-written has its name.
    """
    kept = name_kept(folder, sha256)
    if kept.is_file() and (kept.samefile(file) or digest_file(kept) == sha256):
        return kept
    kept.parent.mkdir(exist_ok=True)
    partial = kept.with_name(f".{kept.name}.{socket.gethostname()}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        try:
            os.link(file, partial)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(file, partial)
        rename_durably(partial, kept)
    finally:
        partial.unlink(missing_ok=True)
    return kept


def list_folders(features_dir: Path) -> list[Path]:
    """Return the folders of all assets that were published."""
    if not features_dir.is_dir():
        return []
    return sorted(path for path in features_dir.iterdir() if path.is_dir() and not path.name.startswith("."))


def list_kept(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the digest and the file of each content that is kept of an asset."""
    for path in sorted((folder / KEPT_FOLDER).glob(f"[0-9a-f]*{SUFFIX}")):
        yield path.name.removesuffix(SUFFIX), path
