"""Tries, checks and their results, written; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, select, update

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.json_safe import make_name_safe, make_text_safe
from headrace.ledger.safe_results import describe_person, make_result_safe
from headrace.ledger.schema import attempt, check, check_result, check_state, landing
from headrace.ledger.statements import chunk, upsert, upsert_rows
from headrace.ledger.views import TaskTry
from headrace.ledger.waivers import is_waiver, load_waivers
from headrace.quality.check_digest import digest_check
from headrace.quality.incidents import weigh_failure
from headrace.quality.verdict import SEVERITY_RANK

Key = tuple[int, str]
"""A check's id and a partition key."""


@dataclass(frozen=True)
class Written:
    """A result as it was written.

    Attributes:
        check_id: Of the check's definition.
        partition_key: ``''`` for a whole dataset.
        result: Made safe, with the waiver that holds for it.
        waived: A waiver holds for it.
        result_id: Of its row.
        failed_before: This try had recorded it before, as a failure that counts.
        passed_before: This try had recorded it before, as none.
        newest: No later result of the check on the partition is known.
    """

    check_id: int
    partition_key: str
    result: CheckResult
    waived: bool = False
    result_id: int = 0
    failed_before: bool = False
    passed_before: bool = False
    newest: bool = True

    @property
    def key(self) -> Key:
        return self.check_id, self.partition_key


def write_attempt(connection: Connection, task: TaskTry, partition_key: str, now: datetime) -> int:
    """Write the try, or find it, and return its id."""
    key = {
        "dag_id": make_name_safe(task.dag_id, 250),
        "run_id": make_name_safe(task.run_id, 250),
        "task_id": make_name_safe(task.task_id, 250),
        "map_index": task.map_index,
        "try_number": task.try_number,
    }
    row = {**key, "partition_key": make_name_safe(partition_key, 100), "recorded_at": now}
    if task.instance is not None:
        row["instance"] = instance = make_name_safe(task.instance, 100)
        _set_earlier_apart(connection, key, instance)
    written = upsert_rows(connection, attempt, [row], _ATTEMPT_KEY)
    return int(written.scalars().one())


def _set_earlier_apart(connection: Connection, key: Mapping[str, Any], instance: str) -> None:
    """Rename the run of an attempt that only has the name of this one: its run was deleted, and its id used again.

    Its results stay what they were: of another run, and older than any result of this one.
    """
    c = attempt.c
    mine = and_(*(c[name] == value for name, value in key.items()))
    other = connection.execute(select(c.id, c.instance).where(mine, c.instance != instance)).first()
    if other is not None:
        renamed = make_name_safe(f"{key['run_id']}{EARLIER_RUN}{other.instance})", 250)
        connection.execute(update(attempt).where(c.id == other.id).values(run_id=renamed))


EARLIER_RUN = " (earlier run, "
"""Follows the id of a run that was used again, before the id of the older run's task instance."""


_ATTEMPT_KEY = ("dag_id", "run_id", "task_id", "map_index", "try_number")


def write_checks(connection: Connection, results: Sequence[CheckResult]) -> list[tuple[int, CheckResult]]:
    """Write what is known of each result's check; return the check's id with the result, made safe."""
    safe = [(digest_check(result), make_result_safe(result)) for result in results]
    rows = {digest: _describe_check(digest, result) for digest, result in safe}
    known = _load_checks(connection, list(rows))
    missing = [row for digest, row in rows.items() if digest not in known]
    if missing:
        connection.execute(upsert(connection, check).on_conflict_do_nothing(index_elements=["digest"]), missing)
    changed = [row for digest, row in rows.items() if digest in known and _differs(row, known[digest])]
    if changed:
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _DESCRIPTION}
        statement = update(check).where(check.c.digest == bindparam("of")).values(values)
        parameters = [{"of": row["digest"], **{f"new_{name}": row[name] for name in _DESCRIPTION}} for row in changed]
        connection.execute(statement, parameters)
    if missing:
        known |= _load_checks(connection, [row["digest"] for row in missing])
    return [(int(known[digest]["id"]), result) for digest, result in safe]


_DESCRIPTION = ("owner", "tier", "runbook", "meta")


def _describe_check(digest: str, result: CheckResult) -> dict[str, Any]:
    tier, runbook = result.meta.get("tier"), result.meta.get("runbook")
    return {
        "digest": digest,
        "dataset": result.dataset,
        "tool": result.tool,
        "name": result.check,
        "column": result.column,
        "tool_id": result.check_id,
        "owner": describe_person(result.meta.get("owner")),
        "tier": None if tier in (None, "") else make_name_safe(tier, 50),
        "runbook": None if runbook in (None, "") else make_text_safe(runbook),
        "meta": dict(result.meta),
    }


def _differs(row: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    return any(row[name] != known[name] for name in _DESCRIPTION)


def _load_checks(connection: Connection, digests: Sequence[str]) -> dict[str, Any]:
    columns = [check.c.id, check.c.digest, *(check.c[name] for name in _DESCRIPTION)]
    known: dict[str, Any] = {}
    for some in chunk(digests):
        rows = connection.execute(select(*columns).where(check.c.digest.in_(some))).mappings()
        known |= {str(row["digest"]): row for row in rows}
    return known


def keep_worst(results: Sequence[Written]) -> list[Written]:
    """Of two results of one check on one partition in one try, keep the worse."""
    kept: dict[Key, Written] = {}
    for result in results:
        other = kept.get(result.key)
        if other is None or _badness(result.result) < _badness(other.result):
            kept[result.key] = result
    return list(kept.values())


def _badness(result: CheckResult) -> tuple[bool, int, bool]:
    return result.passed or result.excused is not None, SEVERITY_RANK[result.severity], result.status is Status.FAILED


def write_results(
    connection: Connection, attempt_id: int, results: Sequence[Written], now: datetime
) -> tuple[list[Written], dict[Key, bool]]:
    """Write the results of a try instead of those that it had recorded before.

    Returns:
        The results with their ids, and of those that the try takes back whether each was a failure that counts. The
        latter's rows are still there: see :func:`delete_results`.
    """
    before = _load_earlier(connection, attempt_id)
    ids: dict[Key, int] = {}
    if results:
        rows = [_build_row(attempt_id, result, now) for result in results]
        for row in upsert_rows(connection, check_result, rows, _RESULT_KEY):
            ids[int(row.check_id), str(row.partition_key)] = int(row.id)
    newest = load_newest(connection, [result.key for result in results])
    written = [
        replace(
            result,
            result_id=ids[result.key],
            failed_before=before.get(result.key) is True,
            passed_before=before.get(result.key) is False,
            newest=ids[result.key] >= newest.get(result.key, 0),
        )
        for result in results
    ]
    return written, {key: failed for key, failed in before.items() if key not in ids}


_RESULT_KEY = ("attempt_id", "check_id", "partition_key")


def _build_row(attempt_id: int, written: Written, now: datetime) -> dict[str, Any]:
    result = written.result
    return {
        "attempt_id": attempt_id,
        "check_id": written.check_id,
        "partition_key": written.partition_key,
        "severity": result.severity.value,
        "status": result.status.value,
        "message": result.message,
        "observed": result.observed,
        "expected": result.expected,
        "failed_rows": result.failed_rows,
        "total_rows": result.total_rows,
        "quarantined_rows": result.quarantined_rows,
        "excused": result.excused,
        "sample": list(result.sample),
        "recorded_at": now,
    }


def _load_earlier(connection: Connection, attempt_id: int) -> dict[Key, bool]:
    """Return which results the try has recorded, and whether each is a failure that counts."""
    c = check_result.c
    columns = (c.check_id, c.partition_key, c.severity, c.status, c.failed_rows, c.quarantined_rows, c.excused)
    rows = connection.execute(select(*columns).where(c.attempt_id == attempt_id))
    return {(int(row.check_id), str(row.partition_key)): counts_as_failure(row) for row in rows}


def counts_as_failure(row: Any) -> bool:
    """Tell whether a row of ``check_result`` or ``check_state`` is a failure that an incident is opened for."""
    return weigh_failure(restore_result(row)) is not None


def restore_result(row: Any, **more: Any) -> CheckResult:
    """Build the result that a row of ``check_result`` or ``check_state`` is of, as far as decisions need it."""
    plain: dict[str, Any] = {"tool": "", "dataset": "", "partition_key": "", "check": "", "column": None, "message": ""}
    return CheckResult(
        **{**plain, **more},
        severity=Severity(row.severity),
        status=Status(row.status),
        failed_rows=row.failed_rows,
        quarantined_rows=row.quarantined_rows,
        excused=row.excused,
    )


def load_newest(connection: Connection, keys: Sequence[Key]) -> dict[Key, int]:
    """Return the id of the newest result of each check on each partition, where there is one."""
    c = check_state.c
    newest: dict[Key, int] = {}
    partitions = sorted({partition for _, partition in keys})
    for checks in chunk(sorted({check_id for check_id, _ in keys})):
        for some in chunk(partitions):
            query = select(c.check_id, c.partition_key, c.result_id)
            rows = connection.execute(query.where(c.check_id.in_(checks), c.partition_key.in_(some)))
            newest |= {(int(row.check_id), str(row.partition_key)): int(row.result_id) for row in rows}
    return newest


def write_states(connection: Connection, results: Sequence[Written], now: datetime) -> None:
    """Note the newest result of each check on each partition."""
    rows = [
        {
            "check_id": written.check_id,
            "partition_key": written.partition_key,
            "dataset": written.result.dataset,
            "result_id": written.result_id,
            "severity": written.result.severity.value,
            "status": written.result.status.value,
            "excused": written.result.excused,
            "failed_rows": written.result.failed_rows,
            "quarantined_rows": written.result.quarantined_rows,
            "recorded_at": now,
            "stale": False,
        }
        for written in results
        if written.newest
    ]
    if rows:
        upsert_rows(connection, check_state, rows, ("check_id", "partition_key"), fixed=("dataset",))


def restore_states(connection: Connection, attempt_id: int, keys: Sequence[Key]) -> dict[Key, Any]:
    """Put back the newest result of other tries as the state, where this try's is taken back.

    Returns:
        Of each check and partition whose state was this try's, what the row of ``check_state`` says now; None where
        there is no result left.
    """
    restored: dict[Key, Any] = {}
    for check_id, partition_key in keys:  # a try hardly ever takes something back
        of = (check_result.c.check_id == check_id) & (check_result.c.partition_key == partition_key)
        mine = select(check_result.c.id).where(of, check_result.c.attempt_id == attempt_id)
        state = (check_state.c.check_id == check_id) & (check_state.c.partition_key == partition_key)
        dataset = connection.execute(
            select(check_state.c.dataset).where(state, check_state.c.result_id.in_(mine))
        ).scalar()
        if dataset is None:
            continue
        last = select(func.max(check_result.c.id)).where(of, check_result.c.attempt_id != attempt_id)
        row = connection.execute(select(check_result).where(check_result.c.id == last.scalar_subquery())).first()
        restored[check_id, partition_key] = None
        if row is None:
            connection.execute(delete(check_state).where(state))
            continue
        copied = ("severity", "status", "excused", "failed_rows", "quarantined_rows", "recorded_at")
        landed = select(landing.c.landed_at).where(
            landing.c.dataset == dataset, landing.c.partition_key == partition_key
        )
        since = connection.execute(landed).scalar()
        values = {name: getattr(row, name) for name in copied}
        values["excused"] = _restore_excuse(connection, row)
        values["stale"] = since is not None and since >= row.recorded_at
        connection.execute(update(check_state).where(state).values(result_id=row.id, **values))
        restored[check_id, partition_key] = SimpleNamespace(**values)
    return restored


def _restore_excuse(connection: Connection, row: Any) -> str | None:
    """Return the excuse of an older result as it is now: its waiver may have ended, or another have come."""
    if row.status == Status.PASSED.value:
        return None
    key = int(row.check_id), str(row.partition_key)
    holds = load_waivers(connection, [key]).get(key)
    if holds is not None and holds.covers(row.failed_rows):
        return holds.excuse
    return None if is_waiver(row.excused) else row.excused


def delete_results(connection: Connection, attempt_id: int, keys: Sequence[Key]) -> None:
    """Delete results that a try takes back; nothing may refer to them any more."""
    c = check_result.c
    statement = delete(check_result).where(
        c.attempt_id == attempt_id, c.check_id == bindparam("of"), c.partition_key == bindparam("on")
    )
    if keys:
        connection.execute(statement, [{"of": check_id, "on": partition_key} for check_id, partition_key in keys])
