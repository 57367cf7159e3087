"""The datasets around one, for the picture; orchestration interpreter."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from headrace.ledger.query_conditions import RESOLVED, STATES
from headrace.ledger.query_verdicts import load_current_decisions
from headrace.ledger.schema import dataset, dataset_edge, incident
from headrace.ledger.views import Graph, GraphNode

_MOST_NODES = 60
_MOST_INCIDENTS = 20


def load_graph(connection: Connection, name: str, partition_key: str | None) -> Graph:
    """Load the datasets up- and downstream of one, nearest first.

    Args:
        connection: To the ledger.
        name: The dataset in the middle; alone where no lineage knows it.
        partition_key: That the nodes' verdicts are of; None: no verdicts.
    """
    names, truncated = _find_around(connection, name)
    known: Any = connection.execute(select(dataset.c.name, dataset.c.kind).where(dataset.c.name.in_(names)))
    kinds = dict(known.all())
    decisions = load_current_decisions(connection, names, partition_key) if partition_key is not None else {}
    incidents = _find_incidents(connection, names)
    edges: Any = connection.execute(
        select(dataset_edge.c.upstream, dataset_edge.c.downstream)
        .where(dataset_edge.c.upstream.in_(names), dataset_edge.c.downstream.in_(names))
        .order_by(dataset_edge.c.upstream, dataset_edge.c.downstream)
    )
    return Graph(
        nodes=[
            GraphNode(each, kinds.get(each, "other"), decisions.get(each), incidents.get(each, ())) for each in names
        ],
        edges=[(upstream, downstream) for upstream, downstream in edges],
        truncated=truncated,
    )


def _find_around(connection: Connection, name: str) -> tuple[list[str], bool]:
    """Walk away from the dataset in both directions, a step at a time, until nothing is left or it is enough."""
    found = {name: None}
    upper, lower = [name], [name]
    while upper or lower:
        upper = _step(connection, upper, upwards=True)
        lower = _step(connection, lower, upwards=False)
        upper, lower = ([each for each in level if each not in found] for level in (upper, lower))
        fresh = dict.fromkeys([*upper, *lower])
        if len(found) + len(fresh) > _MOST_NODES:
            found.update(dict.fromkeys(list(fresh)[: _MOST_NODES - len(found)]))
            return list(found), True
        found.update(fresh)
    return list(found), False


def _step(connection: Connection, names: Sequence[str], *, upwards: bool) -> list[str]:
    if not names:
        return []
    ends = dataset_edge.c.downstream, dataset_edge.c.upstream
    here, there = ends if upwards else ends[::-1]
    statement = select(there).where(here.in_(names)).distinct().order_by(there).limit(_MOST_NODES + len(names))
    return list(connection.execute(statement).scalars())


def _find_incidents(connection: Connection, names: Sequence[str]) -> dict[str, list[int]]:
    """Return dataset to its unresolved incidents, worst and newest first, at most twenty."""
    order = (incident.c.severity_rank, incident.c.last_seen.desc(), incident.c.id.desc())
    place = func.row_number().over(partition_by=incident.c.dataset, order_by=order).label("place")
    unresolved = incident.c.state.in_([state for state in STATES if state != RESOLVED])
    placed = (
        select(incident.c.dataset, incident.c.id, place).where(incident.c.dataset.in_(names), unresolved).subquery()
    )
    first = select(placed.c.dataset, placed.c.id).where(placed.c.place <= _MOST_INCIDENTS)
    rows: Any = connection.execute(first.order_by(placed.c.dataset, placed.c.place))
    found: dict[str, list[int]] = {}
    for name, id_ in rows:
        found.setdefault(name, []).append(id_)
    return found
