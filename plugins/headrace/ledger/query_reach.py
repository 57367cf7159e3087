"""What failures reach: datasets downstream, runs stopped, models trained; orchestration interpreter."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select, union

from headrace.contracts.check_result import Severity, Status
from headrace.ledger.query_distinct import select_distinct
from headrace.ledger.schema import (
    attempt,
    check_result,
    dataset_edge,
    incident,
    incident_partition,
    trained_model,
    trained_on,
)
from headrace.ledger.views import BlastRadius
from headrace.quality.incidents import PartitionState

STILL_AFFECTED = (PartitionState.FAILING.value, PartitionState.QUARANTINED.value)
_SHOWN = 100


def count_reach(connection: Connection, datasets: Mapping[int, str]) -> dict[int, tuple[int, int, int]]:
    """Count what each incident of a page reaches, by as many queries whatever the page's length.

    Args:
        connection: To the ledger.
        datasets: Incident to its dataset.

    Returns:
        Incident to datasets downstream, runs stopped and models.
    """
    downstream = find_downstream(connection, datasets.values())
    stopped = _select_stopped_runs(list(datasets)).subquery()
    runs = _count(connection, stopped.c.incident_id)
    trained = _select_models(connection, datasets, downstream)
    models = {} if trained is None else _count(connection, trained.subquery().c.incident_id)
    return {id_: (len(downstream[name]), runs.get(id_, 0), models.get(id_, 0)) for id_, name in datasets.items()}


def load_blast(connection: Connection, incident_id: int, dataset: str) -> BlastRadius:
    """Load what one incident reaches; of runs and models the newest hundred."""
    downstream = find_downstream(connection, [dataset])
    stopped = _select_stopped_runs([incident_id]).subquery()
    newest = select(stopped.c.dag_id, stopped.c.run_id).order_by(stopped.c.attempt_id.desc()).limit(_SHOWN)
    runs: Any = connection.execute(newest)
    trained = _select_models(connection, {incident_id: dataset}, downstream)
    models: Sequence[Mapping[str, Any]] = ()
    if trained is not None:
        found = trained.subquery()
        statement = (
            select(trained_model)
            .where(trained_model.c.id.in_(select(found.c.model_id)))
            .order_by(trained_model.c.at.desc(), trained_model.c.id.desc())
            .limit(_SHOWN)
        )
        models = [dict(row) for row in connection.execute(statement).mappings()]
    return BlastRadius(
        datasets=downstream[dataset],
        dag_runs=[(dag_id, run_id) for dag_id, run_id in runs],
        models=models,
    )


def find_downstream(connection: Connection, names: Iterable[str]) -> dict[str, list[str]]:
    """Return for each dataset what is made from it, directly or not, nearest first; itself not among them."""
    roots = sorted(set(names))
    if not roots:
        return {}
    edge = select(dataset_edge.c.upstream, dataset_edge.c.downstream)
    reached = edge.where(dataset_edge.c.upstream.in_(roots)).cte("reached", recursive=True)
    reached = reached.union(edge.where(dataset_edge.c.upstream == reached.c.downstream))
    rows: Any = connection.execute(select(reached.c.upstream, reached.c.downstream))
    edges: dict[str, list[str]] = {}
    for upstream, downstream in rows:
        edges.setdefault(upstream, []).append(downstream)
    return {root: _walk(edges, root) for root in roots}


def _walk(edges: Mapping[str, Sequence[str]], root: str) -> list[str]:
    seen, level, found = {root}, [root], list[str]()
    while level:
        level = sorted({name for upstream in level for name in edges.get(upstream, ())} - seen)
        seen.update(level)
        found += level
    return found


def _select_stopped_runs(incident_ids: Sequence[int]) -> Select[Any]:
    """Select the runs in which a result on a partition that still fails blocked by itself: incident, run, attempt."""
    blocked = and_(
        check_result.c.excused.is_(None),
        or_(
            check_result.c.status == Status.ERROR.value,
            and_(
                check_result.c.status == Status.FAILED.value,
                check_result.c.severity == Severity.CRITICAL.value,
                # what is set aside whole does not block
                or_(
                    check_result.c.failed_rows.is_(None),
                    check_result.c.failed_rows == 0,
                    check_result.c.quarantined_rows < check_result.c.failed_rows,
                ),
            ),
        ),
    )
    return (
        select(
            incident_partition.c.incident_id,
            attempt.c.dag_id,
            attempt.c.run_id,
            func.max(attempt.c.id).label("attempt_id"),
        )
        .join(incident, incident.c.id == incident_partition.c.incident_id)
        .join(
            check_result,
            and_(
                check_result.c.check_id == incident.c.check_id,
                check_result.c.partition_key == incident_partition.c.partition_key,
            ),
        )
        .join(attempt, attempt.c.id == check_result.c.attempt_id)
        .where(
            incident_partition.c.incident_id.in_(incident_ids), incident_partition.c.state.in_(STILL_AFFECTED), blocked
        )
        .group_by(incident_partition.c.incident_id, attempt.c.dag_id, attempt.c.run_id)
    )


def _select_models(
    connection: Connection, datasets: Mapping[int, str], downstream: Mapping[str, Sequence[str]]
) -> Any | None:
    """Select incident and model, each pair once; None where nothing was trained on what the incidents reach."""
    found = []
    names: Any = connection.execute(select_distinct(trained_on.c.dataset)).scalars()
    for name in names:
        ids = [id_ for id_, own in datasets.items() if name == own or name in downstream[own]]
        if ids:
            statement = select(incident_partition.c.incident_id, trained_on.c.model_id).where(
                incident_partition.c.incident_id.in_(ids),
                incident_partition.c.state.in_(STILL_AFFECTED),
                trained_on.c.dataset == name,
            )
            # the whole dataset ('') holds each of its partitions
            found.append(statement.where(trained_on.c.partition_key.in_([incident_partition.c.partition_key, ""])))
            found.append(statement.where(incident_partition.c.partition_key == ""))
    return union(*found) if found else None


def _count(connection: Connection, incident_id: Any) -> dict[int, int]:
    counted: Any = connection.execute(select(incident_id, func.count()).group_by(incident_id))
    return dict(counted.all())
