"""Distributions of features as TFDV measured them, bounded, for charts; either interpreter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.contracts.files import ContractError, read_json, write_json

STATISTICS_FILE = "statistics.json"
MAX_FEATURES = 500
MAX_BUCKETS = 20
MAX_TOP = 20
MAX_TEXT = 100

Statistics = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By split, by feature::

    {"type": "int" | "float" | "string" | "bytes" | "struct", "count": rows with a value, "missing": rows without,
     "nan": values that are no number, "mean", "std", "min", "max", "median": number or None, "zeros": values,
     "histogram": [[low, high, count], …], "top": [[value, count], …], "unique": distinct values or None}

Every key is there whatever the type; what a type does not have is None or empty. Buckets are of equal width and
ascend, the most frequent value is first. Numbers are finite. At most ``MAX_FEATURES`` features a split,
``MAX_BUCKETS`` buckets, ``MAX_TOP`` values of ``MAX_TEXT`` characters.
"""


def write_statistics(folder: Path, statistics: Statistics) -> None:
    """Write ``statistics.json`` into a job's folder.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    write_json(folder / STATISTICS_FILE, {"splits": statistics})


def load_statistics(folder: Path) -> Statistics | None:
    """Load what a node left in its job's folder; None where it measured nothing.

    Raises:
        ContractError: There is a file, and it is not of this contract.
    """
    file = folder / STATISTICS_FILE
    if not file.exists():
        return None
    splits = read_json(file).get("splits")
    if not isinstance(splits, dict) or not all(isinstance(features, dict) for features in splits.values()):
        raise ContractError(f"{file} does not hold features by split")
    return splits
