"""What failures reach: datasets downstream, runs stopped, models trained; orchestration interpreter."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, String, and_, cast, func, or_, select, true

from headrace.contracts.check_result import Severity, Status
from headrace.ledger.query_distinct import select_distinct
from headrace.ledger.query_lineage import Reach, build_reach, list_downstream, load_edges_below
from headrace.ledger.schema import (
    attempt,
    check_result,
    incident,
    incident_partition,
    model_alias,
    model_version,
    trained_model,
    trained_on,
)
from headrace.ledger.views import BlastRadius
from headrace.quality.incidents import PartitionState

STILL_AFFECTED = (PartitionState.FAILING.value, PartitionState.QUARANTINED.value)
COUNTED_MODELS = 1000
_SHOWN = 100


def count_reach(
    connection: Connection, datasets: Mapping[int, str], dag_ids: Sequence[str] | None = None
) -> dict[int, tuple[int, int, int]]:
    """Count what each incident of a page reaches, by as many queries whatever the page's length.

    Args:
        connection: To the ledger.
        datasets: Incident to its dataset.
        dag_ids: Only runs of these DAGs, and models that these trained; None is no condition.

    Returns:
        Incident to datasets downstream, runs stopped, and models, of the ``COUNTED_MODELS`` newest.
    """
    reach = build_reach(load_edges_below(connection, datasets.values()))
    runs = _count_runs(connection, list(datasets), dag_ids)
    models = _count_models(connection, datasets, reach, dag_ids)
    return {id_: (reach.count_downstream(name), runs.get(id_, 0), models.get(id_, 0)) for id_, name in datasets.items()}


def load_blast(connection: Connection, incident_id: int, dataset: str) -> BlastRadius:
    """Load what one incident reaches; of runs and models the newest hundred."""
    downstream = list_downstream(load_edges_below(connection, [dataset]), dataset)
    stopped = _select_stopped_runs([incident_id]).subquery()
    newest = select(stopped.c.dag_id, stopped.c.run_id).order_by(stopped.c.attempt_id.desc()).limit(_SHOWN)
    runs: Any = connection.execute(newest)
    failing = _load_failing_partitions(connection, [incident_id])[incident_id]
    trained = {*_list_trained(connection)} & {dataset, *downstream}
    models: Sequence[Mapping[str, Any]] = ()
    if trained and failing:
        models_on = select(trained_on.c.model_id).where(*_trained_on(trained, failing))
        shown = [column for column in trained_model.c if column.name != "blessings"]
        statement = select(*shown).where(trained_model.c.id.in_(models_on), _has_model())
        statement = statement.order_by(trained_model.c.at.desc(), trained_model.c.id.desc()).limit(_SHOWN)
        models = _add_versions(connection, [dict(row) for row in connection.execute(statement).mappings()])
    return BlastRadius(datasets=downstream, dag_runs=[(dag_id, run_id) for dag_id, run_id in runs], models=models)


def _add_versions(connection: Connection, models: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Add the newest version that each became, and the names under which it answers."""
    v = model_version.c
    query = select(v.trained_model_id, v.number, model_alias.c.alias)
    query = query.outerjoin(model_alias, model_alias.c.model_version_id == v.id)
    rows: Any = connection.execute(
        query.where(v.trained_model_id.in_([each["id"] for each in models])).order_by(v.number, model_alias.c.alias)
    )
    numbers: dict[int, int] = {}
    aliases: dict[int, list[str]] = defaultdict(list)
    for id_, number, alias in rows:
        if numbers.get(id_) != number:
            aliases[id_].clear()
        numbers[id_] = number
        aliases[id_] += [alias] if alias else []
    return [{**each, "number": numbers.get(each["id"]), "aliases": aliases[each["id"]]} for each in models]


def _count_runs(connection: Connection, ids: Sequence[int], dag_ids: Sequence[str] | None) -> dict[int, int]:
    stopped = _select_stopped_runs(ids).subquery()
    statement = select(stopped.c.incident_id, stopped.c.dag_id, func.count())
    rows: Any = connection.execute(statement.group_by(stopped.c.incident_id, stopped.c.dag_id))
    # Not as a condition: SQLite would begin with every try of these DAGs.
    shown = None if dag_ids is None else set(dag_ids)
    found: dict[int, int] = defaultdict(int)
    for id_, dag_id, count in rows:
        if shown is None or dag_id in shown:
            found[id_] += count
    return found


def _select_stopped_runs(incident_ids: Sequence[int]) -> Select[Any]:
    """Select the runs in which a result on a partition that still fails blocked by itself: incident, run, attempt."""
    result = check_result.c
    whole_set_aside = and_(result.failed_rows > 0, result.quarantined_rows >= result.failed_rows)
    blocked = or_(
        result.status == Status.ERROR.value,
        and_(
            result.status == Status.FAILED.value,
            result.severity == Severity.CRITICAL.value,
            ~func.coalesce(whole_set_aside, False),
        ),
    )
    same = and_(result.check_id == incident.c.check_id, result.partition_key == incident_partition.c.partition_key)
    return (
        select(
            incident_partition.c.incident_id,
            attempt.c.dag_id,
            attempt.c.run_id,
            func.max(attempt.c.id).label("attempt_id"),
        )
        .join(incident, incident.c.id == incident_partition.c.incident_id)
        .join(check_result, same)
        .join(attempt, attempt.c.id == result.attempt_id)
        .where(incident_partition.c.incident_id.in_(incident_ids), incident_partition.c.state.in_(STILL_AFFECTED))
        .where(result.excused.is_(None), blocked)
        .group_by(incident_partition.c.incident_id, attempt.c.dag_id, attempt.c.run_id)
    )


def _count_models(
    connection: Connection, datasets: Mapping[int, str], reach: Reach, dag_ids: Sequence[str] | None
) -> dict[int, int]:
    known = _list_trained(connection)
    trained = {name: [each for each in known if reach.includes(name, each)] for name in set(datasets.values())}
    wanted = {each for names in trained.values() for each in names}
    if not wanted:
        return {}
    failing = _load_failing_partitions(connection, list(datasets))
    keys = {key for of_one in failing.values() for key in of_one}
    shown = _list_newest_models(connection, dag_ids)
    if not shown:
        return {}
    models = func.aggregate_strings(cast(trained_on.c.model_id, String), ",")  # a row for each would be thousands
    statement = select(trained_on.c.dataset, trained_on.c.partition_key, models)
    statement = statement.where(*_trained_on(wanted, keys), trained_on.c.model_id >= min(shown.values()))
    rows: Any = connection.execute(statement.group_by(trained_on.c.dataset, trained_on.c.partition_key))
    on: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for dataset, key, ids in rows:
        on[dataset][key] = [id_ for id_ in ids.split(",") if id_ in shown]
    found: dict[int, set[str]] = defaultdict(set)
    for id_, name in datasets.items():
        for each in trained[name]:
            found[id_].update(*_of_partitions(on[each], failing[id_]))
    return {id_: len(of_one) for id_, of_one in found.items()}


def _list_newest_models(connection: Connection, dag_ids: Sequence[str] | None) -> dict[str, int]:
    """Return the newest models that these DAGs made, as text and as number."""
    statement = select(trained_model.c.id).where(_has_model()).order_by(trained_model.c.id.desc()).limit(COUNTED_MODELS)
    if dag_ids is not None:
        statement = statement.where(trained_model.c.dag_id.in_(list(dag_ids)))
    ids: Any = connection.execute(statement).scalars()
    return {str(id_): id_ for id_ in ids}


def match_dags(column: Any, dag_ids: Sequence[str] | None) -> Any:
    """Return the condition that a row is of one of these DAGs; None is no condition."""
    return true() if dag_ids is None else column.in_(list(dag_ids))


def _has_model() -> Any:
    """Return the condition that a run made a model: one that only read the data is reached by nothing."""
    return or_(trained_model.c.blessed.is_not(None), trained_model.c.pushed_to.is_not(None))


def _of_partitions(models: Mapping[str, Sequence[str]], failing: Collection[str]) -> list[Sequence[str]]:
    """Return the models of these partitions; the whole dataset ("") holds each of its partitions."""
    if "" in failing:
        return list(models.values())
    return [models[key] for key in (*failing, "") if key in models] if failing else []


def _list_trained(connection: Connection) -> Sequence[str]:
    """Return the datasets that a model was trained on."""
    return list(connection.execute(select_distinct(trained_on.c.dataset)).scalars())


def _load_failing_partitions(connection: Connection, ids: Sequence[int]) -> dict[int, set[str]]:
    rows: Any = connection.execute(
        select(incident_partition.c.incident_id, incident_partition.c.partition_key).where(
            incident_partition.c.incident_id.in_(ids), incident_partition.c.state.in_(STILL_AFFECTED)
        )
    )
    found: dict[int, set[str]] = {id_: set() for id_ in ids}
    for id_, key in rows:
        found[id_].add(key)
    return found


def _trained_on(datasets: Collection[str], partition_keys: Collection[str]) -> list[Any]:
    """Return conditions: a failure of the whole dataset ("") is one of each partition, and the other way round."""
    of_dataset = trained_on.c.dataset.in_(sorted(datasets))
    if "" in partition_keys:
        return [of_dataset]
    return [of_dataset, trained_on.c.partition_key.in_(sorted({*partition_keys, ""}))]
