"""Which DAGs recorded what: by that Airflow says who may see it; orchestration interpreter."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from headrace.ledger.database import Ledger
from headrace.ledger.schema import attempt, incident, quarantine


def list_dag_ids(ledger: Ledger) -> Sequence[str]:
    """Return every DAG that has recorded anything, sorted.

    It steps through the index from one DAG to the next: the ledger has many attempts, and few DAGs.
    """
    first = select(func.min(attempt.c.dag_id).label("dag_id")).cte("dags", recursive=True)
    following = select(func.min(attempt.c.dag_id)).where(attempt.c.dag_id > first.c.dag_id).scalar_subquery()
    dags = first.union_all(select(following).where(first.c.dag_id.is_not(None)))
    with ledger.connect() as connection:
        return list(connection.scalars(select(dags.c.dag_id).where(dags.c.dag_id.is_not(None))))


def map_incidents_to_dags(ledger: Ledger, incident_ids: Sequence[int]) -> Mapping[int, str]:
    """Return the DAG that recorded the newest failure of each incident; unknown ones are left out."""
    query = select(incident.c.id, incident.c.dag_id).where(incident.c.id.in_(incident_ids))
    with ledger.connect() as connection:
        return {row.id: row.dag_id for row in connection.execute(query)}


def find_quarantine_dag(ledger: Ledger, quarantine_id: int) -> str | None:
    """Return the DAG whose task set these rows aside; None where there is no such quarantine."""
    query = (
        select(attempt.c.dag_id)
        .join(quarantine, quarantine.c.attempt_id == attempt.c.id)
        .where(quarantine.c.id == quarantine_id)
    )
    with ledger.connect() as connection:
        return connection.scalar(query)
