"""What landed, and what other data under an old key puts an end to; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from headrace.contracts.check_result import Status
from headrace.contracts.json_safe import make_name_safe
from headrace.ledger.by_hand import QUARANTINED
from headrace.ledger.database import Ledger
from headrace.ledger.incidents import Entry, load_cases, write_timeline
from headrace.ledger.lineage import load_downstream_names
from headrace.ledger.quarantine import supersede_quarantine
from headrace.ledger.results import Key
from headrace.ledger.schema import check, check_state, landing, quarantine, waiver
from headrace.ledger.statements import chunk, tell_time, upsert_rows, write_on
from headrace.ledger.verdicts import write_verdicts
from headrace.ledger.withdrawals import retire_keys

_OF_THE_FILE = ("freshness", "lands", QUARANTINED)
"""Checks of when and whether data came, and what a person found of it: no gate makes them again after a landing."""


def record_landing(
    ledger: Ledger | Connection,
    partition_key: str,
    landed: Mapping[str, tuple[str, int]],
    *,
    now: datetime | None = None,
) -> tuple[str, ...]:
    """Record what was landed of a partition.

    Where a dataset's content is another than before, waivers of it and of everything downstream end for the
    partition (and those of whole datasets: they spoke of other data), what was set aside of it is superseded, and
    where it was checked its verdict is a block until each of its checks was made again. A failure that only said that
    its data is too old is no more.

    Args:
        ledger: The ledger, or a write transaction of it.
        partition_key: ``''`` for whole datasets, which concern every partition.
        landed: Dataset to the SHA-256 of the landed file and its rows.
        now: The time; by default the clock's.

    Returns:
        Datasets whose content is another than before, or was not known, in order.

    Raises:
        LedgerError: Nothing was recorded.
    """
    now, key = tell_time(now), make_name_safe(partition_key or "", 100)
    with write_on(ledger) as connection:
        c = landing.c
        known = connection.execute(select(c.dataset, c.sha256).where(c.partition_key == key)).all()
        before = {str(row.dataset): str(row.sha256) for row in known}
        changed = tuple(sorted(name for name, (sha256, _) in landed.items() if before.get(name) != sha256))
        rows = [
            {"dataset": make_name_safe(name), "partition_key": key, "sha256": sha256, "rows": count, "landed_at": now}
            for name, (sha256, count) in landed.items()
        ]
        if rows:
            upsert_rows(connection, landing, rows, ("dataset", "partition_key"))
        if changed:
            places = _mark_stale(connection, changed, key)
            retired = retire_keys(connection, _list_old_ages(connection, changed, key), "other data was landed", now)
            places |= retired | _end_waivers(connection, changed, key, now)
            _supersede(connection, changed, key, now)
            if places:
                write_verdicts(connection, places, now, retired=retired)
    return changed


def _mark_stale(connection: Connection, changed: Sequence[str], partition_key: str) -> set[tuple[str, str]]:
    """Note of the newest results that they speak of other data; return the places that have some."""
    state, held = check_state.c, set()
    of_file = select(check.c.id).where(check.c.id == state.check_id, check.c.name.in_(_OF_THE_FILE))
    for some in chunk(list(changed)):
        old = state.dataset.in_(some) & (state.partition_key == partition_key) & ~of_file.exists()
        statement = update(check_state).where(old).values(stale=True).returning(state.dataset)
        names: Any = connection.execute(statement).scalars()
        held |= {(str(name), partition_key) for name in names}
    return held


def _list_old_ages(connection: Connection, changed: Sequence[str], partition_key: str) -> list[Key]:
    state = check_state.c
    query = select(state.check_id).join(check, check.c.id == state.check_id).order_by(state.check_id)
    query = query.where(check.c.name.in_(_OF_THE_FILE), state.status != Status.PASSED.value)
    found: list[Key] = []
    for some in chunk(list(changed)):
        ids: Any = connection.execute(query.where(state.dataset.in_(some), state.partition_key == partition_key))
        found += [(int(check_id), partition_key) for check_id in ids.scalars()]
    return found


def _end_waivers(
    connection: Connection, changed: Sequence[str], partition_key: str, now: datetime
) -> set[tuple[str, str]]:
    names = sorted({*changed, *load_downstream_names(connection, changed)})
    why = f"other data was landed: {', '.join(changed)}"
    ended: list[Any] = []
    for some in chunk(names):
        query = (
            select(waiver.c.id, waiver.c.check_id, waiver.c.partition_key, check.c.dataset)
            .join(check, check.c.id == waiver.c.check_id)
            .where(check.c.dataset.in_(some), waiver.c.ended_at.is_(None))
        )
        if partition_key:
            query = query.where(waiver.c.partition_key.in_([partition_key, ""]))
        ended += connection.execute(query).all()
    if not ended:
        return set()
    for some in chunk([row.id for row in ended]):
        connection.execute(update(waiver).where(waiver.c.id.in_(some)).values(ended_at=now, ended_why=why))
    state = check_state.c
    for row in ended:  # by hand, so few
        mine = (state.check_id == row.check_id) & (state.partition_key == row.partition_key)
        connection.execute(update(check_state).where(mine).values(excused=None))
    of_check = {
        case.check_id: case for case in load_cases(connection, check_ids={row.check_id for row in ended}).values()
    }
    entries = [
        Entry(of_check[row.check_id], "waiver_ended", {"why": why}, row.partition_key)
        for row in ended
        if row.check_id in of_check
    ]
    write_timeline(connection, entries, now)
    return {(str(row.dataset), str(row.partition_key)) for row in ended}


def _supersede(connection: Connection, changed: Sequence[str], partition_key: str, now: datetime) -> None:
    ids = supersede_quarantine(connection, changed, partition_key, now)
    query = select(quarantine.c.id, quarantine.c.check_id, quarantine.c.rows)
    entries: list[Entry] = []
    for some in chunk(ids):
        rows = connection.execute(query.where(quarantine.c.id.in_(some)).order_by(quarantine.c.id)).all()
        cases = load_cases(connection, check_ids={row.check_id for row in rows})
        of_check = {case.check_id: case for case in cases.values()}
        entries += [
            Entry(of_check[row.check_id], "superseded", {"quarantine_id": row.id, "rows": row.rows}, partition_key)
            for row in rows
            if row.check_id in of_check
        ]
    write_timeline(connection, entries, now)
