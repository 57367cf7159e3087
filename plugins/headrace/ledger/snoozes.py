"""Snoozes that have run out; the notifier looks for them; orchestration interpreter."""

from datetime import datetime

from sqlalchemy import select

from headrace.ledger.database import Ledger
from headrace.ledger.grouping import promote_consequences
from headrace.ledger.incidents import Entry, load_cases, write_cases, write_timeline
from headrace.ledger.schema import incident
from headrace.quality.incidents import IncidentState, decide_due

BATCH = 200


def expire_snoozes(ledger: Ledger, now: datetime) -> list[int]:
    """Open the incidents whose snooze has run out, and tell people of those that still fail.

    Nobody is told of a consequence: its cause is what people look at. One whose cause was resolved a while ago stands
    on its own from here on, and is told as opened.

    Returns:
        The ids of all of them.
    """
    return [*_end_snoozes(ledger, now), *promote_consequences(ledger, now)]


def _end_snoozes(ledger: Ledger, now: datetime) -> list[int]:
    run_out = (
        select(incident.c.id)
        .where(incident.c.state == IncidentState.SNOOZED.value, incident.c.snoozed_until <= now)
        .order_by(incident.c.id)
        .limit(BATCH)
    )
    with ledger.connect() as connection:
        if connection.execute(run_out).first() is None:
            return []
    with ledger.begin() as connection:
        ids: list[int] = list(connection.execute(run_out).scalars())
        cases = list(load_cases(connection, incident_ids=ids).values())
        entries = []
        for case in cases:
            until, step = case.snoozed_until, decide_due(case.standing, len(case.unsettled), now, case.snoozed_until)
            case.state, case.snoozed_until, case.told = step.after.state, None, case.told or step.tell
            detail = {"until": until.isoformat() if until else None}
            entries.append(Entry(case, "snooze_ended", detail, change=step.change, tell=step.tell))
        write_cases(connection, cases)
        write_timeline(connection, entries, now)
    return ids
