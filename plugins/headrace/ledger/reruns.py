"""Which tasks must run again for what people decided, and which were told to; orchestration interpreter."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from headrace.contracts.check_result import Status
from headrace.exceptions import InvalidActionError
from headrace.ledger.audit import act_on
from headrace.ledger.by_hand import BY_HAND
from headrace.ledger.database import Ledger
from headrace.ledger.incidents import HEADRACE
from headrace.ledger.quarantine import RELEASING
from headrace.ledger.schema import attempt, check_result, check_state, incident_event, quarantine
from headrace.ledger.statements import chunk
from headrace.ledger.views import Rerun

_DECIDED = ("waived", "release_requested")
_CLEARED = "cleared"


def rerun(ledger: Ledger, incident_id: int, actor: str, *, now: datetime | None = None) -> list[Rerun]:
    """Ask once more for what decisions on an incident wait for, where nothing came of asking the first time.

    Args:
        ledger: The ledger.
        incident_id: The check's incident.
        actor: Who.
        now: The time; by default the clock's.

    Returns:
        The tasks, to be run again with what is downstream of them.

    Raises:
        InvalidActionError: Nothing waits.
    """
    with act_on(ledger, incident_id, actor, now) as act:
        found = load_pending(act.connection, incident_id, act.case.check_id)
        if not found:
            raise InvalidActionError(
                f"no decision on incident {incident_id} waits for a task that was not cleared since",
                incident_id=incident_id,
            )
        act.note("rerun_requested")
        return found


def tell_cleared(ledger: Ledger, incident_id: int, task: Rerun, cleared: int) -> None:
    """Write into an incident's timeline that a task was cleared for it: it is pending no more.

    Raises:
        UnknownIncidentError, LedgerError: It was not written.
    """
    text = (
        f"Cleared {task.task_id} of the run {task.run_id} of {task.dag_id} with what is downstream of it: {cleared} "
        "task instances of the run run again."
    )
    with act_on(ledger, incident_id, HEADRACE) as act:
        act.note(_CLEARED, text=text, **asdict(task))


def load_pending(connection: Connection, incident_id: int, check_id: int) -> list[Rerun]:
    """Return the tasks that decisions on an incident wait for.

    A waiver waits until the check has been made once more, and rows that were released until the gate has put them
    back; neither does where the task was cleared since, as far as the timeline says.
    """
    state, made = check_state.c, check_result.c
    waived = (
        select(state.partition_key)
        .join(check_result, made.id == state.result_id)
        .where(state.check_id == check_id, state.excused.is_not(None))
        .where(made.excused.is_(None), made.status != Status.PASSED.value)
    )
    releasing = select(quarantine.c.partition_key).where(
        quarantine.c.check_id == check_id, quarantine.c.state == RELEASING
    )
    keys: set[str] = {*connection.execute(waived).scalars(), *connection.execute(releasing).scalars()}
    if not keys:
        return []
    decided, cleared = _load_told(connection, incident_id)
    tasks = _list_tasks(connection, check_id, sorted(keys))
    return list(dict.fromkeys(task for key, task in tasks if cleared.get(task, 0) <= decided.get(key, 0)))


def _load_told(connection: Connection, incident_id: int) -> tuple[dict[str, int], dict[Rerun, int]]:
    """Return the last event that decided on each partition, and the last that says of each task that it was cleared."""
    c = incident_event.c
    query = select(c.id, c.kind, c.partition_key, c.detail).order_by(c.id)
    query = query.where(c.incident_id == incident_id, c.kind.in_((*_DECIDED, _CLEARED)))
    decided: dict[str, int] = {}
    cleared: dict[Rerun, int] = {}
    for row in connection.execute(query):
        if row.kind == _CLEARED:
            cleared[Rerun(*(row.detail.get(name) for name in Rerun.__dataclass_fields__))] = int(row.id)
        else:
            decided[str(row.partition_key)] = int(row.id)
    return decided, cleared


def find_tasks(connection: Connection, check_id: int, partition_keys: Sequence[str]) -> list[Rerun]:
    """Find the tasks that made the newest result of a check on some partitions.

    With them those that found it failing earlier in the same run: a dbt test fails in the task that builds, and again
    in its model's task, which then tries it by itself. To clear only the last would leave the first one red.
    """
    return list(dict.fromkeys(task for _, task in _list_tasks(connection, check_id, partition_keys)))


def _list_tasks(connection: Connection, check_id: int, partition_keys: Sequence[str]) -> list[tuple[str, Rerun]]:
    a, made, state = attempt.c, check_result.c, check_state.c
    newest, by = check_result.alias("newest"), attempt.alias("newest_by")
    query = (
        select(state.partition_key, a.dag_id, a.run_id, a.task_id, a.map_index)
        .distinct()
        .join(check_result, made.attempt_id == a.id)
        .join(check_state, (state.check_id == made.check_id) & (state.partition_key == made.partition_key))
        .join(newest, newest.c.id == state.result_id)
        .join(by, by.c.id == newest.c.attempt_id)
        .where(state.check_id == check_id, a.dag_id == by.c.dag_id, a.run_id == by.c.run_id, a.task_id != BY_HAND)
        .where((made.id == state.result_id) | (made.status != Status.PASSED.value))
        .order_by(a.dag_id, a.run_id, a.task_id, a.map_index, state.partition_key)
    )
    found: list[tuple[str, Rerun]] = []
    for some in chunk(partition_keys):
        rows: Any = connection.execute(query.where(state.partition_key.in_(some)))
        found += [(str(key), Rerun(*task)) for key, *task in rows]
    return found
