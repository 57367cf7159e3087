"""What a model is made from besides data: the pipeline's files and the TFX interpreter's lock; orchestration."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from headrace.contracts.files import fingerprint_files

LOCK_FILE = Path("requirements", "tfx.txt")
MISSING = "missing"
"""In place of a digest: there was no such file when the pipeline was compiled."""


def digest_lock(project_dir: Path) -> str | None:
    """Return the SHA-256 of a project's lock of the TFX interpreter; None where it has none."""
    lock = project_dir / LOCK_FILE
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None


def pack_sources(contents: Mapping[str, bytes]) -> bytes:
    """Pack files by their names, always the same bytes for the same content."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, content in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def gather_sources(pipelines_dir: Path, compiled: Path, code: Mapping[str, str]) -> bytes:
    """Pack the files that a pipeline was compiled from and that its nodes ran.

    A file that is no longer what was compiled or ran is left out: whoever unpacks them sees that it is missing.

    Args:
        pipelines_dir: Folder of pipelines.
        compiled: The packed files of the compile, which win over what lies in the folder now; it may not exist.
        code: All files, relative to the folder of pipelines, to their SHA-256.
    """
    packed = _read_packed(compiled)
    found = {}
    for name, digest in code.items():
        for content in (packed.get(name), _read(pipelines_dir / name)):
            if content is not None and hashlib.sha256(content).hexdigest() == digest:
                found[name] = content
                break
    return pack_sources(found)


def unpack_sources(packed: Path, folder: Path, code: Mapping[str, str]) -> list[str]:
    """Unpack a version's files; nothing is written outside of the folder.

    Args:
        packed: What :func:`pack_sources` packed.
        folder: Where to.
        code: What must be there: names to SHA-256.

    Returns:
        The names of files that are not there, or are other ones.

    Raises:
        OSError: It could not be read or written.
        tarfile.TarError: It is no such archive, or holds what leads out of the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(packed) as tar:
        tar.extractall(folder, filter="data")
    now = fingerprint_files(folder, code)
    return sorted(name for name, digest in code.items() if now[name] != digest)


def _read_packed(packed: Path) -> dict[str, bytes]:
    """Return the content of packed files; nothing of what is not there, or is damaged."""
    try:
        with tarfile.open(packed) as tar:
            return {entry.name: file.read() for entry in tar if (file := tar.extractfile(entry)) is not None}
    except (OSError, EOFError, tarfile.TarError):
        return {}


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
