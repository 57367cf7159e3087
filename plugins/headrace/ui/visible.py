"""Leaves out what belongs to DAGs that the user may not read; api-server."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from headrace.ledger import queries
from headrace.ledger.dag_ids import map_incidents_to_dags
from headrace.ledger.database import Ledger
from headrace.ledger.views import BlastRadius, Graph, IncidentDetail, IncidentRow, TaskTry, VerdictRow
from headrace.ui.security import Access

_NAMES_INCIDENT = ("before", "after", "caused_by", "because")
"""What an event's detail names another incident by."""


class _OfTask(Protocol):
    @property
    def task(self) -> TaskTry: ...


Row = TypeVar("Row", bound=_OfTask)


def keep_rows(rows: Sequence[Row], access: Access) -> list[Row]:
    """Keep results or quarantine that a readable DAG recorded."""
    return [row for row in rows if access.may_read(row.task.dag_id)]


def keep_incidents(rows: Sequence[IncidentRow], access: Access) -> list[IncidentRow]:
    return [row for row in rows if access.may_read(row.dag_id)]


def keep_verdicts(rows: Sequence[VerdictRow], access: Access) -> list[VerdictRow]:
    """Keep verdicts that a readable DAG caused, and people's decisions where one of these is among them."""
    readable = {row.id for row in rows if row.task is not None and access.may_read(row.task.dag_id)}
    return [row for row in rows if row.id in readable or (row.task is None and readable)]


def load_detail(ledger: Ledger, incident_id: int, access: Access) -> IncidentDetail:
    """Load an incident that the user may read, with what the user may read of what is beside it.

    Raises:
        UnknownIncidentError: There is none of that number.
    """
    detail = queries.load_incident(ledger, incident_id, dag_ids=access.filter_dag_ids(ledger))
    dags = map_incidents_to_dags(ledger, sorted(_list_named(detail)))
    return _keep_detail(detail, access, {id_ for id_, dag_id in dags.items() if access.may_read(dag_id)})


def _keep_detail(detail: IncidentDetail, access: Access, named: Set[int]) -> IncidentDetail:
    consequences = keep_incidents(detail.consequences, access)
    cause = detail.cause if detail.cause is not None and access.may_read(detail.cause.dag_id) else None
    shown = {detail.row.id, *(row.id for row in consequences), *([cause.id] if cause else ())}
    return replace(
        detail,
        results=keep_rows(detail.results, access),
        quarantine=keep_rows(detail.quarantine, access),
        consequences=consequences,
        cause=cause,
        partitions=[row if row.caused_by in named else replace(row, caused_by=None) for row in detail.partitions],
        events=[replace(event, detail=_keep_named(event.detail, named)) for event in detail.events],
        graph=_keep_graph(detail.graph, shown),
        blast=_keep_blast(detail.blast, access),
        pending=[task for task in detail.pending if access.may_read(task.dag_id)],
    )


def _list_named(detail: IncidentDetail) -> set[int]:
    """Return the other incidents that partitions and timeline name by their numbers."""
    values = [row.caused_by for row in detail.partitions]
    values += [event.detail.get(name) for event in detail.events for name in _NAMES_INCIDENT]
    return {value for value in values if isinstance(value, int)}


def _keep_named(event: Mapping[str, Any], named: Set[int]) -> dict[str, Any]:
    """Leave out the numbers of incidents that are not to be named; other values under these names are words."""
    return {
        name: None if name in _NAMES_INCIDENT and isinstance(value, int) and value not in named else value
        for name, value in event.items()
    }


def _keep_graph(graph: Graph, shown: set[int]) -> Graph:
    """Keep the datasets, which are no secret of a DAG, and the incidents on them that are shown beside."""
    nodes = [replace(node, incident_ids=[id_ for id_ in node.incident_ids if id_ in shown]) for node in graph.nodes]
    return replace(graph, nodes=nodes)


def _keep_blast(blast: BlastRadius, access: Access) -> BlastRadius:
    return replace(
        blast,
        dag_runs=[(dag_id, run_id) for dag_id, run_id in blast.dag_runs if access.may_read(dag_id)],
        models=[model for model in blast.models if "dag_id" not in model or access.may_read(str(model["dag_id"]))],
    )
