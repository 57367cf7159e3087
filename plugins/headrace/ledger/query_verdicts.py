"""Verdicts on dataset partitions, now and before; orchestration interpreter."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, func, select

from headrace.ledger.query_results import TRY, build_try
from headrace.ledger.schema import attempt, verdict
from headrace.ledger.statements import chunk
from headrace.ledger.views import VerdictRow
from headrace.quality.verdict import Decision

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger

_OWN = ("id", "dataset", "partition_key", "decision", "checked", "causes", "why", "actor", "decided_at")
_WORST_FIRST = (Decision.BLOCK.value, Decision.WARN.value, Decision.PASS.value)


def list_partition_verdicts(
    ledger: "Ledger",
    *,
    dag_id: str | None = None,
    dag_ids: Sequence[str] | None = None,
    partitions: int | None = None,
    limit: int = 200,
) -> list[VerdictRow]:
    """Return the current verdict on each partition that a DAG's tasks gave one on, the newest first.

    The verdict itself may be of another DAG or of a person; ``dag_id`` says who touched the partition. With
    ``partitions`` only that many partition keys are looked at, the greatest ones, of every dataset.
    """
    touched = select(verdict.c.dataset, verdict.c.partition_key, func.max(verdict.c.id).label("newest"))
    touched = touched.join(attempt, attempt.c.id == verdict.c.attempt_id)
    if dag_id is not None:
        touched = touched.where(attempt.c.dag_id == dag_id)
    if dag_ids is not None:
        touched = touched.where(attempt.c.dag_id.in_(list(dag_ids)))
    if partitions is not None:
        keys = select(verdict.c.partition_key).join(attempt, attempt.c.id == verdict.c.attempt_id).distinct()
        if dag_id is not None:
            keys = keys.where(attempt.c.dag_id == dag_id)
        if dag_ids is not None:
            keys = keys.where(attempt.c.dag_id.in_(list(dag_ids)))
        newest_keys = keys.order_by(verdict.c.partition_key.desc()).limit(partitions).subquery()
        touched = touched.where(verdict.c.partition_key.in_(select(newest_keys.c.partition_key)))
    touched = touched.group_by(verdict.c.dataset, verdict.c.partition_key)
    found = touched.order_by(func.max(verdict.c.id).desc()).limit(limit).subquery()
    newest = (
        select(func.max(verdict.c.id))
        .where(verdict.c.dataset == found.c.dataset, verdict.c.partition_key == found.c.partition_key)
        .correlate(found)
        .scalar_subquery()
    )
    ids = select(newest).select_from(found)
    statement = _select_verdicts().where(verdict.c.id.in_(ids)).order_by(verdict.c.id.desc())
    with ledger.connect() as connection:
        return _build(connection.execute(statement).mappings())


def load_decisions(connection: Connection, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the decision that stands on each of these datasets and partitions; none of one that was never checked."""
    wanted, found = set(places), dict[tuple[str, str], str]()
    for names in chunk(sorted({name for name, _ in wanted}), 300):
        keys = {key for name, key in wanted if name in names}
        query = select(verdict.c.dataset, verdict.c.partition_key, verdict.c.decision).order_by(verdict.c.id)
        query = query.where(verdict.c.dataset.in_(names))
        if len(keys) <= 300:
            query = query.where(verdict.c.partition_key.in_(sorted(keys)))
        rows: Any = connection.execute(query)
        found.update({(name, key): decision for name, key, decision in rows if (name, key) in wanted})
    return found


def list_verdict_history(ledger: "Ledger", dataset: str, partition_key: str, *, limit: int = 200) -> list[VerdictRow]:
    """Return the verdicts on one partition (``""``: on the dataset as a whole), newest first."""
    statement = (
        _select_verdicts()
        .where(verdict.c.dataset == dataset, verdict.c.partition_key == partition_key)
        .order_by(verdict.c.id.desc())
        .limit(limit)
    )
    with ledger.connect() as connection:
        return _build(connection.execute(statement).mappings())


def load_current_decisions(connection: Connection, datasets: Sequence[str], partition_key: str) -> dict[str, str]:
    """Return dataset to decision on this partition, the worse of its own and the whole dataset's."""
    newest = (
        select(func.max(verdict.c.id))
        .where(verdict.c.dataset.in_(list(datasets)), verdict.c.partition_key.in_({partition_key, ""}))
        .group_by(verdict.c.dataset, verdict.c.partition_key)
    )
    statement = select(verdict.c.dataset, verdict.c.decision).where(verdict.c.id.in_(newest))
    rows: Any = connection.execute(statement)
    found: dict[str, str] = {}
    for dataset, decision in rows:
        found[dataset] = min(found.get(dataset, decision), decision, key=_WORST_FIRST.index)
    return found


def _select_verdicts() -> Select[Any]:
    return select(*(verdict.c[name] for name in _OWN), *(attempt.c[name] for name in TRY)).join(
        attempt, attempt.c.id == verdict.c.attempt_id, isouter=True
    )


def _build(rows: Iterable[Any]) -> list[VerdictRow]:
    return [
        VerdictRow(**{name: row[name] for name in _OWN}, task=build_try(row) if row["dag_id"] is not None else None)
        for row in rows
    ]
