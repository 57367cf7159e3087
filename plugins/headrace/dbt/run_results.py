"""From dbt's ``run_results.json`` to check results and a summary; orchestration interpreter."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.dbt.manifest import DbtManifest, DbtNode
from headrace.dbt.ownership import describe_dataset, describe_test
from headrace.exceptions import DbtRunError
from headrace.quality.incidents import SKIPPED
from headrace.quality.verdict import SEVERITY_RANK

_BUILT = ("model", "seed", "snapshot")
TESTS = ("test", "unit_test")
_ERRORS = ("error", "runtime error", "partial success")
SKIPPED_STATUS, WARNED_STATUS = "skipped", "warn"
_SEVERITIES = {
    **{severity.value: severity for severity in Severity},
    "warn": Severity.WARNING,  # dbt's own words are understood too
    "error": Severity.CRITICAL,
}
_STATUS = {"pass": Status.PASSED, "fail": Status.FAILED, "warn": Status.FAILED}
_NOT_NULL = re.compile(r"^\s*select\s+\S+\s+from\b", re.IGNORECASE)


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
class FailingRows:
    """Where the rows that failed a test are: kept in a table by ``store_failures``, or selected by the test's SQL."""

    relation: str | None
    sql: str | None


@dataclass(frozen=True)
class DbtRun:
    """What one invocation of dbt found and did.

    Attributes:
        checks: Results of its tests, in dbt's order.
        builds: Check ``build`` of each model, seed or snapshot that was built or could not be; none of what was
            skipped, which says nothing of its own.
        summary: What it did.
        failing: By ``check_id``, where a failed test's rows are.
        ran: Ids of all nodes that it was to run.
        known: Ids of all nodes of the project: what was skipped, or not run this time, is still there.
        failed: By id, what dbt says of each node that failed, of whatever kind.
    """

    checks: tuple[CheckResult, ...]
    builds: tuple[CheckResult, ...]
    summary: DbtRunSummary
    failing: Mapping[str, FailingRows]
    ran: frozenset[str]
    known: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> dict[str, str]:
        """By id, what is wrong with each node that failed, or that warned of what its user calls critical."""
        said = {str(check.check_id): check.message for check in self.results}
        critical = {str(check.check_id): check.message for check in _list_critical(self)}
        failed = {unique_id: said.get(unique_id, message) for unique_id, message in self.failed.items()}
        return {unique_id: told for unique_id, told in {**failed, **critical}.items() if unique_id not in self.excused}

    @property
    def excused(self) -> dict[str, str]:
        """By id, who waived a failing test and why."""
        return {str(check.check_id): check.excused for check in self.checks if check.excused}

    @property
    def results(self) -> tuple[CheckResult, ...]:
        return (*self.builds, *self.checks)


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
        One check result a test that ran or was skipped, one a model that was built or failed, and the summary. A
        skipped test was not evaluated, so it counts as a failure.
    """
    results = [(_find_node(manifest, each["unique_id"]), each) for each in document["results"]]
    tests = [(node, each) for node, each in results if node.resource_type in TESTS]
    checks = tuple(_parse_test(node, each, manifest, partition_key) for node, each in tests)
    summary = DbtRunSummary(
        models_built=sum(node.resource_type in _BUILT and each["status"] == "success" for node, each in results),
        tests_passed=sum(each["status"] == "pass" for _, each in tests),
        tests_warned=sum(each["status"] == "warn" for _, each in tests),
        tests_failed=sum(each["status"] == "fail" for _, each in tests),
        skipped=tuple(node.name for node, each in results if each["status"] == "skipped"),
        errors={node.name: _one_line(each) for node, each in results if each["status"] in _ERRORS},
        seconds=float(document.get("elapsed_time") or 0.0),
    )
    builds = tuple(
        _parse_build(node, each, manifest, partition_key)
        for node, each in results
        if node.resource_type in _BUILT and each["status"] in ("success", *_ERRORS)
    )
    failing = {
        node.unique_id: FailingRows(each.get("relation_name"), _select_whole_rows(node, each.get("compiled_code")))
        for node, each in tests
        if node.resource_type == "test" and each["status"] in ("fail", "warn")
    }
    ran = frozenset(node.unique_id for node, _ in results)
    failed = {
        node.unique_id: f"{node.name}: {_one_line(each)}"
        for node, each in results
        if each["status"] in ("fail", *_ERRORS)
    }
    return DbtRun(checks, builds, summary, failing, ran, frozenset(manifest.nodes), failed)


def require_success(run: DbtRun) -> None:
    """Raise when a node of the invocation failed, or a test of dbt's severity warn that its user calls critical.

    Raises:
        DbtRunError: The message names each failed model and test, and how many nodes were skipped for it.
    """
    failed = [check.message for check in _list_critical(run)]
    if run.summary.succeeded and not failed:
        return
    errors = [f"{name}: {message}" for name, message in run.summary.errors.items()]
    raise DbtRunError(
        f"dbt failed ({run.summary.describe()})" + "".join(f"\n  {line}" for line in (*errors, *failed)),
        errors=dict(run.summary.errors),
        failed=failed,
        skipped=list(run.summary.skipped),
    )


def _list_critical(run: DbtRun) -> list[CheckResult]:
    return [
        check
        for check in run.checks
        if check.status is Status.FAILED and check.severity is Severity.CRITICAL and not check.excused
    ]


def judge_node(
    manifest: DbtManifest, partition_key: str | None, unique_id: str, status: str, message: str, failures: int
) -> CheckResult:
    """Return what one node of an invocation came to.

    Args:
        manifest: Of the project.
        partition_key: The partition that dbt was run for.
        unique_id: Of the node.
        status: dbt's word for how it ended.
        message: What dbt says of it.
        failures: Of a test, how many rows failed it.
    """
    node = _find_node(manifest, unique_id)
    result = {"unique_id": unique_id, "status": status, "message": message, "failures": failures}
    return (_parse_test if node.resource_type in TESTS else _parse_build)(node, result, manifest, partition_key)


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
    about = describe_check(node, manifest, partition_key)
    severity, remark = _decide_severity(about.meta.get("severity"), Severity.WARNING if warns else Severity.CRITICAL)
    failures = int(result.get("failures") or 0) if status is Status.FAILED else None
    subject = f"{partition_key} {about.dataset}" if partition_key else about.dataset
    return replace(
        about,
        severity=severity,
        status=status,
        message=f"{subject}: {_sentence(node, result, status)}{'' if status is Status.PASSED else remark}",
        observed=failures,
        failed_rows=None if node.resource_type == "unit_test" else failures,
    )


def describe_check(node: DbtNode, manifest: DbtManifest, partition_key: str | None) -> CheckResult:
    """Describe a test that was not run: what it is filed under and whose it is; failed, for nobody saw it pass."""
    tested = manifest.nodes.get(node.tests or "")
    dataset = tested.name if tested else node.name
    return CheckResult(
        tool="dbt",
        dataset=dataset,
        partition_key=partition_key,
        check=node.name if node.resource_type == "unit_test" else node.test_name or node.name,
        column=node.column,
        severity=Severity.WARNING if node.severity == "warn" else Severity.CRITICAL,
        status=Status.FAILED,
        message=f"{f'{partition_key} {dataset}' if partition_key else dataset}: {node.name} was not run",
        expected=dict(node.test_arguments) or None,
        check_id=node.unique_id,
        meta=describe_test(manifest, node),
    )


def _parse_build(
    node: DbtNode, result: Mapping[str, Any], manifest: DbtManifest, partition_key: str | None
) -> CheckResult:
    built = result["status"] == "success"
    subject = f"{partition_key} {node.name}" if partition_key else node.name
    return CheckResult(
        tool="dbt",
        dataset=node.name,
        partition_key=partition_key,
        check="build",
        column=None,
        severity=Severity.CRITICAL,
        status=Status.PASSED if built else Status.ERROR,
        message=f"{subject}: dbt built it" if built else f"{subject}: dbt could not build it: {_one_line(result)}",
        check_id=node.unique_id,
        meta=describe_dataset(manifest, node),
    )


def _decide_severity(wanted: object, of_dbt: Severity) -> tuple[Severity, str]:
    """Return the severity by ``meta.severity``, and what to say where that is not what the user wanted.

    What dbt calls an error has stopped dbt, so it stays critical.
    """
    if wanted is None:
        return of_dbt, ""
    chosen = _SEVERITIES.get(str(wanted).lower())
    if chosen is None:
        return of_dbt, f" (its meta.severity {str(wanted)[:50]!r} is none: write info, warning or critical)"
    if of_dbt is Severity.CRITICAL and SEVERITY_RANK[chosen] > SEVERITY_RANK[of_dbt]:
        return of_dbt, f" (its meta.severity says {chosen.value}, but dbt stops on it: set dbt's own `severity: warn`)"
    return chosen, ""


def _select_whole_rows(node: DbtNode, sql: object) -> str | None:
    """Return a test's SQL; of ``not_null`` the whole rows, for the column alone shows nothing."""
    if not isinstance(sql, str) or not sql.strip():
        return None
    return _NOT_NULL.sub("select * from", sql, count=1) if node.test_name == "not_null" else sql


def _sentence(node: DbtNode, result: Mapping[str, Any], status: Status) -> str:
    if status is Status.PASSED:
        return f"{node.name} holds"
    if status is Status.ERROR:
        skipped = str(result["status"]) == "skipped"
        why = SKIPPED if skipped else _one_line(result)
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
