"""Waiving failures and letting rows go on, with what must run again for it; orchestration interpreter."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from headrace.contracts.json_safe import make_name_safe
from headrace.exceptions import InvalidActionError, UnknownIncidentError
from headrace.ledger.audit import Act, act_on, require_text
from headrace.ledger.database import Ledger
from headrace.ledger.incidents import Entry, load_cases, write_timeline
from headrace.ledger.quarantine import HELD, RELEASED, RELEASING
from headrace.ledger.reruns import find_tasks, load_pending
from headrace.ledger.schema import check, check_state, quarantine, quarantined_row, waiver
from headrace.ledger.statements import chunk, tell_time
from headrace.ledger.taints import end_taints
from headrace.ledger.verdicts import write_verdicts
from headrace.ledger.views import Rerun
from headrace.ledger.waivers import describe_waiver
from headrace.quality.incidents import PartitionState, decide_pass, explain_unwaivable


def waive(
    ledger: Ledger,
    incident_id: int,
    actor: str,
    partition_keys: Sequence[str],
    reason: str,
    *,
    now: datetime | None = None,
) -> list[Rerun]:
    """Let a failing check pass on some partitions, on a person's word, until other data is landed.

    The verdicts are decided anew at once.

    Args:
        ledger: The ledger.
        incident_id: The check's incident.
        actor: Who.
        partition_keys: Partitions that fail in it.
        reason: Why.
        now: The time; by default the clock's.

    Returns:
        The tasks that found the failures: to be run again with what they stopped.
    """
    reason = require_text(reason, "the reason")
    with act_on(ledger, incident_id, actor, now) as act:
        _require_waivable(act)
        keys = _require_keys(act, partition_keys, PartitionState.FAILING, PartitionState.QUARANTINED)
        case, before = act.case, act.case.state
        failed = _load_failed_rows(act, keys)
        of = {"check_id": case.check_id, "actor": act.actor, "reason": reason, "at": act.now}
        rows = [{**of, "partition_key": key, "failed_rows": failed.get(key)} for key in keys]
        act.connection.execute(insert(waiver), rows)
        for key in keys:
            line = case.lines[key]
            act.note("waived", key, reason=reason, before=line.state.value, after=PartitionState.WAIVED.value)
            line.state = PartitionState.WAIVED
            case.touched.add(key)
        excused = describe_waiver(act.actor, reason)
        state = check_state.c
        for some in chunk(keys):
            mine = (state.check_id == case.check_id) & state.partition_key.in_(some)
            act.connection.execute(update(check_state).where(mine).values(excused=excused))
        places = {(case.dataset, key) for key in keys}
        write_verdicts(act.connection, places, act.now, why="waived", actor=act.actor)
        end_taints(act.connection, case.check_id, keys, act.now)
        step = decide_pass(case.standing, len(case.unsettled), {PartitionState.WAIVED})
        act.take(step, reason)
        if step.change is not None:
            act.note(
                "resolved", step=step, resolution=case.resolution, reason=reason, before=before.value,
                after=case.state.value,
            )  # fmt: skip
        return find_tasks(act.connection, case.check_id, keys)


def _load_failed_rows(act: Act, keys: Sequence[str]) -> dict[str, int | None]:
    """Return how many rows fail on each partition, as far as that is known.

    Raises:
        InvalidActionError: The failure is of data that was replaced since, so nobody knows what would be waived.
    """
    state = check_state.c
    found: list[Any] = []
    for some in chunk(keys):
        mine = (state.check_id == act.case.check_id) & state.partition_key.in_(some)
        found += act.connection.execute(select(state.partition_key, state.failed_rows, state.stale).where(mine)).all()
    stale = sorted(str(row.partition_key) for row in found if row.stale)
    if stale:
        raise InvalidActionError(
            f"other data of {_name(stale)} was landed since the check failed: wait for its gate, which says whether it "
            "still does",
            incident_id=act.case.id,
        )
    return {str(row.partition_key): row.failed_rows for row in found}


def _require_waivable(act: Act) -> None:
    names = act.connection.execute(select(check.c.tool, check.c.name).where(check.c.id == act.case.check_id)).one()
    why = explain_unwaivable(str(names.tool), str(names.name))
    if why is not None:
        raise InvalidActionError(f"incident {act.case.id} cannot be waived: {why}", incident_id=act.case.id)


def release(
    ledger: Ledger,
    incident_id: int,
    actor: str,
    partition_keys: Sequence[str],
    reason: str,
    *,
    row_ids: Sequence[str] | None = None,
    now: datetime | None = None,
) -> list[Rerun]:
    """Let go on what an incident's check set aside of some partitions: the gate puts it back when it runs again.

    Args:
        ledger: The ledger.
        incident_id: The check's incident.
        actor: Who.
        partition_keys: Partitions of which rows are held.
        reason: Why.
        row_ids: Only these rows; None: all.
        now: The time; by default the clock's.

    Returns:
        The gates' tasks, to be run again with what is downstream of them.
    """
    reason = require_text(reason, "the reason")
    with act_on(ledger, incident_id, actor, now) as act:
        known = [key for key, line in act.case.lines.items() if line.state is PartitionState.QUARANTINED]
        held = _load_held(act.connection, act.case.check_id, list(partition_keys) or known)
        missing = sorted(set(partition_keys) - {str(row.partition_key) for row in held})
        if missing or not held:
            raise InvalidActionError(
                f"no rows of {_name(missing) or 'any partition'} are set aside for incident {incident_id}: a partition "
                f"that fails as a whole can be waived{_say_pending(act)}",
                incident_id=incident_id,
            )
        for row in held:
            detail = _release_set(act.connection, row, act.actor, act.now, reason, row_ids)
            act.note("release_requested", str(row.partition_key), **detail)
        return find_tasks(act.connection, act.case.check_id, sorted({str(row.partition_key) for row in held}))


def release_quarantine(
    ledger: Ledger,
    quarantine_id: int,
    actor: str,
    reason: str,
    row_ids: Sequence[str] | None = None,
    *,
    now: datetime | None = None,
) -> list[Rerun]:
    """Let go on one set of rows that was set aside, or some of them: the gate puts them back when it runs again.

    Args:
        ledger: The ledger.
        quarantine_id: The set.
        actor: Who.
        reason: Why.
        row_ids: Only these rows, of those that are shown; None: all.
        now: The time; by default the clock's.

    Returns:
        The gate's task, to be run again with what is downstream of it.
    """
    reason = require_text(reason, "the reason")
    actor = make_name_safe(require_text(actor, "the actor's name", 500))
    with ledger.begin() as connection:
        row = connection.execute(select(quarantine).where(quarantine.c.id == quarantine_id)).first()
        if row is None:
            raise UnknownIncidentError(
                f"there is no quarantine {quarantine_id} in the ledger", quarantine_id=quarantine_id
            )
        if row.state not in (HELD, RELEASING):
            raise InvalidActionError(
                f"quarantine {quarantine_id} is {row.state} already", quarantine_id=quarantine_id, state=row.state
            )
        now = tell_time(now)
        detail = _release_set(connection, row, actor, now, reason, row_ids)
        cases = load_cases(connection, check_ids=[row.check_id]).values()  # none where its check never failed alone
        key = str(row.partition_key)
        write_timeline(connection, [Entry(case, "release_requested", detail, key, actor) for case in cases], now)
        return find_tasks(connection, int(row.check_id), [key])


def _release_set(
    connection: Connection, row: Any, actor: str, now: datetime, reason: str, row_ids: Sequence[str] | None
) -> dict[str, Any]:
    """Mark rows of a set as releasing; return what the timeline says of it."""
    c = quarantined_row.c
    mine = (c.quarantine_id == row.id) & (c.state != RELEASED)
    if row_ids is not None:
        known: set[str] = set(connection.execute(select(c.row_id).where(mine, c.row_id.in_(row_ids))).scalars())
        if not row_ids or set(row_ids) - known:
            raise InvalidActionError(
                f"quarantine {row.id} does not hold {_name(sorted(set(row_ids) - known)) or 'no rows'}",
                quarantine_id=row.id,
            )
        mine &= c.row_id.in_(row_ids)
    connection.execute(update(quarantined_row).where(mine).values(state=RELEASING))
    values = {
        "state": RELEASING,
        "changed_at": now,
        "actor": actor,
        "actor_reason": reason,
        "release_whole": row_ids is None or bool(row.release_whole),
    }
    connection.execute(update(quarantine).where(quarantine.c.id == row.id).values(values))
    rows = row.rows if row_ids is None else len(row_ids)
    return {"reason": reason, "quarantine_id": row.id, "rows": rows, "before": row.state, "after": RELEASING}


def _load_held(connection: Connection, check_id: int, partition_keys: Sequence[str]) -> list[Any]:
    c = quarantine.c
    held: list[Any] = []
    for some in chunk(partition_keys):
        mine = (c.check_id == check_id) & c.partition_key.in_(some) & (c.state == HELD)
        held += connection.execute(select(quarantine).where(mine).order_by(c.id)).all()
    return held


def _require_keys(act: Act, partition_keys: Sequence[str], *states: PartitionState) -> list[str]:
    keys = sorted({make_name_safe(key or "", 100) for key in partition_keys}) or act.case.unsettled
    wrong = [key for key in keys if key not in act.case.lines or act.case.lines[key].state not in states]
    if wrong or not keys:
        said = f"{_name(wrong)} is not failing" if wrong else "no partition fails"
        raise InvalidActionError(
            f"{said} in incident {act.case.id} now; what fails is {_name(act.case.unsettled) or 'nothing'}"
            f"{_say_pending(act)}",
            incident_id=act.case.id,
        )
    return keys


def _say_pending(act: Act) -> str:
    waits = load_pending(act.connection, act.case.id, act.case.check_id)
    return ". A decision is recorded already and waits for its task: run that again" if waits else ""


def _name(keys: Sequence[str]) -> str:
    shown = ", ".join(key or "the whole dataset" for key in keys[:5])
    return f"{shown} and {len(keys) - 5} more" if len(keys) > 5 else shown
