"""Tests that dbt is not to run, because a person waived them for a partition; pure, orchestration interpreter.

dbt skips everything after a failing test of severity error, and nothing can tell it afterwards that the failure is
excused: so such a test is left out of the run, and reported as failed and excused.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from headrace.contracts.check_result import CheckResult
from headrace.dbt.manifest import DbtManifest
from headrace.dbt.run_results import TESTS, describe_check

_SELECTABLE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def list_stopping_tests(manifest: DbtManifest, partition_key: str | None) -> list[CheckResult]:
    """Describe every test on whose failure dbt skips what comes after, as if it had not been run."""
    return [
        describe_check(node, manifest, partition_key)
        for node in manifest.nodes.values()
        if node.resource_type in TESTS and node.severity != "warn"
    ]


def select_tests(manifest: DbtManifest, unique_ids: Iterable[str]) -> dict[str, str]:
    """Return dbt's selectors of some tests, by id; a test whose name no selector can say is not among them.

    Nor is one that the project has no more.
    """
    selectors = {}
    for unique_id in unique_ids:
        path = ".".join(manifest.nodes[unique_id].fqn) if unique_id in manifest.nodes else ""
        if _SELECTABLE.fullmatch(path):
            selectors[unique_id] = f"fqn:{path}"
    return selectors


def describe_waived(check: CheckResult) -> CheckResult:
    """Return the result of a waived test that was left out of a run."""
    return replace(check, message=f"{check.message}: {check.excused}")


def is_of_run(manifest: DbtManifest, test_id: str, ran: Collection[str]) -> bool:
    """Return whether a run would have had the test: it had what the test is about, or something made from it."""
    test = manifest.nodes[test_id]
    tested = {test.tests} if test.tests else set(test.upstream)
    return any(
        each in ran or any(child in ran for child in manifest.downstream.get(each, ()))
        for each in tested
        if each is not None
    )
