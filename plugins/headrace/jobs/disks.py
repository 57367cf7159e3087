"""Whether a disk has room; standard library only, either interpreter."""

import shutil
from pathlib import Path

FULL_DISK_BYTES = 1 << 20


def is_disk_full(folder: Path) -> bool:
    """Return whether less than 1 MB can be written into a folder; False where there is no such folder."""
    return folder.is_dir() and shutil.disk_usage(folder).free < FULL_DISK_BYTES
