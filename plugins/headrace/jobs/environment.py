"""The environment in which another interpreter runs this package; either interpreter."""

import os
from pathlib import Path

DROPPED = ("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV")


def build_worker_environment(state_dir: Path) -> dict[str, str]:
    """Build the TFX interpreter's environment: this process's, without Airflow's own settings and secrets."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(DROPPED)}
    return {**kept, "PYTHONPATH": str(build_import_path(state_dir / "import_path")), "PYTHONUNBUFFERED": "1"}


def build_import_path(folder: Path) -> Path:
    """Return a folder from which this package, and nothing else, can be imported by another interpreter.

    An installed package lies among everything that Airflow needs; with that folder on its path, the TFX interpreter
    would import numpy, protobuf and the like for the wrong Python.
    """
    folder.mkdir(parents=True, exist_ok=True)
    package, link = Path(__file__).parents[1], folder / "headrace"
    if not link.is_symlink() or link.readlink() != package:
        fresh = folder / f".headrace.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(package)
        fresh.replace(link)
    return folder
