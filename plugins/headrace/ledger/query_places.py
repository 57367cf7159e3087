"""What is wrong with data versions' places now: incidents, and rows that are set aside; orchestration interpreter."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, select

from headrace.ledger.query_reach import STILL_AFFECTED, match_dags
from headrace.ledger.runs import Place
from headrace.ledger.schema import attempt, incident, incident_partition, quarantine
from headrace.ledger.statements import chunk

Found = Mapping[Place, Sequence[Any]]


def list_incidents_at(connection: Connection, places: Collection[Place], dag_ids: Sequence[str] | None) -> Found:
    """List the incidents that a partition of a dataset still has, worst first: ``id``, ``title``, ``severity``."""
    i, p = incident.c, incident_partition.c
    query = (
        select(i.dataset, p.partition_key, i.id, i.title, i.severity)
        .join(incident_partition, p.incident_id == i.id)
        .where(i.state != "resolved", p.state.in_(STILL_AFFECTED), match_dags(i.dag_id, dag_ids))
        .order_by(i.severity_rank, i.id)
    )
    return _group(connection, query, i.dataset, places)


def list_held_at(connection: Connection, places: Collection[Place], dag_ids: Sequence[str] | None) -> Found:
    """List what is set aside of a partition of a dataset, newest first: ``id``, ``rows``."""
    q = quarantine.c
    query = (
        select(q.dataset, q.partition_key, q.id, q.rows)
        .join(attempt, attempt.c.id == q.attempt_id)
        .where(q.state.in_(("held", "releasing")), match_dags(attempt.c.dag_id, dag_ids))
        .order_by(q.id.desc())
    )
    return _group(connection, query, q.dataset, places)


def _group(connection: Connection, query: Select[Any], dataset: Any, places: Collection[Place]) -> Found:
    found: dict[Place, list[Any]] = defaultdict(list)
    for names in chunk(sorted({name for name, _ in places})):
        for row in connection.execute(query.where(dataset.in_(names))):
            if (row.dataset, row.partition_key) in places:
                found[row.dataset, row.partition_key].append(row)
    return found
