"""The environment in which another interpreter runs this package; either interpreter."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

DROPPED = ("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV")


def build_worker_environment(state_dir: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Build the TFX interpreter's environment: a task's, without Airflow's own settings and secrets.

    Args:
        state_dir: Where a link to this package is made, for the other interpreter to import it by.
        base: The task's environment; this process's by default.
    """
    kept = {key: value for key, value in base.items() if not key.startswith(DROPPED)}
    return {**kept, "PYTHONPATH": str(build_import_path(state_dir / "import_path")), "PYTHONUNBUFFERED": "1"}


def build_import_path(folder: Path) -> Path:
    """Return a folder from which this package, and nothing else, can be imported by another interpreter.

    An installed package lies among everything that Airflow needs; with that folder on its path, the TFX interpreter
    would import numpy, protobuf and the like for the wrong Python.
    """
    folder.mkdir(parents=True, exist_ok=True)
    package, link = Path(__file__).parents[1], folder / "headrace"
    if not link.is_symlink() or link.readlink() != package:
        fresh = folder / f".headrace.{uuid.uuid4().hex}"
        fresh.symlink_to(package)
        fresh.replace(link)
    return folder
