"""What became of a partition, read from what its runs left behind."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headrace.cli.watch import WatchedRun
from headrace.contracts.check_result import CheckResult
from headrace.contracts.files import ContractError, read_json
from headrace.contracts.node_run import OUTCOME_FILE, NodeOutcome
from headrace.jobs.environment import build_worker_environment
from headrace.quality.verdict import decide_verdict
from headrace.settings import Settings

SCORED_ROWS = 5


def build_report(
    settings: Settings, partition_key: str, runs: Iterable[WatchedRun], label: str | None = None
) -> dict[str, Any]:
    """Build the report of one partition.

    Args:
        settings: Of the project.
        partition_key: The partition.
        runs: Its runs that were followed, in order.
        label: Column to show beside each score; None: none.

    Returns:
        JSON-safe: ``runs`` with the seconds of each task, ``dbt``, ``checks`` by tool and severity, ``failing``
        messages, ``model``, ``scored``.
    """
    runs = list(runs)
    folders = [settings.run_folder(run.dag_id, run.run_id) for run in runs]
    checks = [check for folder in folders for check in _load_checks(folder)]
    outcomes = [outcome for folder in folders for outcome in _load_outcomes(folder)]
    model = _describe_model(outcomes)
    published = next((_published(file) for folder in folders for file in folder.glob("*/published.json")), None)
    return {
        "partition_key": partition_key,
        "runs": [
            {
                "dag_id": run.dag_id,
                "run_id": run.run_id,
                "state": run.state,
                "tasks": {task.task_id: {"state": task.state, "seconds": task.duration} for task in run.tasks},
                "errors": run.errors,
            }
            for run in runs
        ],
        "dbt": _count_dbt(folders),
        "published": published,
        "checks": _count_checks(checks),
        "failing": [
            {
                "tool": check.tool,
                "severity": check.severity.value,
                "message": check.message,
                "quarantined_rows": check.quarantined_rows,
            }
            for check in checks
            if not check.passed
        ],
        "model": model,
        **_score(settings, partition_key, published, model["pushed_to"] if model else None, label),
    }


def _score(
    settings: Settings,
    partition_key: str,
    published: dict[str, Any] | None,
    pushed_to: str | None,
    label: str | None,
) -> dict[str, Any]:
    """Score a few rows of the partition with the model that was pushed.

    Returns:
        ``scored``, the rows, and ``score_error``, why there are none; both empty where no model was pushed.
    """
    if not pushed_to:
        return {"scored": [], "score_error": None}
    files = [Path(published["path"])] if published else sorted(settings.features_dir.glob(f"*/{partition_key}.parquet"))
    if len(files) != 1:
        return {"scored": [], "score_error": f"{len(files)} published tables have a partition {partition_key}"}
    command = [str(settings.tfx_python), "-m", "headrace.tfx_worker", "score", "--model", pushed_to]
    command += ["--data", str(files[0]), "--rows", str(SCORED_ROWS), "--json"]
    command += ["--label", label] if label else []
    environment = build_worker_environment(settings.state_dir)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"scored": [], "score_error": f"the pushed model could not score {files[0].name}: {said}"}
    return {"scored": list(json.loads(done.stdout)), "score_error": None}


def _load_checks(folder: Path) -> Iterable[CheckResult]:
    for file in sorted(folder.glob("*/checks.json")):
        yield from (CheckResult.from_json(check) for check in read_json(file)["checks"])


def _load_outcomes(folder: Path) -> Iterable[NodeOutcome]:
    for file in sorted(folder.glob(f"*/{OUTCOME_FILE}")):
        try:
            yield NodeOutcome.load(file.parent)
        except ContractError:
            continue  # a node that was killed: its run has failed, which the report says


def _published(file: Path) -> dict[str, Any]:
    document = read_json(file)
    return {key: document[key] for key in ("path", "rows", "sha256", "changed") if key in document}


def _count_dbt(folders: list[Path]) -> dict[str, Any]:
    """Count dbt's nodes by kind and status."""
    counts: dict[str, Counter[str]] = {}
    for folder in folders:
        for file in folder.glob("*/run_results.json"):
            for result in json.loads(file.read_bytes())["results"]:
                kind = result["unique_id"].split(".")[0]
                counts.setdefault(kind, Counter())[result["status"]] += 1
    return {kind: dict(count) for kind, count in sorted(counts.items())}


def _count_checks(checks: list[CheckResult]) -> dict[str, dict[str, dict[str, int]]]:
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for check in checks:
        cell = counts.setdefault(check.tool, {}).setdefault(check.severity.value, {"passed": 0, "failed": 0})
        cell["passed" if check.passed else "failed"] += 1
    return counts


def _describe_model(outcomes: list[NodeOutcome]) -> dict[str, Any] | None:
    """Describe the model that a run trained; None where it evaluated none."""
    evaluation = next((outcome for outcome in outcomes if outcome.metrics is not None), None)
    if evaluation is None or evaluation.metrics is None:
        return None
    blessings = [outcome for outcome in outcomes if outcome.blessed is not None]
    refusals = [
        outcome
        for outcome in blessings
        if not outcome.blessed or (outcome.checks and decide_verdict(outcome.checks).blocks)
    ]
    return {
        "blessed": bool(blessings) and not refusals,
        "why": [check.message for outcome in blessings for check in outcome.checks],
        "metrics": evaluation.metrics,
        "pushed_to": next((outcome.pushed_to for outcome in outcomes if outcome.pushed_to), None),
    }
