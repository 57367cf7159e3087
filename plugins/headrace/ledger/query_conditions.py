"""Which incidents a filter means, as conditions on the table ``incident``; orchestration interpreter."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, exists, or_, select

from headrace.ledger.schema import incident, incident_partition
from headrace.ledger.search_text import split_words
from headrace.ledger.views import IncidentFilter
from headrace.quality.incidents import IncidentState

OPEN, SNOOZED, RESOLVED = (state.value for state in (IncidentState.OPEN, IncidentState.SNOOZED, IncidentState.RESOLVED))
STATES = tuple(state.value for state in IncidentState)


def effective_state(now: datetime) -> Any:
    """Return the state as it is at that time: a snooze that has run out counts as open."""
    return case((_ran_out(now), OPEN), else_=incident.c.state)


def stored_branches(states: Sequence[str], now: datetime) -> list[Any]:
    """Return conditions that together mean these effective states, each on one stored state, so that an index serves.

    Args:
        states: Effective states; empty: all of them.
        now: When a snooze is held against the clock.
    """
    wanted = set(states or STATES)
    found = []
    for state in STATES:
        stored = incident.c.state == state
        if state == SNOOZED and (SNOOZED in wanted) != (OPEN in wanted):
            found.append(and_(stored, _ran_out(now) if OPEN in wanted else ~_ran_out(now)))
        elif state in wanted:
            found.append(stored)
    return found


def build_conditions(wanted: IncidentFilter) -> list[Any]:
    """Return the conditions of everything but the state."""
    return [*_exact(wanted), *_consequences(wanted), *_text(wanted), *_partition(wanted)]


def is_narrow(wanted: IncidentFilter) -> bool:
    """Tell whether few incidents can match, so that finding all of them costs less than walking in order."""
    return bool(wanted.datasets or wanted.partition_key is not None)


def _ran_out(now: datetime) -> Any:
    # coalesce, so that the negation is not NULL for one without an end
    return and_(incident.c.state == SNOOZED, incident.c.snoozed_until.is_not(None), incident.c.snoozed_until <= now)


def _exact(wanted: IncidentFilter) -> Iterator[Any]:
    for column, values in (
        (incident.c.severity, wanted.severities),
        (incident.c.owner, wanted.owners),
        (incident.c.dataset, wanted.datasets),
        (incident.c.tool, wanted.tools),
        (incident.c.assignee, wanted.assignees),
    ):
        if values:
            yield column.in_(list(values))
    if wanted.dag_ids is not None:
        yield incident.c.dag_id.in_(list(wanted.dag_ids))


def _consequences(wanted: IncidentFilter) -> Iterator[Any]:
    if not wanted.consequences:
        cause = incident.alias("cause")
        resolved = exists().where(cause.c.id == incident.c.caused_by, cause.c.state == RESOLVED)
        yield or_(incident.c.caused_by.is_(None), resolved)


def _text(wanted: IncidentFilter) -> Iterator[Any]:
    for word in split_words(wanted.text):
        yield incident.c.search.contains(word, autoescape=True)


def _partition(wanted: IncidentFilter) -> Iterator[Any]:
    if wanted.partition_key is not None:
        affected = select(incident_partition.c.incident_id)
        yield incident.c.id.in_(affected.where(incident_partition.c.partition_key == wanted.partition_key))
