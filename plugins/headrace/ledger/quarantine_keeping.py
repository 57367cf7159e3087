"""Keeping the ledger's word on what is set aside in step with the warehouse; orchestration interpreter."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from headrace.ledger.database import Ledger
from headrace.ledger.quarantine import HELD, RELEASING, SUPERSEDED
from headrace.ledger.schema import attempt, check, quarantine, quarantined_row
from headrace.ledger.statements import chunk, read_on, tell_time
from headrace.ledger.views import TaskTry

SetKey = tuple[TaskTry, str]
"""By which try, and the digest of which check, rows were set aside."""


def load_set_keys(ledger: Ledger | Connection, quarantine_ids: Collection[int]) -> dict[int, SetKey]:
    """Return by which try and which check some sets were set aside."""
    found: dict[int, SetKey] = {}
    with read_on(ledger) as connection:
        for some in chunk(sorted(quarantine_ids)):
            for row in connection.execute(_select_keys().where(quarantine.c.id.in_(some))):
                found[int(row.id)] = _build_key(row)
    return found


def end_sets(
    connection: Connection,
    dataset: str,
    partition_key: str,
    held: Collection[SetKey],
    *,
    now: datetime | None = None,
) -> list[int]:
    """Mark the sets of a dataset's partition as superseded of which the warehouse holds no row any more.

    Args:
        connection: The write transaction in which a gate's results are recorded.
        dataset: As in the results.
        partition_key: ``''`` for a whole dataset.
        held: What the warehouse holds of it.
        now: The time; by default the clock's.

    Returns:
        Ids of the sets that were ended.
    """
    now, c = tell_time(now), quarantine.c
    query = _select_keys().where(c.dataset == dataset, c.partition_key == partition_key, c.state.in_((HELD, RELEASING)))
    ended: Sequence[int] = [int(row.id) for row in connection.execute(query) if _build_key(row) not in held]
    for some in chunk(list(ended)):
        connection.execute(update(quarantine).where(c.id.in_(some)).values(state=SUPERSEDED, changed_at=now))
        rows = quarantined_row.c.quarantine_id.in_(some) & quarantined_row.c.state.in_((HELD, RELEASING))
        connection.execute(update(quarantined_row).where(rows).values(state=SUPERSEDED))
    return list(ended)


def _select_keys() -> Select[Any]:
    a = attempt.c
    return (
        select(quarantine.c.id, check.c.digest, a.dag_id, a.run_id, a.task_id, a.map_index, a.try_number)
        .join(check, check.c.id == quarantine.c.check_id)
        .join(attempt, a.id == quarantine.c.attempt_id)
    )


def _build_key(row: Row[Any]) -> SetKey:
    return TaskTry(row.dag_id, row.run_id, row.task_id, row.map_index, row.try_number), str(row.digest)
