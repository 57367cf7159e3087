"""A full ledger of made-up history: many results, an incident for every check, lineage, models, events.

The same seed gives the same ledger. Nothing is measured here.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Table

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.ledger import schema
from headrace.ledger.database import Ledger
from headrace.ledger.search_text import build_search_text
from headrace.ledger.verdicts import digest_check

START = datetime(2023, 1, 1, tzinfo=UTC)
PARTITIONS = [f"{2021 + month // 12}-{month % 12 + 1:02d}" for month in range(36)]
CHECKS_A_TASK = 50
MODELS = 300
_BATCH = 20_000
_TOOLS = ("gx", "gx", "gx", "dbt", "dbt", "tfdv", "tfma")
_CHECKS = {
    "gx": "expect_column_values_to_be_between",
    "dbt": "accepted_range",
    "tfdv": "schema_train",
    "tfma": "value_threshold",
}


@dataclass(frozen=True)
class Size:
    """How much: results are spread over the checks, and there is one incident for each check."""

    results: int = 1_000_000
    incidents: int = 100_000
    datasets: int = 500

    @property
    def tasks(self) -> int:
        return self.incidents // CHECKS_A_TASK

    @property
    def runs(self) -> int:
        """Of each task."""
        return max(self.results // self.incidents, 1)


def build_check(size: Size, number: int) -> CheckResult:
    """Build a passing result of check ``number``, 1 being the first; 50 in a row are of one task and dataset."""
    task = (number - 1) // CHECKS_A_TASK
    tool = _TOOLS[task % len(_TOOLS)]
    dataset = f"dataset_{task % size.datasets:03d}"
    owner = f"team-{task % size.datasets % 40:02d}"
    meta = {"owner": owner, "tier": f"tier{task % 3 + 1}", "runbook": f"https://runbooks.example.com/{dataset}"}
    severity = Severity.CRITICAL if number % 5 < 2 else Severity.WARNING
    return CheckResult(
        tool=tool,
        dataset=dataset,
        partition_key=PARTITIONS[-1],
        check=_CHECKS[tool],
        column=f"measure_{number % 997:03d}",
        severity=severity,
        status=Status.PASSED,
        message=f"{dataset}: {_CHECKS[tool]} holds",
        observed=0,
        expected={"min_value": 0, "max_value": 200},
        failed_rows=0,
        total_rows=20_010,
        check_id=f"check-{number}",
        meta=meta,
    )


def fail(check: CheckResult, partition_key: str, rows: int) -> CheckResult:
    """Return the check's result as it is where rows fail, with a sample of five."""
    sample = [
        {"origin": "EWR", "time_hour": f"{partition_key}-12T{hour:02d}:00Z", check.column or "": 200.5 + rows + hour}
        for hour in range(5)
    ]
    message = (
        f"{partition_key} {check.dataset}: {rows:,} of 20,010 rows have {check.column} above 200 mph "
        f"({200.5 + rows:,.2f} at EWR, 12 Feb 08:00Z)"
    )
    return CheckResult(
        **{
            **{name: getattr(check, name) for name in CheckResult.__dataclass_fields__},
            "partition_key": partition_key,
            "status": Status.FAILED,
            "message": message,
            "observed": rows,
            "failed_rows": rows,
            "sample": tuple(sample),
        }
    )


def fill_ledger(ledger: Ledger, size: Size) -> None:
    """Write it all, in bulk; prints how far it is."""
    for table, rows in (
        (schema.dataset, _datasets(size)),
        (schema.dataset_edge, _edges(size)),
        (schema.check, _checks(size)),
        (schema.attempt, _attempts(size)),
        (schema.check_result, _results(size)),
        (schema.check_state, _states(size)),
        (schema.verdict, _verdicts(size)),
        (schema.incident, _incidents(size)),
        (schema.incident_partition, _incident_partitions(size)),
        (schema.incident_event, _events(size)),
        (schema.trained_model, _models()),
        (schema.trained_on, _trained_on(size)),
    ):
        written = _write(ledger, table, rows)
        print(f"    {written:>9,} {table.name}", flush=True)
    _finish(ledger)


def _write(ledger: Ledger, table: Table, rows: Iterator[Mapping[str, Any]]) -> int:
    written = 0
    while batch := list(islice(rows, _BATCH)):
        with ledger.begin() as connection:
            connection.execute(table.insert(), [dict(row) for row in batch])
        written += len(batch)
    return written


def _finish(ledger: Ledger) -> None:
    """Leave what autovacuum leaves on Postgres, and its counters of rows that were given their ids."""
    if ledger.dialect != "postgresql":
        return
    with ledger.begin() as connection:
        for table in (schema.attempt, schema.check, schema.check_result, schema.verdict, schema.incident):
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), (SELECT max(id) FROM {table.name}))"
            )
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


# What follows is decided by numbers alone: attempt `a` is run `a // tasks` of task `a % tasks`.


def _datasets(size: Size) -> Iterator[Mapping[str, Any]]:
    for number in range(size.datasets):
        yield {
            "name": f"dataset_{number:03d}",
            "kind": "source" if number < 50 else "model",
            "relation": f"main.dataset_{number:03d}",
            "owner": f"team-{number % 40:02d}",
            "project": "benchmark",
        }


def _edges(size: Size) -> Iterator[Mapping[str, Any]]:
    """Layers of fifty: every dataset is made from two of the layer before."""
    for number in range(50, size.datasets):
        for step in (50, 50 - number % 7 - 1):
            yield {
                "upstream": f"dataset_{number - step:03d}",
                "downstream": f"dataset_{number:03d}",
                "project": "benchmark",
            }


def _checks(size: Size) -> Iterator[Mapping[str, Any]]:
    for number in range(1, size.incidents + 1):
        check = build_check(size, number)
        yield {
            "id": number,
            "digest": digest_check(check),
            "dataset": check.dataset,
            "tool": check.tool,
            "name": check.check,
            "column": check.column,
            "tool_id": check.check_id,
            **{name: check.meta[name] for name in ("owner", "tier", "runbook")},
            "meta": dict(check.meta),
        }


def find_partition(size: Size, run: int, task: int) -> str:
    """Return the partition of a run; a run later, it is the next one, and some are run twice."""
    return PARTITIONS[(run * 3 // 4 + task) % len(PARTITIONS)]


def _recorded_at(size: Size, attempt: int) -> datetime:
    return START + timedelta(days=1000) * attempt / (size.tasks * size.runs) + timedelta(microseconds=attempt % 1000)


def dag_of(task: int) -> str:
    return f"dag_{task % 40:02d}"


def _attempts(size: Size) -> Iterator[Mapping[str, Any]]:
    for attempt in range(size.tasks * size.runs):
        run, task = divmod(attempt, size.tasks)
        yield {
            "id": attempt + 1,
            "dag_id": dag_of(task),
            "run_id": f"scheduled__{run:05d}",
            "task_id": f"check_{task:04d}",
            "map_index": -1,
            "try_number": 1,
            "partition_key": find_partition(size, run, task),
            "recorded_at": _recorded_at(size, attempt),
        }


def _is_failing(size: Size, run: int, check: int) -> bool:
    """Every check fails once, and one in seven runs besides."""
    return run == check % size.runs or (run * 31 + check * 17) % 7 == 0


def _results(size: Size) -> Iterator[Mapping[str, Any]]:
    for attempt in range(size.tasks * size.runs):
        run, task = divmod(attempt, size.tasks)
        partition_key, recorded_at = find_partition(size, run, task), _recorded_at(size, attempt)
        for number in range(task * CHECKS_A_TASK + 1, (task + 1) * CHECKS_A_TASK + 1):
            result = build_check(size, number)
            if _is_failing(size, run, number):
                result = fail(result, partition_key, rows=number % 90 + 1)
            yield {
                "id": result_id(size, run, number),
                "attempt_id": attempt + 1,
                "check_id": number,
                "partition_key": partition_key,
                **{name: getattr(result, name) for name in ("message", "observed", "expected", "failed_rows")},
                "severity": result.severity.value,
                "status": result.status.value,
                "total_rows": result.total_rows,
                "quarantined_rows": 0,
                "excused": None,
                "sample": list(result.sample),
                "recorded_at": recorded_at,
            }


def result_id(size: Size, run: int, check: int) -> int:
    return run * size.incidents + check


def _newest_runs(size: Size, task: int) -> dict[str, int]:
    """Return partition to the newest run of it."""
    return {find_partition(size, run, task): run for run in range(size.runs)}


def _states(size: Size) -> Iterator[Mapping[str, Any]]:
    for task in range(size.tasks):
        newest = _newest_runs(size, task)
        for number in range(task * CHECKS_A_TASK + 1, (task + 1) * CHECKS_A_TASK + 1):
            check = build_check(size, number)
            for partition_key, run in newest.items():
                failing = _is_failing(size, run, number)
                yield {
                    "check_id": number,
                    "partition_key": partition_key,
                    "dataset": check.dataset,
                    "result_id": result_id(size, run, number),
                    "severity": check.severity.value,
                    "status": Status.FAILED.value if failing else Status.PASSED.value,
                    "excused": None,
                    "failed_rows": number % 90 + 1 if failing else 0,
                    "quarantined_rows": 0,
                    "recorded_at": _recorded_at(size, run * size.tasks + task),
                }


def _verdicts(size: Size) -> Iterator[Mapping[str, Any]]:
    for attempt in range(size.tasks * size.runs):
        run, task = divmod(attempt, size.tasks)
        cause = task * CHECKS_A_TASK + 1
        yield {
            "dataset": f"dataset_{task % size.datasets:03d}",
            "partition_key": find_partition(size, run, task),
            "decision": ("pass", "warn", "block")[attempt % 3],
            "checked": CHECKS_A_TASK,
            "causes": [
                {
                    "check_id": cause,
                    "result_id": result_id(size, run, cause),
                    "severity": "critical",
                    "status": "failed",
                    "message": "rows are above 200 mph",
                }
            ]
            if attempt % 3
            else [],
            "why": "checked",
            "actor": None,
            "attempt_id": attempt + 1,
            "decided_at": _recorded_at(size, attempt),
        }


def _failures(size: Size, number: int) -> Sequence[int]:
    return [run for run in range(size.runs) if _is_failing(size, run, number)]


def _state_of(number: int) -> str:
    """Of two hundred, two are open, one is acknowledged and one snoozed: two thousand want somebody or will."""
    return ("open", "open", "acknowledged", "snoozed")[number % 200] if number % 200 < 4 else "resolved"


def _incidents(size: Size) -> Iterator[Mapping[str, Any]]:
    chance = random.Random(3)
    for number in range(1, size.incidents + 1):
        check = build_check(size, number)
        runs, task = _failures(size, number), (number - 1) // CHECKS_A_TASK
        first, last = (_recorded_at(size, run * size.tasks + task) for run in (runs[0], runs[-1]))
        state = _state_of(number)
        title = fail(check, find_partition(size, runs[-1], task), rows=number % 90 + 1).message
        resolved = state == "resolved"
        jitter = timedelta(seconds=chance.randrange(3600))
        yield {
            "id": number,
            "check_id": number,
            "dataset": check.dataset,
            "tool": check.tool,
            "dag_id": dag_of(task),
            "search": build_search_text(title, check.dataset, check.check, check.column),
            "state": state,
            "severity": check.severity.value,
            "severity_rank": schema.severity_number[check.severity.value],
            "title": title,
            **{name: check.meta[name] for name in ("owner", "tier", "runbook")},
            "assignee": f"person-{number % 25:02d}" if state == "acknowledged" else None,
            "caused_by": number - 1 if number % 11 == 0 else None,
            "opened_at": first + jitter,
            "first_seen": first + jitter,
            "last_seen": last + jitter,
            "occurrences": len(runs),
            "failing_partitions": 0 if resolved else _count_failing(size, number),
            "last_result_id": result_id(size, runs[-1], number),
            "snoozed_until": START + timedelta(days=5000 if number % 2 else 1) if state == "snoozed" else None,
            "resolved_at": last + timedelta(days=1) if resolved else None,
            "resolution": "passed" if resolved else None,
            "resolved_by": None,
            "resolve_reason": None,
            "reopened": 0,
            "flapping": False,
            "passes_in_row": 0,
            "told": True,
        }


def _affected(size: Size, number: int) -> dict[str, int]:
    """Return partition to the newest run that failed on it."""
    return {find_partition(size, run, (number - 1) // CHECKS_A_TASK): run for run in _failures(size, number)}


def _count_failing(size: Size, number: int) -> int:
    return len(_affected(size, number))


def _incident_partitions(size: Size) -> Iterator[Mapping[str, Any]]:
    for number in range(1, size.incidents + 1):
        task = (number - 1) // CHECKS_A_TASK
        for partition_key, run in _affected(size, number).items():
            at = _recorded_at(size, run * size.tasks + task)
            yield {
                "incident_id": number,
                "partition_key": partition_key,
                "state": "passed" if _state_of(number) == "resolved" else "failing",
                "failures": 1,
                "first_seen": at,
                "last_seen": at,
                "result_id": result_id(size, run, number),
                "caused_by": None,
            }


def _events(size: Size) -> Iterator[Mapping[str, Any]]:
    for number in range(1, size.incidents + 1):
        task = (number - 1) // CHECKS_A_TASK
        for kind, run in [
            ("opened", _failures(size, number)[0]),
            *(("failed", run) for run in _failures(size, number)),
        ]:
            yield {
                "incident_id": number,
                "at": _recorded_at(size, run * size.tasks + task),
                "kind": kind,
                "actor": "headrace",
                "partition_key": find_partition(size, run, task),
                "detail": {"message": "rows are above 200 mph"},
            }


def _models() -> Iterator[Mapping[str, Any]]:
    for number in range(1, MODELS + 1):
        yield {
            "id": number,
            "pipeline": f"pipeline_{number % 10}",
            "dag_id": f"training_{number % 10}",
            "run_id": f"scheduled__{number:05d}",
            "partition_key": PARTITIONS[number % len(PARTITIONS)],
            "blessed": number % 4 != 0,
            "pushed_to": f"/models/pipeline_{number % 10}/{number}",
            "at": START + timedelta(days=number),
        }


def _trained_on(size: Size) -> Iterator[Mapping[str, Any]]:
    """Every model is trained on the twelve newest partitions of two of the last datasets."""
    for number in range(1, MODELS + 1):
        for offset in range(2):
            for back in range(12):
                yield {
                    "model_id": number,
                    "dataset": f"dataset_{size.datasets - 1 - number % 10 - offset * 20:03d}",
                    "partition_key": PARTITIONS[(number - back) % len(PARTITIONS)],
                }
