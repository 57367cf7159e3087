"""From dbt's ``run_results.json`` to check results and a summary; orchestration interpreter."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.dbt.manifest import DbtManifest, DbtNode
from headrace.exceptions import DbtRunError

_BUILT = ("model", "seed", "snapshot")
_TESTS = ("test", "unit_test")
_STATUS = {"pass": Status.PASSED, "fail": Status.FAILED, "warn": Status.FAILED}


@dataclass(frozen=True)
class DbtRunSummary:
    """What one invocation of dbt did.

    Attributes:
        models_built: Models, seeds and snapshots that were built.
        tests_passed: Tests that passed, unit tests included.
        tests_warned: Tests of severity warn that failed.
        tests_failed: Tests of severity error that failed.
        skipped: Names of nodes that were skipped, because something before them failed.
        errors: Node to message, of nodes that could not run.
        seconds: Wall time, as dbt measured it.
    """

    models_built: int
    tests_passed: int
    tests_warned: int
    tests_failed: int
    skipped: tuple[str, ...]
    errors: Mapping[str, str]
    seconds: float

    @property
    def succeeded(self) -> bool:
        return not (self.errors or self.skipped or self.tests_failed)

    def describe(self) -> str:
        """Say it in one line."""
        parts = [
            f"{self.models_built} models built",
            f"{self.tests_passed} tests passed",
            *([f"{self.tests_warned} warned"] if self.tests_warned else []),
            *([f"{self.tests_failed} failed"] if self.tests_failed else []),
            *([f"{len(self.errors)} in error"] if self.errors else []),
            *([f"{len(self.skipped)} skipped"] if self.skipped else []),
        ]
        return ", ".join(parts) + f" in {self.seconds:.1f} s"


@dataclass(frozen=True)
class DbtRun:
    """Check results of the tests of one invocation, and what it did."""

    checks: tuple[CheckResult, ...]
    summary: DbtRunSummary


def load_run_results(path: Path, manifest: DbtManifest, partition_key: str | None = None) -> DbtRun:
    """Load ``target/run_results.json``.

    Raises:
        DbtRunError: It is missing or unreadable: dbt ended before it had results, which is a failure.
    """
    try:
        return parse_run_results(json.loads(path.read_bytes()), manifest, partition_key)
    except FileNotFoundError:
        raise DbtRunError(f"{path} does not exist: dbt ended before it had any result", path=str(path)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DbtRunError(f"{path} is not dbt's run_results.json ({error!r})", path=str(path)) from error


def parse_run_results(document: Mapping[str, Any], manifest: DbtManifest, partition_key: str | None = None) -> DbtRun:
    """Parse the JSON of run results, version 6.

    Args:
        document: The JSON.
        manifest: Of the same project.
        partition_key: The partition that dbt was run for; dbt's tests read the whole table.

    Returns:
        One check result a test that ran or was skipped, in dbt's order, and the summary. A skipped test was not
        evaluated, so it counts as a failure.
    """
    results = [(_find_node(manifest, each["unique_id"]), each) for each in document["results"]]
    tests = [(node, each) for node, each in results if node.resource_type in _TESTS]
    checks = tuple(_parse_test(node, each, manifest, partition_key) for node, each in tests)
    summary = DbtRunSummary(
        models_built=sum(node.resource_type in _BUILT and each["status"] == "success" for node, each in results),
        tests_passed=sum(each["status"] == "pass" for _, each in tests),
        tests_warned=sum(each["status"] == "warn" for _, each in tests),
        tests_failed=sum(each["status"] == "fail" for _, each in tests),
        skipped=tuple(node.name for node, each in results if each["status"] == "skipped"),
        errors={node.name: _one_line(each) for node, each in results if each["status"] in ("error", "runtime error")},
        seconds=float(document.get("elapsed_time") or 0.0),
    )
    return DbtRun(checks, summary)


def require_success(run: DbtRun) -> None:
    """Raise when a node of the invocation failed.

    Raises:
        DbtRunError: The message names each failed model and test, and how many nodes were skipped for it.
    """
    if run.summary.succeeded:
        return
    failed = [
        check.message for check in run.checks if check.status is Status.FAILED and check.severity is Severity.CRITICAL
    ]
    errors = [f"{name}: {message}" for name, message in run.summary.errors.items()]
    raise DbtRunError(
        f"dbt failed ({run.summary.describe()})" + "".join(f"\n  {line}" for line in (*errors, *failed)),
        errors=dict(run.summary.errors),
        failed=failed,
        skipped=list(run.summary.skipped),
    )


def _find_node(manifest: DbtManifest, unique_id: str) -> DbtNode:
    """Return the node; one that the manifest lacks (it is of another run) keeps what its id says."""
    kind, _, name = unique_id.split(".", 2)
    return manifest.nodes.get(unique_id) or DbtNode(unique_id=unique_id, name=name, resource_type=kind)


def _parse_test(
    node: DbtNode, result: Mapping[str, Any], manifest: DbtManifest, partition_key: str | None
) -> CheckResult:
    raw_status = str(result["status"])
    status = _STATUS.get(raw_status, Status.ERROR)
    warns = raw_status == "warn" or (raw_status != "fail" and node.severity == "warn")
    tested = manifest.nodes.get(node.tests or "")
    dataset = tested.name if tested else node.name
    failures = int(result.get("failures") or 0) if status is Status.FAILED else None
    subject = f"{partition_key} {dataset}" if partition_key else dataset
    is_unit_test = node.resource_type == "unit_test"
    return CheckResult(
        tool="dbt",
        dataset=dataset,
        partition_key=partition_key,
        check=node.name if is_unit_test else node.test_name or node.name,
        column=node.column,
        severity=Severity.WARNING if warns else Severity.CRITICAL,
        status=status,
        message=f"{subject}: {_sentence(node, result, status)}",
        observed=failures,
        expected=dict(node.test_arguments) or None,
        failed_rows=None if is_unit_test else failures,
    )


def _sentence(node: DbtNode, result: Mapping[str, Any], status: Status) -> str:
    if status is Status.PASSED:
        return f"{node.name} holds"
    if status is Status.ERROR:
        skipped = str(result["status"]) == "skipped"
        why = "it was skipped, because something before it failed" if skipped else _one_line(result)
        return f"{node.name} could not be evaluated: {why}"
    if node.resource_type == "unit_test":
        return f"unit test {node.name} fails: {_one_line(result)}"
    sentence = _failing_rows(node, int(result.get("failures") or 0))
    return f"{sentence} ({node.description})" if node.description else sentence


def _failing_rows(node: DbtNode, count: int) -> str:
    column, arguments = node.column, node.test_arguments
    rows, values = (f"{count:,} {noun}{'s'[: count != 1]}" for noun in ("row", "value"))
    has = "has" if count == 1 else "have"
    if node.test_name == "not_null":
        return f"{rows} {has} no {column}"
    if node.test_name == "unique":
        return f"{values} of {column} occur{'s'[: count == 1]} more than once"
    if node.test_name == "accepted_values":
        return f"{values} of {column} outside {', '.join(str(value) for value in arguments.get('values') or [])}"
    if node.test_name == "relationships":
        return f"{rows} {has} a {column} that {_referred(arguments)} lacks"
    if node.test_name == "accepted_range":
        low, high = arguments.get("min_value", "…"), arguments.get("max_value", "…")
        return f"{rows} {has} {column} outside {low} to {high}"
    return f"{rows} fail{'s'[: count == 1]} {node.name}"


def _referred(arguments: Mapping[str, Any]) -> str:
    """``ref('stg_planes')`` with field ``tailnum`` becomes ``stg_planes.tailnum``."""
    names = re.findall(r"'([^']+)'|\"([^\"]+)\"", str(arguments.get("to")))
    table = "_".join(single or double for single, double in names) or str(arguments.get("to"))
    return f"{table}.{arguments.get('field')}"


def _one_line(result: Mapping[str, Any]) -> str:
    return " ".join(str(result.get("message") or "dbt gave no message").split())[:500]
