"""One incident with everything that its page shows; orchestration interpreter."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from headrace.exceptions import UnknownIncidentError
from headrace.ledger.query_conditions import RESOLVED
from headrace.ledger.query_graph import load_graph
from headrace.ledger.query_quarantine import list_check_quarantine
from headrace.ledger.query_reach import STILL_AFFECTED, load_blast
from headrace.ledger.query_results import load_results
from headrace.ledger.query_rows import load_rows
from headrace.ledger.query_series import load_series
from headrace.ledger.query_statistics import load_statistics
from headrace.ledger.reruns import load_pending
from headrace.ledger.schema import attempt, check, check_result, dataset, incident, incident_event, incident_partition
from headrace.ledger.views import EventRow, IncidentDetail, PartitionRow

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger

_MOST_PARTITIONS = 500
_MOST_EVENTS = 500
_MOST_RESULTS = 50
_MOST_CONSEQUENCES = 100
_LONGEST_UNIT = 20


def load_incident(
    ledger: "Ledger", incident_id: int, *, dag_ids: Sequence[str] | None = None, now: datetime | None = None
) -> IncidentDetail:
    """Load everything that an incident's page shows.

    Lists are bounded: 50 results, 500 partitions and events, 100 consequences, quarantines, runs and models.

    Args:
        ledger: The ledger.
        incident_id: Which incident, whatever its DAG.
        dag_ids: What the lines of incidents name and count beside themselves is of these DAGs only.
        now: By which a snooze has run out or not; the clock's time when None.

    Raises:
        UnknownIncidentError: There is none of that number.
    """
    now = now or datetime.now(UTC)
    with ledger.connect() as connection:
        own = _load_own(connection, incident_id)
        rows = load_rows(connection, [incident_id, *_find_related(connection, own)], now, dag_ids)
        row, cause = rows[0], next((each for each in rows if each.id == own["caused_by"]), None)
        partitions = _load_partitions(connection, incident_id)
        results = load_results(
            connection, {*_find_results(connection, own["check_id"]), own["last_result_id"]} - {None}
        )
        newest = next((result for result in results if result.id == own["last_result_id"]), None)
        known: Any = connection.execute(select(dataset).where(dataset.c.name == row.dataset)).mappings().first() or {}
        return IncidentDetail(
            row=row,
            runbook=own["runbook"] or known.get("runbook"),
            description=known.get("description"),
            docs=known.get("docs"),
            resolved_by=own["resolved_by"],
            resolve_reason=own["resolve_reason"],
            reopened=own["reopened"],
            result=newest,
            partitions=partitions,
            events=_load_events(connection, incident_id),
            series=load_series(connection, own["check_id"], row.tool),
            results=results[:_MOST_RESULTS],
            quarantine=list_check_quarantine(connection, own["check_id"]),
            consequences=[each for each in rows[1:] if cause is None or each.id != cause.id],
            cause=cause,
            graph=load_graph(connection, row.dataset, find_shown_partition(partitions)),
            blast=load_blast(connection, incident_id, row.dataset),
            unit=_find_unit(connection, own["check_id"]),
            statistics=load_statistics(connection, newest) if newest and row.tool == "tfdv" else {},
            pending=load_pending(connection, incident_id, own["check_id"]),
        )


def incident_dag_ids(ledger: "Ledger", incident_id: int) -> set[str]:
    """Return the DAGs that ever recorded a result of the incident's check.

    Raises:
        UnknownIncidentError: There is none of that number.
    """
    with ledger.connect() as connection:
        own = _load_own(connection, incident_id)
        statement = (
            select(attempt.c.dag_id)
            .join(check_result, check_result.c.attempt_id == attempt.c.id)
            .where(check_result.c.check_id == own["check_id"])
            .distinct()
        )
        return {own["dag_id"], *connection.execute(statement).scalars()}


def find_shown_partition(partitions: Sequence[PartitionRow]) -> str | None:
    """Return the newest partition that still fails, else the newest that was affected."""
    failing = [each.partition_key for each in partitions if each.state in STILL_AFFECTED]
    return max(failing or [each.partition_key for each in partitions], default=None)


def _load_own(connection: Connection, incident_id: int) -> Any:
    own = connection.execute(select(incident).where(incident.c.id == incident_id)).mappings().first()
    if own is None:
        raise UnknownIncidentError(
            f"the ledger holds no incident {incident_id}: see 'headrace incidents list'", id=incident_id
        )
    return own


def _find_related(connection: Connection, own: Any) -> list[int]:
    """Return its cause and its consequences, those that are not resolved first."""
    statement = (
        select(incident.c.id)
        .where(incident.c.caused_by == own["id"])
        .order_by(incident.c.state == RESOLVED, incident.c.severity_rank, incident.c.last_seen.desc())
        .limit(_MOST_CONSEQUENCES)
    )
    cause = [own["caused_by"]] if own["caused_by"] is not None else []
    return [*cause, *connection.execute(statement).scalars()]


def _find_unit(connection: Connection, check_id: int) -> str | None:
    meta: Any = connection.execute(select(check.c.meta).where(check.c.id == check_id)).scalar()
    unit = (meta or {}).get("unit")
    return unit[:_LONGEST_UNIT] if isinstance(unit, str) and unit.strip() else None


def _find_results(connection: Connection, check_id: int) -> Sequence[int]:
    statement = select(check_result.c.id).where(check_result.c.check_id == check_id)
    return connection.execute(statement.order_by(check_result.c.id.desc()).limit(_MOST_RESULTS)).scalars().all()


def _load_partitions(connection: Connection, incident_id: int) -> list[PartitionRow]:
    """Load partitions, newest first by key; where there are more than these, those that still fail."""
    names = ("partition_key", "state", "failures", "first_seen", "last_seen", "caused_by")
    statement = (
        select(*(incident_partition.c[name] for name in names))
        .where(incident_partition.c.incident_id == incident_id)
        .order_by(incident_partition.c.state.not_in(STILL_AFFECTED), incident_partition.c.partition_key.desc())
        .limit(_MOST_PARTITIONS)
    )
    found = [PartitionRow(**row) for row in connection.execute(statement).mappings()]
    return sorted(found, key=lambda row: row.partition_key, reverse=True)


def _load_events(connection: Connection, incident_id: int) -> list[EventRow]:
    """Load the timeline, oldest first; the newest where there are too many."""
    names = ("id", "at", "kind", "actor", "partition_key", "detail")
    statement = (
        select(*(incident_event.c[name] for name in names))
        .where(incident_event.c.incident_id == incident_id)
        .order_by(incident_event.c.id.desc())
        .limit(_MOST_EVENTS)
    )
    return [EventRow(**row) for row in connection.execute(statement).mappings()][::-1]
