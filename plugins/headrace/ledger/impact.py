"""What a bad partition, or a change to a dataset, reaches: model versions, what answers now, runs; orchestration."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, false, func, or_, select

from headrace.contracts.deployment import CHAMPION
from headrace.ledger.database import Ledger
from headrace.ledger.query_lineage import list_downstream, load_edges_below
from headrace.ledger.query_reach import STILL_AFFECTED, match_dags
from headrace.ledger.query_versions import require_recorded, walk
from headrace.ledger.schema import (
    data_version,
    incident,
    incident_partition,
    lineage_io,
    lineage_run,
    model_alias,
    model_version,
    trained_model,
    trained_on,
)
from headrace.ledger.statements import chunk, is_one_of

SHOWN = 200
NO_LIMIT = 2**62
DATA_RUNS = ("land", "dbt", "gate", "publish", "score")
"""Through these a partition reaches what a pipeline reads; what a pipeline makes of it is found by its models."""


@dataclass(frozen=True)
class ModelHit:
    """A model that was trained on what is asked about.

    Attributes:
        model: Name of the pipeline.
        number: Of its version; None of one that was never registered, as where nothing was pushed.
        aliases: The names under which it answers now.
        state: ``candidate``, ``refused``, ``blocked`` or ``deleted``; None where it has no version.
        at: When it was trained.
        dag_id: Of the run that trained it.
        run_id: Of that run.
        partition_key: Of that run.
        fingerprint: Of the content of the partition that it saw; None where that was not recorded.
        current: Whether that is the content of today; None where it is not known, or not asked about one partition.
        features: The raw features that it uses; empty where they are not known.
    """

    model: str
    number: int | None
    aliases: tuple[str, ...]
    state: str | None
    at: datetime
    dag_id: str
    run_id: str
    partition_key: str
    fingerprint: str | None = None
    current: bool | None = None
    features: tuple[str, ...] = ()

    @property
    def serving(self) -> bool:
        """Whether it is what answers by default."""
        return CHAMPION in self.aliases

    @property
    def name(self) -> str:
        return self.model if self.number is None else f"{self.model}@{self.number}"


@dataclass(frozen=True)
class Impact:
    """What one partition of a dataset reaches.

    Attributes:
        dataset: Its name.
        partition_key: ``""``: all of it.
        versions: Contents that the partition had, newest first: fingerprint, rows, first seen, last seen.
        datasets: What is made from it, nearest first.
        models: What was trained on it, that which answers first, then the newest; at most 200.
        more: How many models beyond these.
        dag_runs: The newest run for each DAG and partition that read it or what is made from it: to be done again.
        incidents: Open incidents of it and of what is made from it, on this partition: id, title, severity, dataset.
    """

    dataset: str
    partition_key: str
    versions: Sequence[Mapping[str, Any]] = ()
    datasets: Sequence[str] = ()
    models: Sequence[ModelHit] = ()
    more: int = 0
    dag_runs: Sequence[Mapping[str, str]] = ()
    incidents: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def serving(self) -> list[ModelHit]:
        return [each for each in self.models if each.serving]


def find_impact(
    ledger: Ledger, name: str, partition_key: str, *, also: Sequence[str] = (), dag_ids: Sequence[str] | None = None
) -> Impact:
    """Find what a partition reaches.

    A model counts whatever content of the partition it saw: one that was trained before the partition was landed anew
    is still of the old content, and says so.

    Args:
        ledger: The ledger.
        name: Of the dataset.
        partition_key: ``""`` for all of it.
        also: Other partitions of it, as where an incident affects several.
        dag_ids: Only models, runs and incidents of these DAGs; None is no condition.

    Raises:
        UnknownDatasetError: Nothing is known of such a dataset.
        LedgerError: The ledger cannot be read.
    """
    with ledger.connect() as connection:
        keys = _gather_keys(partition_key, *also)
        versions = _load_versions(connection, name, keys)
        below = list_downstream(load_edges_below(connection, [name]), name)
        ids = _walk_down(connection, versions)
        models, more = _find_models(connection, _seen(connection, ids, [name, *below], keys), dag_ids)
        require_recorded(connection, name, keys, known=bool(below))
        return Impact(
            dataset=name,
            partition_key=partition_key,
            versions=[
                {key: row[key] for key in ("fingerprint", "rows", "first_seen", "last_seen")} for row in versions
            ],
            datasets=below,
            models=models,
            more=more,
            dag_runs=_list_runs(connection, ids, dag_ids),
            incidents=_list_incidents(connection, [name, *below], keys, dag_ids),
        )


def find_versions_trained_on(connection: Connection, name: str, partition_key: str) -> list[int]:
    """Return the ids of all model versions that were trained on a partition, or on what is made from it.

    Raises:
        UnknownDatasetError: Nothing is known of such a dataset.
    """
    keys = _gather_keys(partition_key)
    versions = _load_versions(connection, name, keys)
    below = list_downstream(load_edges_below(connection, [name]), name)
    ids = _walk_down(connection, versions)
    trained = select(trained_on.c.model_id).where(_seen(connection, ids, [name, *below], keys))
    query = select(model_version.c.id).where(model_version.c.trained_model_id.in_(trained)).order_by(model_version.c.id)
    found: list[int] = list(connection.scalars(query))
    require_recorded(connection, name, keys, known=bool(below))
    return found


def _walk_down(connection: Connection, versions: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """Return all that was made of these contents: of what is missed here nobody would hear."""
    ids = [int(row["id"]) for row in versions]
    return walk(connection, ids, upwards=False, kinds=DATA_RUNS, most=NO_LIMIT).versions


def find_models_on(ledger: Ledger, names: Collection[str], dag_ids: Sequence[str] | None = None) -> list[ModelHit]:
    """Find the models that were trained on any partition of these datasets, what answers first; at most 200.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with ledger.connect() as connection:
        return _find_models(connection, trained_on.c.dataset.in_(sorted(names)), dag_ids)[0]


def list_runs_of(ledger: Ledger, jobs: Collection[str]) -> list[str]:
    """Return the DAGs that ran any of these jobs, for example dbt's ids of nodes."""
    with ledger.connect() as connection:
        found: set[str] = set()
        for some in chunk(sorted(jobs)):
            query = select(lineage_run.c.dag_id).where(lineage_run.c.job.in_(some)).distinct()
            found.update(connection.scalars(query))
        return sorted(found)


def _gather_keys(*partition_keys: str) -> list[str]:
    """Return the keys under which a partition is recorded; none is no condition: all of the dataset was asked for."""
    return [] if "" in partition_keys else sorted({*partition_keys, ""})


def _load_versions(connection: Connection, name: str, keys: Sequence[str]) -> list[Mapping[str, Any]]:
    query = select(data_version).where(data_version.c.dataset == name)
    if keys:
        query = query.where(data_version.c.partition_key.in_(keys))
    newest = query.order_by(data_version.c.last_seen.desc(), data_version.c.id.desc())
    return [dict(row) for row in connection.execute(newest).mappings()]


def _seen(connection: Connection, ids: Collection[int], names: Sequence[str], keys: Sequence[str]) -> Any:
    """Return the condition that a model saw one of these contents; of older models, a partition of these datasets."""
    by_place = and_(trained_on.c.version_id.is_(None), trained_on.c.dataset.in_(names))
    if keys:
        by_place = and_(by_place, trained_on.c.partition_key.in_(keys))
    return or_(is_one_of(connection, trained_on.c.version_id, ids), by_place)


def _find_models(connection: Connection, condition: Any, dag_ids: Sequence[str] | None) -> tuple[list[ModelHit], int]:
    v, t = model_version.c, trained_model.c
    aliased = select(model_alias.c.model_version_id).scalar_subquery()
    hits = select(trained_on.c.model_id).where(condition).distinct()
    query = (
        select(t.id, t.pipeline, t.dag_id, t.run_id, t.partition_key, t.at, v.id.label("version"), v.number, v.state)
        .add_columns(v.id.in_(aliased).label("aliased"))
        .outerjoin(model_version, v.trained_model_id == t.id)
        .where(t.id.in_(hits), or_(t.blessed.is_not(None), t.pushed_to.is_not(None)), match_dags(t.dag_id, dag_ids))
    )
    count = int(connection.scalar(select(func.count()).select_from(query.subquery())) or 0)
    # What answers comes first: of it there are three a model.
    answering = func.coalesce(v.id.in_(aliased), false()).desc()
    rows = connection.execute(query.order_by(answering, t.at.desc(), t.id.desc()).limit(SHOWN)).all()
    aliases, features = _load_aliases(connection, rows), _load_features(connection, rows)
    saw = _load_seen(connection, [row.id for row in rows], condition)
    hits_shown = [
        ModelHit(
            model=row.pipeline,
            number=row.number,
            aliases=tuple(aliases.get(row.version, ())),
            state=row.state,
            at=row.at,
            dag_id=row.dag_id,
            run_id=row.run_id,
            partition_key=row.partition_key,
            features=features.get(row.version, ()),
            fingerprint=saw.get(row.id, (None, None))[0],
            current=saw.get(row.id, (None, None))[1],
        )
        for row in rows
    ]
    hits_shown.sort(key=lambda hit: (not hit.serving, not hit.aliases))
    return hits_shown, count - len(rows)


def _load_aliases(connection: Connection, rows: Sequence[Any]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    versions = [row.version for row in rows if row.version is not None]
    query = select(model_alias.c.model_version_id, model_alias.c.alias).order_by(model_alias.c.alias)
    aliased: Any = connection.execute(query.where(model_alias.c.model_version_id.in_(versions)))
    for id_, alias in aliased:
        found.setdefault(id_, []).append(alias)
    return found


def _load_features(connection: Connection, rows: Sequence[Any]) -> dict[int, tuple[str, ...]]:
    versions = [row.version for row in rows if row.version is not None]
    query = select(model_version.c.id, model_version.c.features).where(model_version.c.id.in_(versions))
    used: Any = connection.execute(query)
    return {id_: tuple(features or ()) for id_, features in used}


def _load_seen(
    connection: Connection, models: Sequence[int], condition: Any
) -> dict[int, tuple[str | None, bool | None]]:
    """Return, for each model, the content that it saw, and whether that is today's; of several, one that is not."""
    later = data_version.alias()
    newer = (
        select(later.c.id)
        .where(
            later.c.dataset == data_version.c.dataset,
            later.c.partition_key == data_version.c.partition_key,
            later.c.id != data_version.c.id,
            later.c.last_seen > data_version.c.last_seen,
        )
        .exists()
    )
    query = (
        select(trained_on.c.model_id, trained_on.c.fingerprint, data_version.c.id, newer)
        .outerjoin(data_version, data_version.c.id == trained_on.c.version_id)
        .where(trained_on.c.model_id.in_(models), condition)
    )
    found: dict[int, tuple[str | None, bool | None]] = {}
    rows: Any = connection.execute(query)
    for model, fingerprint, version, replaced in rows:
        current = None if version is None else not replaced
        if found.get(model, (None, None))[1] is None or current is False:
            found[model] = (fingerprint, current)
    return found


def _list_runs(connection: Connection, ids: Collection[int], dag_ids: Sequence[str] | None) -> list[dict[str, str]]:
    run = lineage_run.c
    newest: dict[tuple[str, str], int] = {}
    for some in chunk(sorted(ids)):
        query = (
            select(run.dag_id, run.partition_key, func.max(run.id))
            .join(lineage_io, lineage_io.c.run_id == run.id)
            .where(lineage_io.c.version_id.in_(some), lineage_io.c.role == 0, match_dags(run.dag_id, dag_ids))
            .group_by(run.dag_id, run.partition_key)
        )
        rows: Any = connection.execute(query)
        for dag_id, key, id_ in rows:
            newest[dag_id, key] = max(id_, newest.get((dag_id, key), 0))
    shown = sorted(newest.values(), reverse=True)[:SHOWN]
    query_of = select(run.dag_id, run.run_id, run.partition_key).where(run.id.in_(shown)).order_by(run.id)
    return [dict(row) for row in connection.execute(query_of).mappings()]


def _list_incidents(
    connection: Connection, names: Sequence[str], keys: Sequence[str], dag_ids: Sequence[str] | None
) -> list[dict[str, Any]]:
    shown = (incident.c.id, incident.c.title, incident.c.severity, incident.c.dataset, incident.c.state)
    query = (
        select(*shown)
        .join(incident_partition, incident_partition.c.incident_id == incident.c.id)
        .where(incident.c.dataset.in_(names), incident_partition.c.state.in_(STILL_AFFECTED))
        .where(incident.c.state != "resolved", match_dags(incident.c.dag_id, dag_ids))
        .order_by(incident.c.severity_rank, incident.c.id)
        .distinct()
        .limit(SHOWN)
        .add_columns(incident.c.severity_rank)
    )
    if keys:
        query = query.where(incident_partition.c.partition_key.in_(keys))
    return [{column.name: row[column.name] for column in shown} for row in connection.execute(query).mappings()]
