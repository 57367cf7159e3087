"""What was trained on what, and the distributions that were measured; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from headrace.contracts.json_safe import make_json_safe, make_name_safe, make_text_safe
from headrace.ledger.database import Ledger
from headrace.ledger.results import write_attempt
from headrace.ledger.schema import feature_statistics, model_version, trained_model
from headrace.ledger.schema import trained_on as trained_on_table
from headrace.ledger.statements import tell_time, upsert, upsert_rows, write_on
from headrace.ledger.views import TaskTry

MAX_FEATURES = 500


def record_training(
    ledger: Ledger | Connection,
    pipeline: str,
    dag_id: str,
    run_id: str,
    partition_key: str,
    *,
    trained_on: Mapping[str, Sequence[str]] | None = None,
    contents: Mapping[tuple[str, str], tuple[str, int]] | None = None,
    blessed: bool | None = None,
    pushed_to: str | None = None,
    node: str = "",
    now: datetime | None = None,
) -> None:
    """Record what a run of a pipeline trained on, whether its model was blessed, and where it was pushed.

    Several tasks of the run tell parts of it: what is None leaves what was recorded.

    Args:
        ledger: The ledger, or a write transaction of it.
        pipeline: The TFX pipeline's name.
        dag_id: Of the run.
        run_id: Of the run.
        partition_key: Of the run.
        trained_on: Dataset to the partitions of it that the model saw; replaces what was recorded.
        blessed: The evaluator's word. Of several evaluators all must bless: what one refused stays refused until that
            one is run again.
        node: The evaluator.
        pushed_to: Where the model was put.
        contents: Of dataset and partition, the fingerprint of what the model saw, and the id of that data version;
            those that are known.
        now: The time; by default the clock's.

    Raises:
        LedgerError: It could not be recorded.
    """
    row: dict[str, Any] = {
        "pipeline": make_name_safe(pipeline),
        "dag_id": make_name_safe(dag_id, 250),
        "run_id": make_name_safe(run_id, 250),
        "partition_key": make_name_safe(partition_key, 100),
        "blessed": blessed,
        "pushed_to": None if pushed_to is None else make_text_safe(pushed_to),
        "at": tell_time(now),
    }
    with write_on(ledger) as connection:
        if blessed is not None:
            said = {**_load_blessings(connection, row), make_name_safe(node): blessed}
            row |= {"blessings": said, "blessed": all(said.values())}
        statement = upsert(connection, trained_model).values(row)
        merged = {
            name: func.coalesce(statement.excluded[name], trained_model.c[name])
            for name in ("blessed", "pushed_to", "blessings")
            if name in row
        }
        statement = statement.on_conflict_do_update(
            index_elements=["pipeline", "dag_id", "run_id"], set_={**merged, "at": statement.excluded["at"]}
        )
        model_id = int(connection.execute(statement.returning(trained_model.c.id)).scalar_one())
        if trained_on is not None:
            _replace_trained_on(connection, model_id, trained_on, contents or {})


def _load_blessings(connection: Connection, row: Mapping[str, Any]) -> dict[str, bool]:
    """Return what each evaluator of a run said before."""
    of_run = [trained_model.c[name] == row[name] for name in ("pipeline", "dag_id", "run_id")]
    found = connection.execute(select(trained_model.c.blessings).where(*of_run)).scalar()
    return dict(found or {})


def _replace_trained_on(
    connection: Connection,
    model_id: int,
    seen: Mapping[str, Sequence[str]],
    contents: Mapping[tuple[str, str], tuple[str, int]],
) -> None:
    """Say what a run's model was trained on; of a run that pushed a version before it was cleared, in addition.

    A version that answers must not lose what it was trained on because its run is trained anew.
    """
    registered = select(model_version.c.id).where(model_version.c.trained_model_id == model_id).limit(1)
    if connection.execute(registered).first() is None:
        connection.execute(delete(trained_on_table).where(trained_on_table.c.model_id == model_id))
    pairs = {(make_name_safe(name), make_name_safe(key, 100)) for name, keys in seen.items() for key in keys}
    rows = []
    for name, key in sorted(pairs):
        fingerprint, version_id = contents.get((name, key), (None, None))
        row = {"model_id": model_id, "dataset": name, "partition_key": key}
        rows.append({**row, "fingerprint": fingerprint, "version_id": version_id})
    if rows:
        upsert_rows(connection, trained_on_table, rows, ("model_id", "dataset", "partition_key"))


def record_statistics(
    ledger: Ledger | Connection,
    task: TaskTry,
    dataset: str,
    partition_key: str,
    statistics: Mapping[str, Mapping[str, Mapping[str, Any]]],
    *,
    now: datetime | None = None,
) -> None:
    """Record the distributions that TFDV measured on a partition, instead of earlier ones; at most 500 features.

    Args:
        ledger: The ledger, or a write transaction of it.
        task: The try that measured.
        dataset: Name.
        partition_key: ``''`` for a whole dataset.
        statistics: Split to feature to its statistics, as ``tfx_worker.report_statistics`` writes them.
        now: The time; by default the clock's.

    Raises:
        LedgerError: They could not be recorded.
    """
    c = feature_statistics.c
    place = {"dataset": make_name_safe(dataset), "partition_key": make_name_safe(partition_key or "", 100)}
    with write_on(ledger) as connection:
        attempt_id = write_attempt(connection, task, partition_key or "", tell_time(now))
        of = (c.dataset == place["dataset"]) & (c.partition_key == place["partition_key"])
        connection.execute(delete(feature_statistics).where(of))
        rows = {
            (make_name_safe(split, 100), make_name_safe(feature)): make_json_safe(measured)
            for split, features in statistics.items()
            for feature, measured in list(features.items())[:MAX_FEATURES]
        }
        if rows:
            connection.execute(
                insert(feature_statistics),
                [
                    {**place, "split": split, "feature": feature, "statistics": measured, "attempt_id": attempt_id}
                    for (split, feature), measured in rows.items()
                ],
            )
