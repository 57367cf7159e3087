"""The published contents that model versions were trained on: keeping, finding and dropping them; orchestration."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from headrace.contracts.contents import (
    KEPT_FOLDER,
    SUFFIX,
    digest_file,
    keep_content,
    list_folders,
    list_kept,
    name_kept,
)
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_wanted_contents
from headrace.ledger.statements import tell_time
from headrace.registry.trees import as_registry_error
from headrace.settings import Settings

log = logging.getLogger(__name__)
UNREGISTERED_DAYS = 7
"""So long a run that registered no version may still be on its way to one."""


def keep_read(features_dir: Path, digests: Mapping[str, str]) -> list[str]:
    """Keep what a run read of published partitions, where whoever published it did not.

    Args:
        features_dir: Folder of the published assets.
        digests: Partition to the SHA-256 of the file that was read.

    Returns:
        The partitions of which the content that was read is not kept: it was replaced since, or cannot be kept.
    """
    left = []
    for key, sha256 in digests.items():
        try:
            kept = any(_keep(folder, key, sha256) for folder in list_folders(features_dir))
        except OSError as error:
            log.warning("The content of partition %s could not be kept: %s", key, error)
            kept = False
        if not kept:
            left.append(key)
    return left


def find_kept(features_dir: Path, sha256: str) -> list[Path]:
    """Return where a content is kept, in each asset that had it; it may not be any more what its name says."""
    return [file for folder in list_folders(features_dir) if (file := name_kept(folder, sha256)).is_file()]


def prune_contents(ledger: Ledger, settings: Settings, now: datetime | None = None) -> list[Path]:
    """Remove kept contents that are not published now, and that no version in the registry was trained on.

    What a run of the last days was trained on that has no version (yet) stays too.

    Args:
        ledger: The ledger.
        settings: Of the main project.
        now: The time; by default the clock's.

    Returns:
        What was removed.

    Raises:
        LedgerError: It cannot say what is wanted; nothing was removed.
        RegistryError: Not all could be removed.
    """
    since = tell_time(now) - timedelta(days=UNREGISTERED_DAYS)
    with as_registry_error(f"remove contents in {settings.features_dir} that no model was trained on"):
        candidates = [
            (sha256, file)
            for folder in list_folders(settings.features_dir)
            for sha256, file in _list_replaced(folder)
        ]  # fmt: skip
        if not candidates:
            return []
        with ledger.connect() as connection:
            wanted = list_wanted_contents(connection, since)
        unwanted = [file for sha256, file in candidates if sha256 not in wanted]
        for file in unwanted:
            file.unlink(missing_ok=True)
    return unwanted


def _keep(folder: Path, key: str, sha256: str) -> bool:
    if name_kept(folder, sha256).is_file():
        return True
    file = folder / f"{key}{SUFFIX}"
    if not file.is_file() or digest_file(file) != sha256:
        return False
    kept = keep_content(folder, file, sha256)
    if digest_file(kept) == sha256:
        return True
    kept.unlink()  # replaced between the two looks
    return False


def _list_replaced(folder: Path) -> list[tuple[str, Path]]:
    """Return the kept contents of an asset that none of its partitions has now."""
    kept = list(list_kept(folder)) if (folder / KEPT_FOLDER).is_dir() else []
    published = [path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith(".")] if kept else []
    inodes = {_inode(path) for path in published}
    left = [(sha256, path) for sha256, path in kept if _inode(path) not in inodes]
    sizes = {path.stat().st_size for _, path in left}
    # A copy, where the file system cannot link; or a content that was published before, and is again.
    same = {digest_file(path) for path in published if path.stat().st_size in sizes}
    return [(sha256, path) for sha256, path in left if sha256 not in same]


def _inode(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino
