"""Which DAGs recorded what: by that Airflow says who may see it; orchestration interpreter."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from headrace.ledger.database import Ledger
from headrace.ledger.query_distinct import select_distinct
from headrace.ledger.schema import attempt, incident, lineage_run, quarantine, trained_model


def list_dag_ids(ledger: Ledger) -> Sequence[str]:
    """Return every DAG that has recorded anything, sorted."""
    with ledger.connect() as connection:
        found = {*connection.scalars(select_distinct(attempt.c.dag_id))}
        found.update(connection.scalars(select_distinct(lineage_run.c.dag_id)))
        found.update(connection.scalars(select(trained_model.c.dag_id).distinct()))
        return sorted(found)


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
        found: str | None = connection.scalar(query)
        return found
