"""Whose data is: the DAGs that made data versions, datasets and models; orchestration interpreter.

Data belongs to the DAGs that wrote it; what no recorded run wrote, as a file from outside, to those that read it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select

from headrace.ledger.query_distinct import select_distinct
from headrace.ledger.runs import WRITTEN
from headrace.ledger.schema import (
    attempt,
    check,
    check_result,
    data_version,
    lineage_io,
    lineage_run,
    model_version,
    trained_model,
    trained_on,
)
from headrace.ledger.statements import chunk

Owners = Mapping[Any, Collection[str]]


def map_versions_to_dags(connection: Connection, ids: Collection[int]) -> Owners:
    """Return the DAGs of data versions; one that no run wrote or read is left out."""
    io, rows = lineage_io.c, list[Any]()
    for some in chunk(sorted(ids)):
        query = select(io.version_id, io.role, lineage_run.c.dag_id).join(lineage_run, lineage_run.c.id == io.run_id)
        rows += connection.execute(query.where(io.version_id.in_(some)).distinct()).all()
    return _prefer_writers(rows)


def map_datasets_to_dags(connection: Connection, names: Collection[str]) -> Owners:
    """Return the DAGs of datasets; of one without lineage those that checked it, or trained on it."""
    found: dict[str, Collection[str]] = {}
    io, run, version = lineage_io.c, lineage_run.c, data_version.c
    by_lineage = (
        select(version.dataset, io.role, run.dag_id)
        .join(lineage_io, io.version_id == version.id)
        .join(lineage_run, run.id == io.run_id)
        .distinct()
    )
    checked = select(check.c.dataset, attempt.c.dag_id).join(check_result, check_result.c.check_id == check.c.id)
    checked = checked.join(attempt, attempt.c.id == check_result.c.attempt_id).distinct()
    trained = select(trained_on.c.dataset, trained_model.c.dag_id)
    trained = trained.join(trained_model, trained_model.c.id == trained_on.c.model_id).distinct()
    for some in chunk(sorted(names)):
        rows: list[Any] = list(connection.execute(by_lineage.where(version.dataset.in_(some))))
        found |= _prefer_writers(rows)
        for query, column in ((checked, check.c.dataset), (trained, trained_on.c.dataset)):
            missing = [name for name in some if name not in found]
            pairs: Any = connection.execute(query.where(column.in_(missing)))
            found |= _gather(pairs)
    return found


def map_models_to_dags(connection: Connection) -> Owners:
    """Return the DAGs that pushed each model of the registry."""
    query = select(model_version.c.model, trained_model.c.dag_id)
    pairs: Any = connection.execute(
        query.join(trained_model, trained_model.c.id == model_version.c.trained_model_id).distinct()
    )
    return _gather(pairs)


def list_recorded_datasets(connection: Connection) -> list[str]:
    """Return the datasets of which any content was recorded, by name."""
    return list(connection.scalars(select_distinct(data_version.c.dataset)))


def _prefer_writers(rows: Iterable[tuple[Any, int, str]]) -> Owners:
    roles: dict[Any, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for key, role, dag_id in rows:
        roles[key][role].add(dag_id)
    return {key: of.get(WRITTEN) or set().union(*of.values()) for key, of in roles.items()}


def _gather(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for key, dag_id in pairs:
        found[key].add(dag_id)
    return dict(found)
