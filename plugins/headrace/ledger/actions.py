"""What people do about incidents: each in one transaction, with its line in the audit trail; orchestration interpreter.

Every function raises ``UnknownIncidentError``, ``InvalidActionError`` or ``LedgerError``, and then nothing was done.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from headrace.contracts.json_safe import make_name_safe
from headrace.exceptions import InvalidActionError
from headrace.ledger.audit import act_on, require_text
from headrace.ledger.database import Ledger
from headrace.ledger.releases import release, release_quarantine, waive
from headrace.ledger.reruns import rerun, tell_cleared
from headrace.ledger.views import Rerun
from headrace.quality.incidents import Change, IncidentState, Resolution, Standing, Step
from headrace.quality.incidents import resolve as decide_resolved

__all__ = [
    "Rerun", "acknowledge", "assign", "comment", "release", "release_quarantine", "reopen", "rerun", "resolve",
    "snooze", "tell_cleared", "unsnooze", "waive",
]  # fmt: skip

LONGEST_SNOOZE = timedelta(days=366)
_UNRESOLVED = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED)


def acknowledge(
    ledger: Ledger, incident_id: int, actor: str, comment: str = "", *, now: datetime | None = None
) -> None:
    """Say that somebody looks after it: it is told again only when it becomes worse, or is resolved and comes back."""
    with act_on(ledger, incident_id, actor, now) as act:
        act.require(IncidentState.OPEN, IncidentState.SNOOZED, to="acknowledged")
        before = act.case.state
        act.take(Step(replace(act.case.standing, state=IncidentState.ACKNOWLEDGED)))
        written = require_text(comment, "the comment") if comment.strip() else None
        act.note("acknowledged", before=before.value, after=act.case.state.value, comment=written)


def assign(ledger: Ledger, incident_id: int, actor: str, assignee: str | None, *, now: datetime | None = None) -> None:
    """Say whose it is; None for nobody's."""
    name = None if assignee is None else make_name_safe(require_text(assignee, "the assignee's name", 500))
    with act_on(ledger, incident_id, actor, now) as act:
        before, act.case.assignee = act.case.assignee, name
        if before != name:
            act.note("assigned" if name else "unassigned", assignee=name, before=before, after=name)


def snooze(ledger: Ledger, incident_id: int, actor: str, until: datetime, *, now: datetime | None = None) -> None:
    """Let it rest until a time, at most 366 days ahead; if it still fails then, it is open and told again."""
    if until.tzinfo is None:
        raise InvalidActionError(f"the snooze ends at {until}, which has no time zone: add one, for example Z")
    with act_on(ledger, incident_id, actor, now) as act:
        if not act.now < until <= act.now + LONGEST_SNOOZE:
            raise InvalidActionError(
                f"the snooze would end at {until.isoformat()}: name a time between now and 366 days from now"
            )
        act.require(*_UNRESOLVED, to="snoozed")
        before = act.case.state
        act.take(Step(replace(act.case.standing, state=IncidentState.SNOOZED)))
        act.case.snoozed_until = until = until.astimezone(UTC)
        act.note("snoozed", until=until.isoformat(), before=before.value, after=act.case.state.value)


def unsnooze(ledger: Ledger, incident_id: int, actor: str, *, now: datetime | None = None) -> None:
    """End a snooze now; nobody is told, for somebody is at it."""
    with act_on(ledger, incident_id, actor, now) as act:
        act.require(IncidentState.SNOOZED, to="woken from a snooze")
        act.take(Step(replace(act.case.standing, state=IncidentState.OPEN)))
        act.note("unsnoozed", before=IncidentState.SNOOZED.value, after=act.case.state.value)


def resolve(ledger: Ledger, incident_id: int, actor: str, reason: str, *, now: datetime | None = None) -> None:
    """Call it resolved, whatever the checks say: what blocks goes on blocking, and the next failure re-opens it."""
    reason = require_text(reason, "the reason")
    with act_on(ledger, incident_id, actor, now) as act:
        act.require(*_UNRESOLVED, to="resolved")
        before, step = act.case.state, decide_resolved(act.case.standing, Resolution.MANUAL)
        act.take(step, reason)
        act.note(
            "resolved", step=step, resolution=Resolution.MANUAL.value, reason=reason, before=before.value,
            after=act.case.state.value, still_failing=act.case.unsettled[:20],
        )  # fmt: skip


def reopen(ledger: Ledger, incident_id: int, actor: str, reason: str, *, now: datetime | None = None) -> None:
    """Open a resolved incident again, for everybody to see."""
    reason = require_text(reason, "the reason")
    with act_on(ledger, incident_id, actor, now) as act:
        act.require(IncidentState.RESOLVED, to="opened again")
        step = Step(Standing(IncidentState.OPEN, act.case.severity, told=True), Change.REOPENED, tell=True)
        act.take(step)
        act.case.reopened += 1
        act.case.caused_by, act.case.told = None, True
        act.note("reopened", step=step, reason=reason, before=IncidentState.RESOLVED.value, after=act.case.state.value)


def comment(ledger: Ledger, incident_id: int, actor: str, text: str, *, now: datetime | None = None) -> None:
    """Write into its timeline; at most 2,000 characters."""
    text = require_text(text, "the comment")
    with act_on(ledger, incident_id, actor, now) as act:
        act.note("commented", text=text)
