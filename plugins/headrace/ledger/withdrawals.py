"""Results that are taken back, and checks that are made no more; orchestration interpreter."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, tuple_

from headrace.contracts.check_result import Severity, Status
from headrace.contracts.json_safe import make_name_safe
from headrace.ledger.incidents import Case, Entry, load_cases, write_cases, write_timeline
from headrace.ledger.results import Key, Written, delete_results, restore_result, restore_states
from headrace.ledger.schema import attempt, check, check_result, check_state
from headrace.ledger.statements import chunk
from headrace.ledger.views import TaskTry
from headrace.ledger.waivers import is_waiver
from headrace.quality.incidents import IncidentState, PartitionState, Resolution, decide_partition, decide_pass, resolve

Place = tuple[str, str]


def withdraw_results(connection: Connection, attempt_id: int, gone: Mapping[Key, bool], now: datetime) -> set[Place]:
    """Take back results that a try does not report any more: what they caused is undone as far as it can be.

    Args:
        connection: A write transaction.
        attempt_id: The try.
        gone: Their checks and partitions, and whether each was a failure that counted.
        now: The time.

    Returns:
        Dataset partitions whose verdict has to be decided anew.
    """
    if not gone:
        return set()
    restored = restore_states(connection, attempt_id, list(gone))
    checks = {check_id for check_id, _ in gone}
    cases = load_cases(connection, check_ids=checks, partition_keys={key for _, key in gone})
    of_check = {case.check_id: case for case in cases.values()}
    entries: list[Entry] = []
    for (check_id, key), failed in gone.items():
        case = of_check.get(check_id)
        if case is not None and key in case.lines:
            entries += _withdraw(connection, attempt_id, case, key, failed, restored)
    for case in cases.values():
        if not case.unsettled and case.state is not IncidentState.RESOLVED and case.touched:
            entries.append(_resolve(case, Resolution.PASSED, now, "its failures were taken back"))
    write_cases(connection, list(cases.values()))
    delete_results(connection, attempt_id, list(gone))
    write_timeline(connection, entries, now)
    named: Any = connection.execute(select(check.c.id, check.c.dataset).where(check.c.id.in_(checks))).all()
    datasets = {int(row.id): row.dataset for row in named}
    return {(str(datasets[check_id]), key) for check_id, key in restored}


def _withdraw(
    connection: Connection, attempt_id: int, case: Case, key: str, failed: bool, restored: Mapping[Key, Any]
) -> list[Entry]:
    line, before = case.lines[key], case.lines[key].state
    case.touched.add(key)
    line.failures -= failed
    case.occurrences -= failed
    last = _find_last_failure(connection, attempt_id, case.check_id, key)
    line.result_id = last
    mine = select(check_result.c.attempt_id).where(check_result.c.id == case.last_result_id)
    if connection.execute(mine).scalar() == attempt_id:
        case.last_result_id = _find_last_failure(connection, attempt_id, case.check_id)
    if (case.check_id, key) in restored:
        row = restored[case.check_id, key]
        line.state = PartitionState.PASSED if row is None else _restore_line(row)
        if row is None and line.failures <= 0:
            del case.lines[key]
    after = case.lines[key].state.value if key in case.lines else None
    return [Entry(case, "withdrawn", {"before": before.value, "after": after}, key)]


def _restore_line(row: Any) -> PartitionState:
    return decide_partition(restore_result(row), waived=is_waiver(row.excused))


def _find_last_failure(connection: Connection, attempt_id: int, check_id: int, key: str | None = None) -> int | None:
    c = check_result.c
    counts = or_(c.status == Status.ERROR.value, c.severity != Severity.INFO.value)
    query = select(func.max(c.id)).where(
        c.check_id == check_id, c.attempt_id != attempt_id, c.status != Status.PASSED.value, c.excused.is_(None), counts
    )
    if key is not None:
        query = query.where(c.partition_key == key)
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def _resolve(case: Case, resolution: Resolution, now: datetime, reason: str) -> Entry:
    step = resolve(case.standing, resolution)
    case.take(step, now, reason=reason)
    return Entry(
        case, "resolved", {"resolution": resolution.value, "reason": reason}, change=step.change, tell=step.tell
    )


def retire_checks(
    connection: Connection,
    task: TaskTry,
    written: Sequence[Written],
    now: datetime,
    keep: Collection[str] = (),
) -> set[Place]:
    """Forget the last results of checks that a task made on some partitions and makes no more.

    A test of dbt may be made by any task of its group (the run, or a model's own task), so the group forgets it; any
    other check is of the task that makes it. The checks of a dataset whose last one was removed are among them.

    Args:
        connection: A write transaction.
        task: The try's task; what other tasks check stays.
        written: Everything that the task checks now.
        now: The time.
        keep: The tools' own ids of checks that stay though they were not made now.

    Returns:
        Dataset partitions whose verdict has to be decided anew.
    """
    keys = {each.key for each in written}
    made = _load_task_states(connection, task, sorted({each.partition_key for each in written}), _runs_dbt(written))
    gone = [(check_id, key) for check_id, key, tool_id in made if (check_id, key) not in keys and tool_id not in keep]
    return retire_keys(connection, gone, "the task does not make this check any more", now)


def retire_keys(connection: Connection, keys: Sequence[Key], reason: str, now: datetime) -> set[Place]:
    """Forget the last results of some checks on some partitions; incidents that nothing keeps open are resolved.

    Returns:
        Dataset partitions whose verdict has to be decided anew.
    """
    c = check_state.c
    places: set[Place] = set()
    for some in chunk(keys, 500):
        statement = delete(check_state).where(tuple_(c.check_id, c.partition_key).in_(some))
        gone: Any = connection.execute(statement.returning(c.dataset, c.partition_key))
        places |= {(str(row.dataset), str(row.partition_key)) for row in gone}
    if not places:
        return places
    checks, partitions = {check_id for check_id, _ in keys}, {key for _, key in keys}
    cases = load_cases(connection, check_ids=checks, partition_keys=partitions)
    of_check = {case.check_id: case for case in cases.values()}
    entries: list[Entry] = []
    for check_id, key in keys:
        case = of_check.get(check_id)
        if case is not None and key in case.lines and case.lines[key].state.unsettled:
            case.lines[key].state = PartitionState.RETIRED
            case.touched.add(key)
            entries.append(Entry(case, "retired", {"reason": reason}, key))
    for case in cases.values():
        if case.touched:
            step = decide_pass(case.standing, len(case.unsettled), {PartitionState.RETIRED})
            case.take(step, now)
            if step.change is not None:
                entries.append(
                    Entry(case, "resolved", {"resolution": case.resolution}, change=step.change, tell=step.tell)
                )
    write_cases(connection, list(cases.values()))
    write_timeline(connection, entries, now)
    return places


_DBT_APART = ("freshness",)
"""Checks of dbt that a task of their own makes, apart from the tests."""


def _runs_dbt(written: Sequence[Written]) -> bool:
    return any(each.result.tool == "dbt" and each.result.check not in _DBT_APART for each in written)


def _load_task_states(
    connection: Connection, task: TaskTry, partitions: Sequence[str], runs_dbt: bool
) -> list[tuple[int, str, str | None]]:
    """Load the checks whose last result is of a task, or of dbt's tests in its group, with the tools' own ids."""
    dag_id, task_id = make_name_safe(task.dag_id, 250), make_name_safe(task.task_id, 250)
    of_task = (attempt.c.task_id == task_id) & (attempt.c.map_index == task.map_index)
    group = task_id.rpartition(".")[0]
    if runs_dbt and group:
        of_dbt = (check.c.tool == "dbt") & check.c.name.not_in(_DBT_APART)
        of_task |= of_dbt & attempt.c.task_id.startswith(f"{group}.", autoescape=True)
    query = (
        select(check_state.c.check_id, check_state.c.partition_key, check.c.tool_id)
        .join(check, check.c.id == check_state.c.check_id)
        .join(check_result, check_result.c.id == check_state.c.result_id)
        .join(attempt, attempt.c.id == check_result.c.attempt_id)
        .where(attempt.c.dag_id == dag_id, of_task)
        .order_by(check_state.c.check_id)
    )
    found: list[tuple[int, str, str | None]] = []
    for some in chunk(partitions):
        rows = connection.execute(query.where(check_state.c.partition_key.in_(some)))
        found += [(int(row.check_id), str(row.partition_key), row.tool_id) for row in rows]
    return found
