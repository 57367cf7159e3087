"""Partitions that a person found bad after the fact, and the model versions that were trained on them; orchestration
interpreter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.json_safe import make_name_safe, make_text_safe
from headrace.exceptions import InvalidPartitionKeyError
from headrace.ledger.by_hand import BY_HAND, QUARANTINED, TOOL
from headrace.ledger.database import Ledger
from headrace.ledger.impact import find_versions_trained_on
from headrace.ledger.incidents import HEADRACE, Entry, load_cases, write_timeline
from headrace.ledger.query_models import list_dags_of_model
from headrace.ledger.query_reach import STILL_AFFECTED
from headrace.ledger.recording import record_results
from headrace.ledger.schema import (
    attempt,
    check,
    check_result,
    data_version,
    incident,
    incident_partition,
    lineage_io,
    lineage_run,
    model_taint,
    model_version,
    trained_model,
    trained_on,
)
from headrace.ledger.statements import chunk, tell_time, upsert_rows
from headrace.ledger.views import TaskTry
from headrace.ledger.views_models import ModelVersionRow

NO_DAG = "headrace"
"""Under which a decision is filed on what no DAG has spoken of: nobody but an administrator sees it."""


@dataclass(frozen=True)
class Tainted:
    """What became of a partition that was quarantined.

    Attributes:
        incident_id: The incident that says so.
        versions: The versions that were trained on it: model and number, in order.
    """

    incident_id: int
    versions: Sequence[tuple[str, int]]


def quarantine_partition(
    ledger: Ledger, dataset: str, partition_key: str, actor: str, reason: str, *, now: datetime | None = None
) -> Tainted:
    """Block a partition on a person's word, and mark every version that was trained on it or on what is made from it.

    Again: the same incident and the same marks.

    Raises:
        UnknownDatasetError: Nothing is known of such a dataset.
        InvalidPartitionKeyError: No partition is named.
        LedgerError: Nothing was done.
    """
    now, name, key = tell_time(now), make_name_safe(dataset), make_name_safe(partition_key, 100)
    if not key:
        raise InvalidPartitionKeyError(f"Name a partition of {dataset}, for example {dataset}@2013-02.")
    message = f"{key} {dataset}: quarantined by {actor}: {reason}"
    result = CheckResult(TOOL, dataset, key, QUARANTINED, None, Severity.CRITICAL, Status.FAILED, message)
    with ledger.begin() as connection:
        found = find_versions_trained_on(connection, dataset, key)
        task = TaskTry(_find_dag(connection, dataset) or NO_DAG, f"quarantine__{now.isoformat()}", BY_HAND)
        record_results(connection, task, [result], now=now)
        query = select(incident.c.id, incident.c.check_id).join(check, check.c.id == incident.c.check_id)
        query = query.where(check.c.dataset == name, check.c.tool == TOOL, check.c.name == QUARANTINED)
        opened = connection.execute(query.order_by(incident.c.id.desc()).limit(1)).one()
        rows = [
            {
                "model_version_id": id_, "dataset": name, "partition_key": key,
                "actor": make_name_safe(actor), "reason": make_text_safe(reason), "check_id": opened.check_id,
                "at": now, "ended_at": None,
            }
            for id_ in found
        ]  # fmt: skip
        if rows:
            upsert_rows(connection, model_taint, rows, ("model_version_id", "dataset", "partition_key"))
        named = select(model_version.c.model, model_version.c.number)
        named = named.join(model_taint, model_taint.c.model_version_id == model_version.c.id)
        named = named.where(model_taint.c.check_id == opened.check_id, model_taint.c.partition_key == key)
        named = named.order_by(model_version.c.model, model_version.c.number)
        versions = [(str(row.model), int(row.number)) for row in connection.execute(named)]
    return Tainted(int(opened.id), versions)


def taint_registered(connection: Connection, version: ModelVersionRow, now: datetime) -> None:
    """Mark a version that is registered only now for each quarantine that stands and that it was trained on."""
    standing = (
        select(check.c.dataset, incident_partition.c.partition_key, incident.c.check_id, incident.c.title)
        .join(incident, incident.c.check_id == check.c.id)
        .join(incident_partition, incident_partition.c.incident_id == incident.c.id)
        .where(check.c.tool == TOOL, check.c.name == QUARANTINED, incident.c.state != "resolved")
        .where(incident_partition.c.state.in_(STILL_AFFECTED))
    )
    rows = [
        {
            "model_version_id": version.id, "dataset": row.dataset, "partition_key": row.partition_key,
            "actor": HEADRACE, "reason": row.title, "check_id": row.check_id, "at": now, "ended_at": None,
        }
        for row in connection.execute(standing).all()
        if version.id in find_versions_trained_on(connection, row.dataset, row.partition_key)
    ]  # fmt: skip
    if rows:
        upsert_rows(connection, model_taint, rows, ("model_version_id", "dataset", "partition_key"))


def list_dags_reached(ledger: Ledger, dataset: str, partition_key: str) -> list[str]:
    """Return the DAGs on which quarantining a partition acts: the dataset's own, and those of models trained on it.

    Raises:
        UnknownDatasetError: Nothing is known of such a dataset.
    """
    with ledger.connect() as connection:
        own = _find_dag(connection, dataset)
        found = {own} if own is not None else set()
        for some in chunk(find_versions_trained_on(connection, dataset, make_name_safe(partition_key, 100))):
            models = select(model_version.c.model).where(model_version.c.id.in_(some)).distinct()
            rows = connection.execute(models).all()
            found.update(dag_id for row in rows for dag_id in list_dags_of_model(connection, str(row.model)))
    return sorted(found)


def end_taints(connection: Connection, check_id: int, partition_keys: Sequence[str], now: datetime) -> None:
    """End the marks of partitions that a person let pass after all; a version that was rolled back stays blocked."""
    t = model_taint.c
    mine = (t.check_id == check_id) & t.partition_key.in_(list(partition_keys)) & t.ended_at.is_(None)
    connection.execute(update(model_taint).where(mine).values(ended_at=now))


def comment_incident(ledger: Ledger, incident_id: int, text: str, *, now: datetime | None = None) -> None:
    """Write into an incident's timeline what Headrace did, or why it did not."""
    with ledger.begin() as connection:
        case = load_cases(connection, incident_ids=[incident_id])[incident_id]
        write_timeline(connection, [Entry(case, "commented", {"text": text})], tell_time(now))


def _find_dag(connection: Connection, dataset: str) -> str | None:
    """Return the DAG that last spoke of a dataset: by that Airflow says who may see its incident; None: none did."""
    name = make_name_safe(dataset)
    checked = (
        select(attempt.c.dag_id)
        .join(check_result, check_result.c.attempt_id == attempt.c.id)
        .join(check, check.c.id == check_result.c.check_id)
        .where(check.c.dataset == name, attempt.c.task_id != BY_HAND)
        .order_by(check_result.c.id.desc())
        .limit(1)
    )
    written = (
        select(lineage_run.c.dag_id)
        .join(lineage_io, lineage_io.c.run_id == lineage_run.c.id)
        .join(data_version, data_version.c.id == lineage_io.c.version_id)
        .where(data_version.c.dataset == name)
        .order_by(lineage_run.c.id.desc())
        .limit(1)
    )
    trained = (
        select(trained_model.c.dag_id)
        .join(trained_on, trained_on.c.model_id == trained_model.c.id)
        .where(trained_on.c.dataset == name)
        .order_by(trained_model.c.id.desc())
        .limit(1)
    )
    found: str | None = connection.scalar(checked) or connection.scalar(written) or connection.scalar(trained)
    return found
