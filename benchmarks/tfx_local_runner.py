"""Runs flight_delay under LocalDagRunner, with no Headrace and no Airflow, and prints its times; TFX interpreter.

    .venv-tfx/bin/python benchmarks/tfx_local_runner.py --features .headrace/features/flight_features \
        --partition-key 2013-01 --partition-key 2013-02

Each partition is one pipeline run, one after the other, in one process and one ML Metadata store, as the training DAG
does it. Prints JSON: wall seconds of everything, imports included, of each run and of each node, and the AUCs.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_STARTED = time.monotonic()
_ROOT = Path(__file__).resolve().parents[1]
# The same that Headrace's worker sets.
for _name, _value in {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}.items():
    os.environ.setdefault(_name, _value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True, help="folder of <partition key>.parquet")
    parser.add_argument("--partition-key", action="append", required=True, help="repeat it: one run each")
    parser.add_argument("--pipelines-dir", type=Path, default=_ROOT / "tfx_pipelines")
    parser.add_argument("--work-dir", type=Path, help="folder for artifacts (default: one that is removed)")
    parser.add_argument("--no-cache", action="store_true", help="run every node, whatever an earlier run made")
    options = parser.parse_args()
    work_dir = options.work_dir or Path(tempfile.mkdtemp(prefix="tfx_local_runner."))
    work_dir.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(options.pipelines_dir.resolve()))
    standard_output = os.dup(1)
    os.dup2(2, 1)  # only the JSON goes to standard output
    try:
        result = measure(options, work_dir)
    finally:
        os.dup2(standard_output, 1)
        if options.work_dir is None:
            shutil.rmtree(work_dir)
    print(json.dumps(result, indent=1))


def measure(options: argparse.Namespace, work_dir: Path) -> dict[str, Any]:
    """Run each partition once."""
    from absl import logging
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.portable import launcher

    from flight_delay.pipeline import create_pipeline

    logging.set_verbosity(logging.ERROR)
    imported = time.monotonic()
    features = work_dir / "data" / "flight_features"
    features.parent.mkdir(exist_ok=True)
    features.symlink_to(options.features.resolve())
    nodes: dict[str, float] = {}
    launch = launcher.Launcher.launch

    def timed_launch(self: Any) -> Any:
        started = time.monotonic()
        try:
            return launch(self)
        finally:
            nodes[self._pipeline_node.node_info.id] = round(time.monotonic() - started, 2)

    launcher.Launcher.launch = timed_launch
    runs = []
    for key in options.partition_key:
        started = time.monotonic()
        nodes.clear()
        LocalDagRunner().run(
            create_pipeline(
                pipeline_name="flight_delay",
                pipeline_root=str(work_dir / "artifacts"),
                data_root=str(work_dir / "data"),
                serving_model_dir=str(work_dir / "serving"),
                metadata_path=str(work_dir / "metadata.sqlite"),
                enable_cache=not options.no_cache,
                partition_key=key,
            )
        )
        seconds = round(time.monotonic() - started, 2)
        runs.append({"partition_key": key, "seconds": seconds, "nodes": dict(nodes), "auc": read_auc(work_dir)})
    return {
        "seconds": round(time.monotonic() - _STARTED, 2),
        "import_seconds": round(imported - _STARTED, 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "pushed_models": len(list((work_dir / "serving").glob("*/saved_model.pb"))),
        "runs": runs,
    }


def read_auc(work_dir: Path) -> float:
    """Return the overall AUC of the newest evaluation."""
    import tensorflow_model_analysis as tfma

    newest = max((work_dir / "artifacts" / "Evaluator" / "evaluation").iterdir(), key=lambda folder: int(folder.name))
    for found in tfma.load_metrics(str(newest)):
        if not found.slice_key.single_slice_keys:
            for pair in found.metric_keys_and_values:
                if pair.key.name == "auc" and not pair.key.is_diff and pair.key.model_name != "baseline":
                    return round(pair.value.double_value.value, 4)
    raise ValueError(f"no overall AUC in {newest}")


if __name__ == "__main__":
    main()
