"""A process that imports Great Expectations while dbt works, and runs suites; orchestration interpreter."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.exceptions import HeadraceError
from headrace.gx.suites import list_suites, load_suite
from headrace.quality.incidents import SUITE_CHECK

RunSuite = Callable[[str, Path, str | None], list[CheckResult]]


@contextmanager
def start_suites_process(expectations: Path) -> Iterator[RunSuite]:
    """Give a function that runs a suite on a partition of a warehouse.

    A suite that cannot be run gives one result, which is an error.
    """
    if not list_suites(expectations):
        yield lambda suite, warehouse, partition_key: []
        return
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_suites, args=(theirs, expectations), daemon=True)
    process.start()
    theirs.close()

    def run(suite: str, warehouse: Path, partition_key: str | None) -> list[CheckResult]:
        try:
            ours.send((suite, warehouse, partition_key))
            answer = ours.recv()
        except (EOFError, OSError):
            process.join(5)
            raise HeadraceError(
                f"The process that runs suites died at {suite}, exit code {process.exitcode}."
            ) from None
        if isinstance(answer, BaseException):
            raise answer
        return list(answer)

    try:
        yield run
    finally:
        ours.close()
        process.join(5)
        if process.is_alive():
            process.kill()


def serve_suites(requests: Connection, expectations: Path) -> None:
    """Run suites until nobody asks any more; the child process."""
    from headrace.gx import run_suite  # noqa: F401

    while True:
        try:
            suite, warehouse, partition_key = requests.recv()
        except (EOFError, OSError):
            # At Python's end DuckDB complains of what Great Expectations still holds, and nobody is to read that.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            return
        try:
            requests.send(_run_suite(expectations, suite, warehouse, partition_key))
        except Exception as error:  # noqa: BLE001 - it is the parent's to raise
            requests.send(HeadraceError(f"suite {suite} cannot be run: {type(error).__name__}: {error}"))


def _run_suite(expectations: Path, suite: str, warehouse: Path, partition_key: str | None) -> list[CheckResult]:
    from headrace.gx.run_suite import run_suite

    try:
        return run_suite(expectations, suite, warehouse, partition_key)
    except HeadraceError as error:
        target = load_suite(expectations, suite).target()
        failed = CheckResult(
            tool="gx",
            dataset=target.dataset,
            partition_key=partition_key,
            check=SUITE_CHECK,
            column=None,
            severity=Severity.CRITICAL,
            status=Status.ERROR,
            message=f"{partition_key or ''} {target.dataset}: {error.message}".strip(),
            check_id=suite,
        )
        return [failed]
