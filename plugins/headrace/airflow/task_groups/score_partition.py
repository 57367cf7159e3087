"""Batch scoring of a published partition, as a task group; orchestration interpreter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, TaskGroup

from headrace.airflow.operators.scoring import LoadPredictionsOperator, PredictOperator
from headrace.quality.identifiers import quote_identifier


def ScorePartition(  # noqa: N802 - reads as a building block in a DAG file
    model: str,
    asset: Asset,
    *,
    key_columns: Sequence[str],
    signature: str | None = None,
    project_dir: str | Path | None = None,
    group_id: str = "score",
    **task_kwargs: Any,
) -> TaskGroup:
    """Score the run's partition of an asset with the champion: ``predict >> load`` into ``predictions.<model>``.

    Each row of the table has the keys, the model's outputs, ``partition_key``, ``model``, ``model_version``,
    ``model_digest`` and ``scored_at``; dbt reads it as a source. Again for the same partition: its rows are replaced.

    Args:
        model: Name of the model, which is its pipeline's.
        asset: The asset that ``PublishPartition`` announces; its name is the folder of published partitions.
        key_columns: Columns that tell which row is which.
        signature: Of the model; by default that of raw columns where it has one, else the default one.
        project_dir: See :func:`headrace.settings.load_settings`.
        group_id: Of the group.
        task_kwargs: For both tasks: ``retries``, ``owner``, …

    Raises:
        ConfigurationError: The model's name can be no table's.
        ValueError: No key columns.
    """
    quote_identifier(model)
    if isinstance(key_columns, str) or not key_columns:
        raise ValueError('ScorePartition needs key_columns, a list, for example key_columns=["flight_key"].')
    with TaskGroup(group_id, tooltip=f"Predictions of {model}") as group:
        predict = PredictOperator(
            task_id="predict",
            model=model,
            asset=asset.name,
            key_columns=key_columns,
            signature=signature,
            project_dir=project_dir,
            **task_kwargs,
        )
        load = LoadPredictionsOperator(
            task_id="load",
            model=model,
            asset=asset.name,
            predict_task_id=predict.task_id,
            project_dir=project_dir,
            **task_kwargs,
        )
        predict >> load
    return group
