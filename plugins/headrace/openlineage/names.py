"""Names of datasets in OpenLineage: a namespace, and a name in it; pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILES = ("file", "features")


def name_dataset(version: Mapping[str, Any], warehouse: str) -> tuple[str, str]:
    """Return the namespace and the name of the dataset that a data version is of.

    Files are named by their folder, so that every partition is of one dataset; which partition is told by a facet.

    Args:
        version: ``dataset``, ``kind``, ``uri`` and ``partition_key``.
        warehouse: Namespace of its tables.
    """
    kind, uri = version.get("kind"), version.get("uri")
    if kind in FILES and uri:
        path = Path(str(uri))
        return "file", str(path.parent if version.get("partition_key") else path)
    if kind == "artifact":
        pipeline, _, name = str(version["dataset"]).partition(".")
        return f"mlmd://{pipeline}", name or pipeline
    if kind == "model_version":
        return "headrace://models", str(version["dataset"])
    return warehouse, str(version["dataset"]) if kind in FILES else str(uri or version["dataset"])
