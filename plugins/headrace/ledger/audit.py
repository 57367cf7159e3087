"""One person's action on one incident: loaded, changed, and written with who, when, before and after; orchestration
interpreter."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from headrace.contracts.json_safe import MAX_TEXT, make_name_safe, make_text_safe
from headrace.exceptions import InvalidActionError, UnknownIncidentError
from headrace.ledger.database import Ledger
from headrace.ledger.incidents import Case, Entry, load_cases, write_cases, write_timeline
from headrace.ledger.statements import tell_time
from headrace.quality.incidents import IncidentState, Step


@dataclass
class Act:
    """An action that is under way.

    Attributes:
        connection: Its transaction.
        case: The incident.
        actor: Who acts.
        now: When.
    """

    connection: Connection
    case: Case
    actor: str
    now: datetime
    _entries: list[Entry] = field(default_factory=list)

    def note(self, kind: str, partition_key: str | None = None, step: Step | None = None, **detail: Any) -> None:
        """Write a line of the timeline; people are told where the decision says so."""
        change, tell = (step.change, step.tell) if step else (None, False)
        self._entries.append(Entry(self.case, kind, detail, partition_key, self.actor, change, tell))

    def take(self, step: Step, reason: str | None = None) -> None:
        self.case.take(step, self.now, actor=self.actor, reason=reason)

    def require(self, *states: IncidentState, to: str) -> None:
        """Raise unless the incident is in one of some states."""
        if self.case.state not in states:
            raise InvalidActionError(
                f"incident {self.case.id} is {self.case.state.value}, so it cannot be {to}",
                incident_id=self.case.id, state=self.case.state.value,
            )  # fmt: skip


@contextmanager
def act_on(ledger: Ledger, incident_id: int, actor: str, now: datetime | None = None) -> Iterator[Act]:
    """Begin an action: what the ``with`` block changes and notes is written when it ends, or nothing when it raises.

    Raises:
        UnknownIncidentError: There is no such incident.
        InvalidActionError: Nobody is named as the actor.
        LedgerError: It could not be written.
    """
    actor = require_text(actor, "the actor's name", 500)
    with ledger.begin() as connection:
        case = load_cases(connection, incident_ids=[incident_id]).get(incident_id)
        if case is None:
            raise UnknownIncidentError(f"there is no incident {incident_id} in the ledger", incident_id=incident_id)
        act = Act(connection, case, make_name_safe(actor), tell_time(now))
        yield act
        write_cases(connection, [case])
        write_timeline(connection, act._entries, act.now)


def require_text(text: object, what: str, limit: int = MAX_TEXT) -> str:
    """Return a text that a person wrote, without what looks like a secret.

    Raises:
        InvalidActionError: It is empty or too long; ``what`` names it in the message.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidActionError(f"{what} is missing")
    if len(text) > limit:
        raise InvalidActionError(f"{what} has {len(text):,} characters: {limit:,} are the most")
    return make_text_safe(text.strip(), limit)
