"""What every benchmark prints and writes: medians with their spread, and where they were measured."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("apache-airflow", "astronomer-cosmos", "dbt-core", "duckdb", "great-expectations")


def summarise(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def divide(ours: Sequence[float], peers: Sequence[float]) -> list[float]:
    """Return the ratio of each pair; where one side ran less often, of as many as there are."""
    return [each / peer for each, peer in zip(ours, peers, strict=False)]


def show(values: Sequence[float], unit: str = "s") -> str:
    summary = summarise(values)
    return f"{summary['median']:.2f} {unit} ({summary['min']:.2f}–{summary['max']:.2f})"


def write(name: str, figures: Mapping[str, Any]) -> Path:
    """Write the figures with machine, versions and commit."""
    RESULTS.mkdir(exist_ok=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    document = {
        "benchmark": name,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": {
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {package: version(package) for package in PACKAGES},
        **figures,
    }
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(document, indent=1))
    return file
