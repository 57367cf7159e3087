"""Folders of model files: their digest, whole copies of them, and whether one is still whole; either interpreter.

Imports the standard library and contracts only, so that a server can verify what the registry wrote.
"""

import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from headrace.contracts.deployment import MANIFEST_FILE, Manifest
from headrace.contracts.files import ContractError
from headrace.exceptions import RegistryError

PARTIAL = ".partial-"
"""In the name of a folder that is being written: ``.<name>.partial-<token>-<host>-<pid>``; each call has its own."""
_OWNER = re.compile(rf"{re.escape(PARTIAL)}[0-9a-f]{{8}}-(.+)-([0-9]+)")
_BLOCK = 1 << 20


@contextmanager
def as_registry_error(what: str, stands: str = "Nothing was changed.") -> Iterator[None]:
    """Turn what the file system refuses into a retryable error that says what was being done, and what holds now."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise RegistryError(f"Could not {what}: {error.strerror or error}{where}. {stands}") from error


def digest_tree(folder: Path) -> Manifest:
    """Digest every file below a folder, its own manifest left out.

    Raises:
        RegistryError: There is no such folder, no file in it, or something that is neither file nor folder.
    """
    if not folder.is_dir():
        raise RegistryError(f"There is no model in {folder}: it was moved, or never pushed.")
    with as_registry_error(f"read the model in {folder}"):
        files: dict[str, dict[str, str | int]] = {
            path.relative_to(folder).as_posix(): {"sha256": _digest_file(path), "size": path.stat().st_size}
            for path in _list_files(folder)
        }
    if not files:
        raise RegistryError(f"The folder {folder} holds no file: no model was pushed there.")
    return Manifest(files, digest_files(files))


def digest_files(files: Mapping[str, Mapping[str, str | int]]) -> str:
    """Return the SHA-256 of a manifest's files: of ``<path> NUL <sha256> NUL <size> newline``, in order of path."""
    lines = (f"{path}\0{files[path]['sha256']}\0{files[path]['size']}\n" for path in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def verify_tree(folder: Path, digest: str) -> list[str]:
    """Return what is wrong with a folder that has a manifest; nothing where it is whole and of this digest."""
    try:
        manifest = Manifest.load(folder)
    except ContractError as error:
        return [str(error)]
    if manifest.digest != digest:
        return [f"{folder} holds a model of digest {manifest.digest[:12]}, not {digest[:12]}"]
    try:
        found = digest_tree(folder)
    except RegistryError as error:
        return [error.message]
    wrong = [f"{name} is missing" for name in manifest.files.keys() - found.files.keys()]
    wrong += [f"{name} is not of this version" for name in found.files.keys() - manifest.files.keys()]
    both = manifest.files.keys() & found.files.keys()
    wrong += [f"{name} is not as it was written" for name in both if manifest.files[name] != found.files[name]]
    return sorted(wrong) or ([] if found.digest == digest else ["the manifest is not of its own files"])


def copy_tree(source: Path, target: Path) -> None:
    """Give a folder a second name, whole or not at all: files are linked, or copied across file systems.

    What is written is flushed to disk before the folder gets its name. A target that is there is replaced.

    Raises:
        RegistryError: It could not be written, for example for a full disk; nothing of it stays.
    """
    partial = make_partial(target)
    try:
        with as_registry_error(f"copy {source} to {target}"):
            for path in _list_files(source, with_manifest=True):
                copy = partial / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                link_file(path, copy)
            name_tree(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # of a copy that failed; a killed one's is dropped by reconcile


def make_partial(target: Path) -> Path:
    """Make the folder in which another is written before it gets its name; reconcile drops what a killed one left."""
    owner = f"{secrets.token_hex(4)}-{socket.gethostname()}-{os.getpid()}"
    partial = target.with_name(f".{target.name}{PARTIAL}{owner}")
    with as_registry_error(f"write {target}"):
        partial.mkdir(parents=True)
    return partial


def read_owner(partial: Path) -> tuple[str, int] | None:
    """Return the host and the process that write a folder; None where its name does not say."""
    match = _OWNER.search(partial.name)
    return (match[1], int(match[2])) if match else None


def remove_tree(folder: Path) -> None:
    """Remove a folder: at once for who looks for its name, and then its files."""
    with as_registry_error(f"remove {folder}"):
        if folder.is_dir():
            aside = make_partial(folder)
            folder.replace(aside)
            shutil.rmtree(aside)


def name_tree(partial: Path, target: Path) -> None:
    """Flush a folder to disk and give it its name, in place of what had it."""
    for path in (*partial.rglob("*"), partial):
        if path.is_dir() or path.is_file():
            _flush(path)
    if target.exists():  # nobody who follows the ledger reads it: what is wanted there is being put there
        aside = make_partial(target.with_name(f"{target.name}-old"))
        target.replace(aside)
        partial.replace(target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        partial.replace(target)
    _flush(target.parent)


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        shutil.copyfile(source, target)


def _list_files(folder: Path, with_manifest: bool = False) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise RegistryError(f"{path} is a link or no plain file: a model version keeps plain files only.")
        if path.is_file() and (with_manifest or path != folder / MANIFEST_FILE):
            found.append(path)
    return found


def _digest_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
