"""A full ledger: what a page of the inbox, an incident and recording cost, on SQLite and on Postgres.

``python -m benchmarks.ledger --rows 1000000 --postgres URL``; without ``--postgres`` a server is started where one is
installed, durable as a production server is. Reading is measured in a process of its own, for its memory. Besides wall
time the processor time of the reader is given: on a machine that does other things too, it tells what is the ledger's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks import record
from benchmarks.ledger_fill import CHECKS_A_TASK, PARTITIONS, Size, build_check, dag_of, fail, fill_ledger
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.recording import record_results
from headrace.ledger.views import TaskTry

ROOT = Path(__file__).parents[1]
GOAL_PAGE_MS = 100
GOAL_INGEST = 2000
INGESTED_ATTEMPTS = 100


def run(rows: int = 1_000_000, postgres: str | None = None) -> None:
    """Measure and print."""
    size = Size(results=rows, incidents=rows // 10)
    figures: dict[str, Any] = {"results": size.results, "incidents": size.incidents}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-ledger-")))
        databases = {"sqlite": str(folder / "ledger.sqlite")}
        url = postgres or stack.enter_context(start_postgres())
        if url:
            databases["postgresql"] = url
        for name, address in databases.items():
            figures[name] = measure(name, address, size)
    print(f"  {record.write('ledger', figures).relative_to(ROOT)}")


def measure(name: str, address: str, size: Size) -> dict[str, Any]:
    """Fill one database, read from it and record into it."""
    print(f"  {name}: {size.results:,} results, {size.incidents:,} incidents", flush=True)
    with open_ledger(address if "://" in address else Path(address)) as ledger:
        fill_ledger(ledger, size)
        command = [sys.executable, "-m", "benchmarks.ledger_read", address, str(size.results), str(size.incidents)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}"}
        done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        read = json.loads(done.stdout)
        rate, rate_failing = ingest(ledger, size, failing=0), ingest(ledger, size, failing=CHECKS_A_TASK // 10)
        megabytes = _measure_size(ledger, address) / 1e6
    pages = read["pages"]
    every = [taken for of_kind in pages.values() for taken in of_kind]
    rows = {"list page": every, "incident page": read["incidents"]}
    figures: dict[str, Any] = {}
    for label, taken in rows.items():
        figures[label] = _summarise(taken)
        _show(label, figures[label], f"goal p95 < {GOAL_PAGE_MS} ms")
    figures["list page by filter"] = {kind: _summarise(taken) for kind, taken in pages.items()}
    slowest = max(figures["list page by filter"].items(), key=lambda each: each[1]["p95_ms"])
    _show(f"  slowest: {slowest[0]}", slowest[1], "")
    for label, taken in read["others"].items():
        figures[label] = _summarise(taken)
        _show(label, figures[label], "")
    figures |= {"ingest_results_per_s": rate, "ingest_with_failures_per_s": rate_failing}
    figures |= {"peak_rss_mb": read["peak_rss_mb"], "database_mb": megabytes}
    print(f"    recording passes                 {rate:8,.0f} results/s   goal >= {GOAL_INGEST:,}")
    print(f"    recording, one in ten failing    {rate_failing:8,.0f} results/s")
    print(f"    peak memory of the reader        {read['peak_rss_mb']:8,.0f} MB")
    print(f"    database                         {megabytes:8,.0f} MB", flush=True)
    return figures


def ingest(ledger: Ledger, size: Size, *, failing: int) -> float:
    """Record tries of fifty results, of which some fail, into the full ledger; returns results a second.

    A failure opens an incident, or opens it again, and is grouped with what is open up and down of five hundred
    datasets.
    """
    partition_key, tasks = PARTITIONS[-1], size.tasks
    tries = []
    for number in range(INGESTED_ATTEMPTS):
        task = number * 7 % tasks
        checks = [build_check(size, task * CHECKS_A_TASK + offset + 1) for offset in range(CHECKS_A_TASK)]
        results = [fail(check, partition_key, 7) if at < failing else check for at, check in enumerate(checks)]
        tries.append((TaskTry(dag_of(task), f"benchmark_{failing}_{number}", f"check_{task:04d}"), results))
    started = time.monotonic()
    for task_try, results in tries:
        record_results(ledger, task_try, results)
    return INGESTED_ATTEMPTS * CHECKS_A_TASK / (time.monotonic() - started)


def _summarise(taken: Sequence[Sequence[float]]) -> dict[str, float]:
    """Summarise pairs of wall and processor seconds, in milliseconds."""
    wall, processor = ([1000 * each[at] for each in taken] for at in (0, 1))
    return {
        "p50_ms": statistics.median(wall),
        "p95_ms": _percentile(wall, 0.95),
        "max_ms": max(wall),
        "cpu_p50_ms": statistics.median(processor),
        "cpu_p95_ms": _percentile(processor, 0.95),
        "requests": len(wall),
    }


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _show(label: str, figures: dict[str, float], goal: str) -> None:
    wall = f"p50 {figures['p50_ms']:6.1f} ms   p95 {figures['p95_ms']:6.1f} ms"
    print(f"    {label:<32} {wall}   processor p95 {figures['cpu_p95_ms']:6.1f} ms   {goal}")


def _measure_size(ledger: Ledger, address: str) -> int:
    if ledger.dialect == "sqlite":
        return sum(file.stat().st_size for file in Path(address).parent.glob(f"{Path(address).name}*"))
    with ledger.connect() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar() or 0)


@contextmanager
def start_postgres() -> Iterator[str | None]:
    """Start the server that the tests use, if one is installed."""
    sys.path.insert(0, str(ROOT / "tests"))
    from postgres_server import find_binaries, run_postgres

    if find_binaries() is None:
        print("  no Postgres is installed: measured on SQLite alone")
        yield None
        return
    with run_postgres(durable=True) as server:
        yield server.create_database()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="check results; a tenth as many incidents")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to use in place of a server of its own")
    options = parser.parse_args()
    run(options.rows, options.postgres)


if __name__ == "__main__":
    main()
