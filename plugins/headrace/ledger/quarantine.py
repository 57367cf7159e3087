"""What gates set aside and what people let go again, as the ledger knows it; orchestration interpreter.

The rows themselves lie in the warehouse: a gate moves them, and tells the ledger in the transaction of its results.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from headrace.contracts.check_result import CheckResult
from headrace.contracts.json_safe import make_json_safe, make_name_safe, make_text_safe
from headrace.ledger.database import Ledger
from headrace.ledger.incidents import Entry, load_cases, write_timeline
from headrace.ledger.results import write_attempt, write_checks
from headrace.ledger.schema import attempt, check, quarantine, quarantined_row
from headrace.ledger.statements import chunk, read_on, tell_time, upsert, write_on
from headrace.ledger.views import TaskTry

MAX_ROWS = 200
"""So many rows of each set are kept for people to read."""
HELD, RELEASING, RELEASED, SUPERSEDED = "held", "releasing", "released", "superseded"


@dataclass(frozen=True)
class QuarantinedSet:
    """Rows that are set aside now, of one check, partition and run.

    Attributes:
        dataset: As in the check's result.
        relation: ``schema.table`` that they were taken from.
        partition_key: ``''`` for a whole dataset.
        check: The check's result, for what it is.
        rows: How many are held, those of the same set that were let go not counted.
        total_rows: Rows of the partition, these included.
        reason: A plain sentence.
        sample: Rows to show, of which the first 200 are kept: ``{"row_id": str, "row": {column: value}}`` each.
        run_id: Of the run that set them aside; None: this one.
    """

    dataset: str
    relation: str
    partition_key: str
    check: CheckResult
    rows: int
    total_rows: int
    reason: str
    sample: Sequence[Mapping[str, Any]] = ()
    run_id: str | None = None


@dataclass(frozen=True)
class ReleasingSet:
    """Rows that a person let go: the gate is to put them back, or has.

    Attributes:
        quarantine_id: Of the ledger.
        relation: ``schema.table`` that they were taken from.
        check: The check's digest.
        row_ids: Ids of the rows; None: every row of the set.
        actor: Who.
        reason: Why.
        task: The try that set them aside.
    """

    quarantine_id: int
    relation: str
    check: str
    row_ids: tuple[str, ...] | None
    actor: str
    reason: str
    task: TaskTry


def record_quarantine(
    ledger: Ledger | Connection,
    task: TaskTry,
    sets: Sequence[QuarantinedSet],
    *,
    places: Collection[tuple[str, str]] = (),
    now: datetime | None = None,
) -> list[int]:
    """Record what is set aside, of each check, partition and run; a set that is known is brought up to date.

    Args:
        ledger: The ledger, or the write transaction in which the try's results are recorded.
        task: The try.
        sets: What is held; a set of no rows is left out.
        places: Datasets and partition keys of which ``sets`` is all that is held: what the ledger holds of them beside
            it is no longer set aside, and is marked as superseded.
        now: The time; by default the clock's.

    Returns:
        Ids of the sets, in their order.

    Raises:
        LedgerError: Nothing was recorded.
    """
    now, sets = tell_time(now), [each for each in sets if each.rows > 0]
    if not sets and not places:
        return []
    with write_on(ledger) as connection:
        attempt_id = write_attempt(connection, task, sets[0].partition_key if sets else "", now)
        checks = write_checks(connection, [each.check for each in sets])
        ids = [
            _write_set(connection, attempt_id, task, check_id, each, now)
            for (check_id, _), each in zip(checks, sets, strict=True)
        ]
        for dataset, partition_key in places:
            supersede_quarantine(connection, [dataset], partition_key, now, states=(HELD, RELEASING), keep=ids)
    return ids


def _write_set(
    connection: Connection, attempt_id: int, task: TaskTry, check_id: int, each: QuarantinedSet, now: datetime
) -> int:
    row = {
        "dataset": make_name_safe(each.dataset),
        "relation": make_name_safe(each.relation),
        "partition_key": make_name_safe(each.partition_key or "", 100),
        "check_id": check_id,
        "rows": each.rows,
        "total_rows": each.total_rows,
        "reason": make_text_safe(each.reason),
    }
    known = _find_set(connection, task, check_id, str(row["partition_key"]), each.run_id or task.run_id)
    if known is None:
        new = {**row, "attempt_id": attempt_id, "state": HELD, "at": now, "changed_at": now, "release_whole": False}
        quarantine_id = int(connection.execute(insert(quarantine).values(new).returning(quarantine.c.id)).scalar_one())
    else:
        quarantine_id = known
        let_go = (quarantined_row.c.quarantine_id == known) & (quarantined_row.c.state == RELEASED)
        row["rows"] = each.rows + connection.execute(select(func.count()).where(let_go)).scalar_one()
        connection.execute(update(quarantine).where(quarantine.c.id == known).values(row))
    c = quarantined_row.c
    connection.execute(delete(quarantined_row).where(c.quarantine_id == quarantine_id, c.state == HELD))
    shown = {make_name_safe(some["row_id"], 64): make_json_safe(dict(some["row"])) for some in each.sample[:MAX_ROWS]}
    rows = [
        {"quarantine_id": quarantine_id, "row_id": row_id, "row": values, "state": HELD}
        for row_id, values in shown.items()
    ]
    if rows:
        connection.execute(upsert(connection, quarantined_row).on_conflict_do_nothing(), rows)
    return quarantine_id


def _find_set(connection: Connection, task: TaskTry, check_id: int, partition_key: str, run_id: str) -> int | None:
    """Find what a run set aside of a check's partition and still holds."""
    c = quarantine.c
    query = select(func.max(c.id)).join(attempt, attempt.c.id == c.attempt_id)
    query = query.where(c.check_id == check_id, c.partition_key == partition_key, c.state.in_((HELD, RELEASING)))
    found = connection.execute(query.where(attempt.c.dag_id == task.dag_id, attempt.c.run_id == run_id)).scalar()
    return None if found is None else int(found)


def load_releasing(ledger: Ledger | Connection, dataset: str, partition_key: str) -> list[ReleasingSet]:
    """List what people let go of a dataset's partition and the gate has not put back yet, oldest first."""
    c, a = quarantine.c, attempt.c
    query = (
        select(quarantine, check.c.digest, a.dag_id, a.run_id, a.task_id, a.map_index, a.try_number)
        .join(check, check.c.id == c.check_id)
        .join(attempt, a.id == c.attempt_id)
        .where(c.dataset == dataset, c.partition_key == (partition_key or ""), c.state == RELEASING)
        .where(c.actor.is_not(None))
        .order_by(c.id)
    )
    found = []
    with read_on(ledger) as connection:
        for row in connection.execute(query).all():
            of = (quarantined_row.c.quarantine_id == row.id) & (quarantined_row.c.state == RELEASING)
            ids: Any = connection.execute(select(quarantined_row.c.row_id).where(of).order_by(quarantined_row.c.row_id))
            row_ids = None if row.release_whole else tuple(str(row_id) for row_id in ids.scalars())
            if row_ids is None or row_ids:
                task = TaskTry(row.dag_id, row.run_id, row.task_id, row.map_index, row.try_number)
                reason = row.actor_reason or ""
                found.append(ReleasingSet(row.id, row.relation, row.digest, row_ids, row.actor, reason, task))
    return found


def mark_released(
    ledger: Ledger | Connection, released: Sequence[ReleasingSet], *, now: datetime | None = None
) -> None:
    """Note that a gate put back what :func:`load_releasing` had listed. Marking twice changes nothing.

    Args:
        ledger: The ledger, or the write transaction in which the gate's results are recorded.
        released: Sets that were put back, as they were listed.
        now: The time; by default the clock's.

    Raises:
        LedgerError: Nothing was noted.
    """
    now, c = tell_time(now), quarantined_row.c
    with write_on(ledger) as connection:
        entries: list[Entry] = []
        for each in released:
            rows = (c.quarantine_id == each.quarantine_id) & (c.state == RELEASING)
            if each.row_ids is not None:
                rows &= c.row_id.in_(each.row_ids)
            connection.execute(update(quarantined_row).where(rows).values(state=RELEASED))
            row = connection.execute(select(quarantine).where(quarantine.c.id == each.quarantine_id)).one()
            if row.state != RELEASING:
                continue
            state = RELEASED if each.row_ids is None or count_kept(connection, row) == 0 else HELD
            more = select(func.count()).where(c.quarantine_id == each.quarantine_id, c.state == RELEASING)
            if state == HELD and (row.release_whole or connection.execute(more).scalar_one()):
                state = RELEASING  # somebody let more go after the gate had asked: it is for the next one
            mine = quarantine.c.id == each.quarantine_id
            connection.execute(update(quarantine).where(mine).values(state=state, changed_at=now))
            count = "all" if each.row_ids is None else len(each.row_ids)
            detail = {"quarantine_id": each.quarantine_id, "rows": count, "by": each.actor, "reason": each.reason,
                      "before": RELEASING, "after": state}  # fmt: skip
            for case in load_cases(connection, check_ids=[row.check_id]).values():
                entries.append(Entry(case, "rows_released", detail, row.partition_key))
        write_timeline(connection, entries, now)


def count_kept(connection: Connection, row: Any) -> int:
    """Count the rows of a set that are not released, those that are not shown included."""
    c = quarantined_row.c
    released = select(func.count()).where(c.quarantine_id == row.id, c.state == RELEASED)
    return int(row.rows) - int(connection.execute(released).scalar_one())


def supersede_quarantine(
    connection: Connection,
    datasets: Sequence[str],
    partition_key: str,
    now: datetime,
    *,
    states: Sequence[str] = (HELD, RELEASING, RELEASED),
    keep: Collection[int] = (),
) -> list[int]:
    """Mark what was set aside of some datasets' partition as superseded; return the sets' ids."""
    c = quarantine.c
    ids: list[int] = []
    for some in chunk(list(datasets)):
        of = c.dataset.in_(some) & (c.partition_key == partition_key) & c.state.in_(states)
        found: Any = connection.execute(select(c.id).where(of)).scalars()
        ids += [each for each in found if each not in keep]
    for each in chunk(ids):
        connection.execute(update(quarantine).where(c.id.in_(each)).values(state=SUPERSEDED, changed_at=now))
        rows = quarantined_row.c.quarantine_id.in_(each)
        connection.execute(update(quarantined_row).where(rows).values(state=SUPERSEDED))
    return ids
