"""Several processes at one ledger, and processes that die while they write."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ledger_book import NOW, Book, result
from sqlalchemy import event

from headrace.ledger.database import open_ledger
from headrace.ledger.recording import record_results
from headrace.ledger.schema import metadata
from headrace.ledger.views import TaskTry

ROOT = Path(__file__).parents[3]
WRITER = Path(__file__).with_name("ledger_writer.py")


def start(url: str, name: str, **spec: Any) -> "subprocess.Popen[str]":
    document = json.dumps({"url": url, "name": name, **spec})
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    return subprocess.Popen(
        [sys.executable, str(WRITER), document],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def open_gate(gate: Path, writers: "list[subprocess.Popen[str]]") -> None:
    """Let the writers begin, once every one of them has imported what it needs and waits."""
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n", writer.communicate()
    gate.touch()


def finish(process: "subprocess.Popen[str]") -> int:
    output, errors = process.communicate(timeout=300)
    assert output == "done\n", errors
    return process.returncode


def test_processes_that_report_the_same_failure_at_once(url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    # The ledger is not there yet: they make it at once, too.
    writers = [start(url, str(number), times=5, gate=str(gate)) for number in range(4)]
    open_gate(gate, writers)
    assert [finish(writer) for writer in writers] == [0, 0, 0, 0]
    with open_ledger(url) as ledger:
        book = Book(ledger)
        [row] = book.rows("incident")
        assert (row.state, row.occurrences, row.failing_partitions) == ("open", 40, 2)
        assert [line.failures for line in book.rows("incident_partition")] == [20, 20]
        assert book.told() == [(1, "opened")]
        assert len(book.rows("check_definition")) == 2
        assert len(book.rows("check_result")) == 60
        assert len(book.rows("verdict")) == 2


def test_the_same_try_reported_by_two_processes_at_once(url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    writers = [start(url, "same", gate=str(gate)) for _ in range(2)]
    open_gate(gate, writers)
    assert [finish(writer) for writer in writers] == [0, 0]
    with open_ledger(url) as ledger:
        book = Book(ledger)
        assert [row.occurrences for row in book.rows("incident")] == [2]
        assert (len(book.rows("check_result")), book.told()) == (3, [(1, "opened")])


def record_and_die(url: str, number: int) -> bool:
    """Record in a process that is killed before its ``number``-th statement, or before it commits if it has fewer.

    Returns:
        Whether it was killed; else it has recorded.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
        return os.WIFSIGNALED(status)
    code = 1
    try:
        ledger, left = open_ledger(url), [number]

        def count(*_: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(ledger.engine, "before_cursor_execute", count)
        event.listen(ledger.engine, "commit", count)
        record_results(ledger, TaskTry("flights", "killed", "gate"), RESULTS, now=NOW)
        code = 0
    finally:
        os._exit(code)


RESULTS = [result(key="2013-01"), result(key="2013-02"), result(check="rows", status="passed")]


def test_a_process_killed_at_any_of_its_statements_leaves_nothing(url: str) -> None:
    def read(book: Book) -> dict[str, list[Any]]:
        return {name: book.rows(name) for name in metadata.tables}

    task = TaskTry("flights", "before", "gate")
    with open_ledger(url) as ledger:
        book = Book(ledger)
        record_results(ledger, task, [result(key="2013-01", status="passed"), result(check="rows")], now=NOW)
        before = read(book)
        killed = 0
        while record_and_die(url, killed):
            killed += 1
            assert read(book) == before, f"killed before statement {killed}"
            assert killed < 100
        assert killed > 10  # between all of its statements, and before it committed
        assert len(book.rows("check_result")) == 5
        assert [change for _, change in book.told()] == ["opened", "opened", "resolved"]
