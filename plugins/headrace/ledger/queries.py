"""What is read from the ledger: the inbox, an incident, results, verdicts, quarantine; orchestration interpreter.

Every function opens its own connection and returns the plain values of :mod:`headrace.ledger.views`. Where one takes
``dag_ids``, None is no condition and an empty sequence matches nothing: a user who may read no DAG.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from headrace.ledger import (
    query_incident,
    query_incidents,
    query_overview,
    query_quarantine,
    query_results,
    query_verdicts,
)
from headrace.ledger.views import (
    IncidentDetail,
    IncidentFilter,
    IncidentPage,
    Overview,
    QuarantineRow,
    ResultRow,
    VerdictRow,
)

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger

SORTS = tuple(query_incidents.ORDERS)


def list_incidents(
    ledger: "Ledger",
    filter: IncidentFilter,
    *,
    sort: str = "severity",
    limit: int = 50,
    cursor: str | None = None,
    now: datetime | None = None,
) -> IncidentPage:
    """Return one page of the inbox.

    Args:
        ledger: The ledger.
        filter: Which incidents.
        sort: ``severity`` (worst, then last seen first), ``newest`` (last seen first) or ``oldest`` (opened first).
        limit: Rows of the page, 1 to 200.
        cursor: ``next`` of the page before; None for the first. A page is found by its last row, not by counting, so
            that a deep page costs what the first one costs.
        now: By which a snooze has run out or not; the clock's time when None.

    Raises:
        InvalidCursorError: The cursor is none, or of another sort.
        ConfigurationError: No such sort.
    """
    return query_incidents.list_incidents(ledger, filter, sort=sort, limit=limit, cursor=cursor, now=now)


def load_incident(ledger: "Ledger", incident_id: int, *, now: datetime | None = None) -> IncidentDetail:
    """Load everything that an incident's page shows.

    Lists are bounded: 50 results, 500 partitions and events, 100 consequences, quarantines, runs and models.

    Raises:
        UnknownIncidentError: There is none of that number.
    """
    return query_incident.load_incident(ledger, incident_id, now=now)


def incident_dag_ids(ledger: "Ledger", incident_id: int) -> set[str]:
    """Return the DAGs that ever recorded a result of the incident's check.

    Raises:
        UnknownIncidentError: There is none of that number.
    """
    return query_incident.incident_dag_ids(ledger, incident_id)


def list_results(
    ledger: "Ledger",
    *,
    dag_id: str,
    run_id: str,
    task_id: str | None = None,
    map_index: int | None = None,
    limit: int = 1000,
) -> list[ResultRow]:
    """Return what the tasks of a run recorded: the newest try first, within it in the order of recording."""
    return query_results.list_results(
        ledger, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index, limit=limit
    )


def list_partition_verdicts(
    ledger: "Ledger", *, dag_id: str | None = None, dag_ids: Sequence[str] | None = None, limit: int = 200
) -> list[VerdictRow]:
    """Return the current verdict on each partition that a DAG's tasks gave one on, the newest first.

    The verdict itself may be of another DAG or of a person; ``dag_id`` says who touched the partition.
    """
    return query_verdicts.list_partition_verdicts(ledger, dag_id=dag_id, dag_ids=dag_ids, limit=limit)


def list_verdict_history(ledger: "Ledger", dataset: str, partition_key: str, *, limit: int = 200) -> list[VerdictRow]:
    """Return the verdicts on one partition (``""``: on the dataset as a whole), newest first."""
    return query_verdicts.list_verdict_history(ledger, dataset, partition_key, limit=limit)


def list_quarantine(
    ledger: "Ledger",
    *,
    states: Sequence[str] = ("held", "releasing"),
    dataset: str | None = None,
    partition_key: str | None = None,
    dag_ids: Sequence[str] | None = None,
    limit: int = 100,
) -> list[QuarantineRow]:
    """Return what was set aside, newest first, without the rows; an empty ``states`` is every state."""
    return query_quarantine.list_quarantine(
        ledger, states=states, dataset=dataset, partition_key=partition_key, dag_ids=dag_ids, limit=limit
    )


def load_quarantine(ledger: "Ledger", quarantine_id: int) -> QuarantineRow:
    """Load what one check of one run set aside, with its first 200 rows.

    Raises:
        UnknownQuarantineError: There is none of that number.
    """
    return query_quarantine.load_quarantine(ledger, quarantine_id)


def list_facets(ledger: "Ledger", *, dag_ids: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return what occurs among incidents, sorted: ``owners``, ``datasets``, ``tools``, ``assignees``."""
    return query_overview.list_facets(ledger, dag_ids=dag_ids)


def load_overview(ledger: "Ledger", *, dag_ids: Sequence[str] | None = None, now: datetime | None = None) -> Overview:
    """Return how many incidents there are, who waits longest, and whether notifications go out."""
    return query_overview.load_overview(ledger, dag_ids=dag_ids, now=now)
