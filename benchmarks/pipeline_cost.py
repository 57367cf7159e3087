"""The example pipeline's own cost: ``flight_delay`` before its cuts and now, both under TFX's LocalDagRunner.

Two months, nothing cached, imports included, one whole process a run. The sides alternate, and each pair trains with
another seed, so that the spread of the AUC between equal models is seen beside the difference between the sides.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import record
from benchmarks.example_data import build_features, run_locally
from headrace.settings import load_settings

ROOT = Path(__file__).parents[1]
# The last commit before the cuts; HEADRACE_BENCHMARK_BEFORE names another.
BEFORE = "911ac7d"
SEEDS = (2013, 2014, 2015)
MONTHS = ("2013-01", "2013-02")
PARTITION = MONTHS[-1]
_SEED_LINE = "_SEED = 2013\n"


@dataclass
class Side:
    """One state of the pipeline, and what its runs took and reached.

    Attributes:
        pipelines: Its folder of pipelines.
        seconds: Wall seconds of each run.
        processor_seconds: Of each run and its children.
        evaluations: What the Evaluator of each run wrote.
        auc: AUC of each run by slice; ``overall`` is all rows.
    """

    pipelines: Path
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    evaluations: list[Path] = field(default_factory=list)
    auc: dict[str, list[float]] = field(default_factory=dict)


def run() -> None:
    """Measure and print."""
    before = os.environ.get("HEADRACE_BENCHMARK_BEFORE", BEFORE)
    with tempfile.TemporaryDirectory(prefix="headrace-pipeline-cost-") as folder:
        features = build_features(Path(folder) / "features", MONTHS)
        sides = {"before": Side(extract(before, Path(folder) / "before")), "after": Side(copy(Path(folder) / "after"))}
        for seed in SEEDS:
            for name, side in sides.items():
                measure(side, seed, features, Path(folder) / f"{name}-{seed}")
                print(f"  {name:6} seed {seed}: {side.seconds[-1]:.1f} s", flush=True)
        read_auc(sides.values())
    figures = summarise(sides)
    show(sides, figures)
    print(f"  {record.write('pipeline_cost', {'before': before, **figures}).relative_to(ROOT)}")


def extract(revision: str, folder: Path) -> Path:
    """Write ``tfx_pipelines`` as it was at a revision; returns the folder of pipelines."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", revision, "tfx_pipelines"], cwd=ROOT, check=False, stdout=subprocess.PIPE
    ).stdout
    if not archive:
        raise SystemExit(f"this clone has no commit {revision}: fetch the whole history (git fetch --unshallow)")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder / "tfx_pipelines"


def copy(folder: Path) -> Path:
    shutil.copytree(ROOT / "tfx_pipelines", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def measure(side: Side, seed: int, features: Path, output: Path) -> None:
    """Run a side once with a seed."""
    set_seed(side.pipelines / "flight_delay" / "model.py", seed)
    command, environment = run_locally(PARTITION, features, output, side.pipelines)
    used, started = processor_seconds(), time.monotonic()
    with tempfile.TemporaryFile() as log:
        done = subprocess.run(command, env=environment, check=False, stdout=log, stderr=subprocess.STDOUT)
        side.seconds.append(time.monotonic() - started)
        side.processor_seconds.append(processor_seconds() - used)
        if done.returncode:
            log.seek(0)
            raise SystemExit(
                f"{side.pipelines} failed with seed {seed}:\n{log.read().decode(errors='replace')[-3000:]}"
            )
    side.evaluations += (output / "artifacts" / "Evaluator" / "evaluation").iterdir()


def set_seed(model: Path, seed: int) -> None:
    """Replace the seed in a copy of ``model.py``."""
    lines = [f"_SEED = {seed}\n" if line.startswith("_SEED = ") else line for line in model.open()]
    if f"_SEED = {seed}\n" not in lines:
        raise SystemExit(f"{model} has no line {_SEED_LINE!r}: every run would train the same model")
    model.write_text("".join(lines))


def processor_seconds() -> float:
    """Return what ended children of this process have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_auc(sides: Iterable[Side]) -> None:
    """Read the AUC of every run by slice (``overall``, ``carrier=UA``), as TFMA measured it."""
    code = (
        "import json, sys; from headrace.tfx_worker.evaluation_metrics import read_metrics; "
        "print(json.dumps([read_metrics(uri) for uri in sys.argv[1:]]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "TF_USE_LEGACY_KERAS": "1"}
    for side in sides:
        command = [str(load_settings(ROOT).tfx_python), "-c", code, *map(str, side.evaluations)]
        said = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for metrics in json.loads(said.stdout.splitlines()[-1]):
            side.auc.setdefault("overall", []).append(metrics["overall"]["auc"])
            for one in metrics["slices"]:
                name = ",".join(f"{column}={value}" for column, value in one["slice"].items())
                if "auc" in one["metrics"]:
                    side.auc.setdefault(name, []).append(one["metrics"]["auc"])


def summarise(sides: Mapping[str, Side]) -> dict[str, object]:
    """Return the figures that are written: seconds, ratios, AUC by slice with the difference of its means."""
    before, after = sides["before"], sides["after"]
    return {
        "seconds": {name: record.summarise(side.seconds) for name, side in sides.items()},
        "processor_seconds": {name: record.summarise(side.processor_seconds) for name, side in sides.items()},
        "ratio": record.summarise(record.divide(after.seconds, before.seconds)),
        "processor_ratio": record.summarise(record.divide(after.processor_seconds, before.processor_seconds)),
        "seeds": list(SEEDS),
        "auc": {
            name: {
                "before": before.auc[name],
                "after": after.auc.get(name, []),
                "difference": statistics.mean(after.auc[name]) - statistics.mean(before.auc[name])
                if name in after.auc
                else None,
            }
            for name in before.auc
        },
    }


def show(sides: Mapping[str, Side], figures: Mapping[str, object]) -> None:
    """Print seconds, ratios and the AUC table."""
    before, after = sides["before"], sides["after"]
    for name, side in sides.items():
        print(f"  {name:7} {record.show(side.seconds)}, processor {record.show(side.processor_seconds)}")
    print(f"  ratio   {record.show(record.divide(after.seconds, before.seconds), '×')} (goal: 0.5), ", end="")
    print(f"processor {record.show(record.divide(after.processor_seconds, before.processor_seconds), '×')}")
    print(f"  {'AUC (mean, min–max)':22} {'before':>24} {'after':>24}  difference")
    for name, aucs in before.auc.items():
        found = after.auc.get(name)
        if not found:
            print(f"  {name:22} {spread(aucs):>24} {'missing':>24}")
            continue
        print(
            f"  {name:22} {spread(aucs):>24} {spread(found):>24}  {statistics.mean(found) - statistics.mean(aucs):+.4f}"
        )


def spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.4f} ({min(values):.4f}–{max(values):.4f})"


if __name__ == "__main__":
    run()
