"""Verdicts on dataset partitions; orchestration interpreter."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, update

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.json_safe import make_name_safe
from headrace.ledger.database import Ledger
from headrace.ledger.lineage import load_upstream_names
from headrace.ledger.results import restore_result
from headrace.ledger.schema import attempt, check, check_result, check_state, verdict
from headrace.ledger.statements import chunk, read_on
from headrace.ledger.views import TaskTry, VerdictRow
from headrace.ledger.waivers import apply_waivers, list_waivers
from headrace.quality.check_digest import digest_check
from headrace.quality.verdict import Decision, Verdict, decide_verdict, is_contained

__all__ = [
    "apply_waivers", "digest_check", "list_blocking", "list_waivers", "load_verdict", "write_verdicts",
]  # fmt: skip

Place = tuple[str, str]
"""A dataset and a partition key."""
_PASS = CheckResult("", "", "", "", None, Severity.INFO, Status.PASSED, "")
_HELD = "other data was landed, and it is not checked yet"


def load_verdict(ledger: Ledger | Connection, dataset: str, partition_key: str) -> VerdictRow | None:
    """Load the current verdict on a dataset's partition; None where it was never checked.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    place = make_name_safe(dataset), make_name_safe(partition_key or "", 100)
    with read_on(ledger) as connection:
        return load_current(connection, [place[0]], [place[1]]).get(place)


def list_blocking(
    ledger: Ledger | Connection, datasets: Sequence[str], partition_keys: Sequence[str], *, upstream: bool = True
) -> list[VerdictRow]:
    """List the current verdicts that block, of datasets and of whatever they are made from.

    Verdicts on a dataset as a whole (partition ``''``) count for every partition.

    Args:
        ledger: The ledger.
        datasets: Names.
        partition_keys: Of the partitions that are to be used.
        upstream: Look at everything upstream too.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    asked = {make_name_safe(name) for name in datasets}
    keys = {make_name_safe(key or "", 100) for key in partition_keys}
    with read_on(ledger) as connection:
        names = asked | (load_upstream_names(connection, asked) if upstream else set())
        current = load_current(connection, sorted(names), sorted({*keys, ""}))
    blocking = [row for row in current.values() if row.decision == Decision.BLOCK.value]
    return sorted(blocking, key=lambda row: (row.dataset not in asked, row.dataset, row.partition_key))


def write_verdicts(
    connection: Connection,
    places: Collection[Place],
    now: datetime,
    *,
    attempt_id: int | None = None,
    why: str = "checked",
    actor: str | None = None,
    retired: Collection[Place] = (),
) -> list[VerdictRow]:
    """Decide the verdict on each place from its checks' newest results; append it where it is another than before.

    The decision or its causes make it another; the number of checks is kept up in the current one. While a check was
    not made on what was landed since, the verdict is a block (``held``), whatever other checks say. A place of
    ``retired`` whose last check was removed blocks no more; elsewhere no result is a failure.

    Returns:
        The current verdict on each place.
    """
    datasets, partitions = sorted({place[0] for place in places}), sorted({place[1] for place in places})
    decided = _decide(connection, places, datasets, partitions)
    before = load_current(connection, datasets, partitions)
    rows = []
    counted = []
    for place, (found, checked, stale) in decided.items():
        decision, shown = found.decision, [_describe_cause(cause) for cause in found.causes]
        if stale:
            decision = Decision.BLOCK
            shown.insert(0, {"message": f"{' '.join(filter(None, place))}: {_HELD}"})
        elif not checked and place in retired:
            decision = Decision.PASS
        last = before.get(place)
        if last is None or last.decision != decision.value or _essence(last.causes) != _essence(shown):
            rows.append(
                {
                    "dataset": place[0],
                    "partition_key": place[1],
                    "decision": decision.value,
                    "checked": checked,
                    "causes": shown,
                    "why": "held" if stale else why,
                    "actor": actor,
                    "attempt_id": attempt_id,
                    "decided_at": now,
                }
            )
        elif last.checked != checked:
            counted.append({"of": last.id, "now_checked": checked})
    if counted:
        statement = update(verdict).where(verdict.c.id == bindparam("of")).values(checked=bindparam("now_checked"))
        connection.execute(statement, counted)
    if rows:
        connection.execute(insert(verdict), rows)
    if rows or counted:
        before = load_current(connection, datasets, partitions)
    return [before[place] for place in sorted(places)]


def _decide(
    connection: Connection, places: Collection[Place], datasets: Sequence[str], partitions: Sequence[str]
) -> dict[Place, tuple[Verdict, int, int]]:
    """Return the verdict on each place with how many checks it is from, and how many spoke of data replaced since."""
    state = check_state.c
    counts: dict[Place, tuple[int, int]] = {}
    failures: dict[Place, list[CheckResult]] = {}
    for some in chunk(datasets):
        for keys in chunk(partitions):
            inside = state.dataset.in_(some) & state.partition_key.in_(keys)
            count = select(state.dataset, state.partition_key, state.stale, func.count().label("checked")).where(inside)
            for row in connection.execute(count.group_by(state.dataset, state.partition_key, state.stale)):
                place = str(row.dataset), str(row.partition_key)
                fresh, stale = counts.get(place, (0, 0))
                counts[place] = (fresh, int(row.checked)) if row.stale else (int(row.checked), stale)
            for row in connection.execute(_select_failures().where(inside, ~state.stale)):
                failures.setdefault((str(row.dataset), str(row.partition_key)), []).append(_restore_cause(row))
    decided = {}
    for place in places:
        failing, (checked, stale) = failures.get(place, []), counts.get(place, (0, 0))
        decided[place] = decide_verdict([*failing, *[_PASS] * (checked - len(failing))]), checked, stale
    return decided


@cache
def _select_failures() -> Select[Any]:
    state = check_state.c
    columns = (check.c.tool, check.c.name, check.c.column, check_result.c.message)
    query = select(check_state, *columns).join(check, check.c.id == state.check_id)
    query = query.join(check_result, check_result.c.id == state.result_id)
    return query.where(state.status != Status.PASSED.value).order_by(state.check_id)


def _restore_cause(row: Row[Any]) -> CheckResult:
    ids = {"check_id": row.check_id, "result_id": row.result_id}
    return restore_result(
        row, tool=row.tool, dataset=row.dataset, partition_key=row.partition_key, check=row.name, column=row.column,
        message=row.message, meta=ids,
    )  # fmt: skip


def _describe_cause(cause: CheckResult) -> dict[str, Any]:
    return {
        **cause.meta,
        "tool": cause.tool,
        "check": cause.check,
        "column": cause.column,
        "severity": cause.severity.value,
        "status": cause.status.value,
        "message": cause.message,
        "excused": cause.excused,
        "contained": is_contained(cause),
    }


def _essence(causes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in cause.items() if name != "result_id"} for cause in causes]


def load_current(connection: Connection, datasets: Sequence[str], partitions: Sequence[str]) -> dict[Place, VerdictRow]:
    found: dict[Place, VerdictRow] = {}
    for some in chunk(list(datasets)):
        for keys in chunk(list(partitions)):
            inside = verdict.c.dataset.in_(some) & verdict.c.partition_key.in_(keys)
            last = select(func.max(verdict.c.id)).where(inside).group_by(verdict.c.dataset, verdict.c.partition_key)
            query = _select_verdicts().where(verdict.c.id.in_(last))
            for row in connection.execute(query):
                found[str(row.dataset), str(row.partition_key)] = _build_row(row)
    return found


@cache
def _select_verdicts() -> Select[Any]:
    task = (attempt.c.dag_id, attempt.c.run_id, attempt.c.task_id, attempt.c.map_index, attempt.c.try_number)
    return select(verdict, *task).outerjoin(attempt, attempt.c.id == verdict.c.attempt_id)


def _build_row(row: Row[Any]) -> VerdictRow:
    task = None
    if row.dag_id is not None:
        task = TaskTry(row.dag_id, row.run_id, row.task_id, row.map_index, row.try_number)
    return VerdictRow(
        id=row.id, dataset=row.dataset, partition_key=row.partition_key, decision=row.decision, checked=row.checked,
        causes=row.causes, why=row.why, actor=row.actor, decided_at=row.decided_at, task=task,
    )  # fmt: skip
