"""Which incidents a filter means, as conditions on the table ``incident``; orchestration interpreter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, func, or_, select

from headrace.ledger.schema import incident, incident_partition
from headrace.ledger.search_text import split_words
from headrace.ledger.views import IncidentFilter
from headrace.quality.incidents import IncidentState

OPEN, SNOOZED, RESOLVED = (state.value for state in (IncidentState.OPEN, IncidentState.SNOOZED, IncidentState.RESOLVED))
STATES = tuple(state.value for state in IncidentState)


def effective_state(now: datetime) -> Any:
    """Return the state as it is at that time: a snooze that has run out counts as open."""
    ran_out = and_(incident.c.state == SNOOZED, incident.c.snoozed_until <= now)
    return case((ran_out, OPEN), else_=incident.c.state)


@dataclass(frozen=True)
class Branch:
    """Conditions on one stored state, so that an index serves, and the effective state that they mean."""

    state: str
    conditions: Sequence[Any]


def list_branches(states: Sequence[str], now: datetime) -> list[Branch]:
    """Return the branches that together mean these effective states; empty: every state.

    A snooze that has run out by ``now`` is a branch of ``open``.
    """
    ran_out = [incident.c.state == SNOOZED, incident.c.snoozed_until <= now]
    lasts = [incident.c.state == SNOOZED, func.coalesce(incident.c.snoozed_until > now, True)]
    found = [Branch(state, lasts if state == SNOOZED else [incident.c.state == state]) for state in STATES]
    found.append(Branch(OPEN, ran_out))
    return [branch for branch in found if branch.state in (states or STATES)]


def build_conditions(wanted: IncidentFilter) -> list[Any]:
    """Return the conditions of everything but the state."""
    return [*_exact(wanted), *_consequences(wanted), *_text(wanted), *_partition(wanted)]


def is_narrow(wanted: IncidentFilter) -> bool:
    """Tell whether few incidents can match, so that to find all of them costs less than to walk in order."""
    return bool(wanted.datasets or wanted.partition_key is not None)


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
        stands = cause.c.state == RESOLVED
        if wanted.dag_ids is not None:  # who may not see the cause has only the consequence to find out by
            stands = or_(stands, cause.c.dag_id.not_in(list(wanted.dag_ids)))
        # Not EXISTS: Postgres would read every resolved incident to look up the few causes in.
        alone = select(stands).where(cause.c.id == incident.c.caused_by).scalar_subquery()
        yield or_(incident.c.caused_by.is_(None), alone)


def _text(wanted: IncidentFilter) -> Iterator[Any]:
    for word in split_words(wanted.text):
        yield incident.c.search.contains(word, autoescape=True)


def _partition(wanted: IncidentFilter) -> Iterator[Any]:
    if wanted.partition_key is not None:
        affected = select(incident_partition.c.incident_id)
        yield incident.c.id.in_(affected.where(incident_partition.c.partition_key == wanted.partition_key))
