"""What every benchmark prints and writes: medians with their spread, and where they were measured."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from headrace.settings import load_settings

RESULTS = Path(__file__).parent / "results"
TFX_PACKAGES = (
    "tfx",
    "tensorflow",
    "tensorflow-cpu",
    "apache-beam",
    "tensorflow-transform",
    "tensorflow-model-analysis",
)
PACKAGES = ("apache-airflow", "astronomer-cosmos", "dbt-core", "duckdb", "great-expectations")


def summarise(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def divide(ours: Sequence[float], peers: Sequence[float]) -> list[float]:
    """Return the ratio of each pair; where one side ran less often, of as many as there are."""
    return [each / peer for each, peer in zip(ours, peers, strict=False)]


def show(values: Sequence[float], unit: str = "s") -> str:
    summary = summarise(values)
    return f"{summary['median']:.2f} {unit} ({summary['min']:.2f}–{summary['max']:.2f})"


def read_tfx_versions() -> dict[str, str]:
    """Return the versions of what the TFX environment has of interest."""
    python = load_settings(Path(__file__).parents[1]).tfx_python
    folders = [str(folder) for folder in python.parents[1].glob("lib/python*/site-packages")]
    found = {each.metadata["Name"].replace("_", "-"): each.version for each in distributions(path=folders)}
    return {name: found[name] for name in TFX_PACKAGES if name in found}


def write(name: str, figures: Mapping[str, Any]) -> Path:
    """Write the figures with machine, versions and commit."""
    RESULTS.mkdir(exist_ok=True)
    describe = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False)
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
        "versions": {**{package: version(package) for package in PACKAGES}, **read_tfx_versions()},
        **figures,
    }
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(document, indent=1))
    return file
