"""Reading and writing the files that cross the interpreters; either interpreter."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CONTRACT_VERSION = 1


class ContractError(ValueError):
    """A file that crosses the interpreters is missing, unreadable or of another version."""


def make_private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, also where it exists with another mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document so that a reader sees the old file or the whole new one.

    Args:
        path: Where to write; its folder is created.
        document: JSON-safe content; ``contract_version`` is added.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"contract_version": CONTRACT_VERSION, **document}, indent=1, allow_nan=False)
    replace_file(path, text.encode())


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write, flush to disk and rename; a crash leaves the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:  # noqa: PTH123
            file.write(content)
        rename_durably(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk says no more than that it is full
        raise


def rename_durably(partial: Path, path: Path) -> None:
    """Flush a file that is written to disk, and give it its name; a crash leaves the old file or the new one."""
    _flush(partial)
    partial.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any]:
    """Read a document that :func:`write_json` wrote.

    Raises:
        ContractError: The file is missing, is not JSON, or is of another contract version.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ContractError(f"{path} does not exist") from None
    except ValueError as error:
        raise ContractError(f"{path} is not valid JSON: {error}") from error
    version = document.get("contract_version") if isinstance(document, dict) else None
    if version != CONTRACT_VERSION:
        raise ContractError(
            f"{path} has contract version {version!r}, this Headrace reads {CONTRACT_VERSION}: write it again"
        )
    return dict(document)


def fingerprint_files(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its name relative to ``root``; a missing file is ``"missing"``."""
    return {
        name: hashlib.sha256((root / name).read_bytes()).hexdigest() if (root / name).is_file() else "missing"
        for name in sorted(names)
    }
