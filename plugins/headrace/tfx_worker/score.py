"""Asks a saved model about rows of a Parquet file; TFX interpreter."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.contracts.worker_exit import WorkerExit
from headrace.tfx_worker.errors import WorkerStop


def print_scores(model_dir: Path, data: Path, rows: int, signature: str, label: str | None, as_json: bool) -> None:
    """Print, for rows spread over the file, the columns that the model does not read, its answer and the label."""
    scores = score_rows(model_dir, data, rows, signature, label)
    if as_json:
        print(json.dumps(scores, indent=1, default=str))
        return
    for score in scores:
        print("  ".join(f"{name}={value}" for name, value in score.items()))


def score_rows(
    model_dir: Path, data: Path, rows: int, signature: str, label: str | None = None
) -> list[dict[str, Any]]:
    """Score rows of a Parquet file with a model's signature that takes one tensor a raw column.

    Args:
        model_dir: Folder of the SavedModel.
        data: Parquet file.
        rows: How many rows, evenly spread over the file.
        signature: Name of the signature.
        label: Column that holds what really happened; None: not shown.

    Returns:
        For each row: the text, date and time columns (they tell which row it is), the outputs of the signature, and
        the label under its own name. JSON-safe but for dates and times.

    Raises:
        WorkerStop: Model or data are missing or do not fit.
    """
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(model_dir))
    except OSError as error:
        raise WorkerStop(f"{model_dir} is not a SavedModel: {error}", WorkerExit.DATA_UNUSABLE) from error
    if signature not in loaded.signatures:
        raise WorkerStop(
            f"{model_dir} has no signature {signature}; it has {', '.join(loaded.signatures) or 'none'}",
            WorkerExit.DATA_UNUSABLE,
        )
    function = loaded.signatures[signature]
    specs: Mapping[str, Any] = function.structured_input_signature[1]
    table = _read_rows(data, rows)
    wanted = {*specs, *([label] if label else [])}
    if missing := sorted(wanted - set(table.column_names)):
        raise WorkerStop(f"{data} lacks {', '.join(missing)}, which is wanted", WorkerExit.DATA_UNUSABLE)
    answers = function(**{name: _to_tensor(name, table.column(name).to_pylist(), spec) for name, spec in specs.items()})
    return list(_join(table, answers, label))


def _read_rows(data: Path, rows: int) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(data)
    except (OSError, pa.ArrowInvalid) as error:
        raise WorkerStop(f"{data} is not a readable Parquet file: {error}", WorkerExit.DATA_UNUSABLE) from error
    if not table.num_rows or rows < 1:
        raise WorkerStop(f"{data} has {table.num_rows} rows, {rows} are asked for", WorkerExit.DATA_UNUSABLE)
    return table.take(np.unique(np.linspace(0, table.num_rows - 1, min(rows, table.num_rows)).astype(int)))


def _to_tensor(name: str, values: list[Any], spec: Any) -> Any:
    """Convert a column; a missing value is NaN or "", and an error where the model wants whole numbers."""
    import tensorflow as tf

    if spec.dtype == tf.string:
        values = ["" if value is None else str(value) for value in values]
    elif spec.dtype.is_floating:
        values = [float("nan") if value is None else float(value) for value in values]
    elif None in values:
        raise WorkerStop(
            f"column {name} has missing values, and the model reads whole numbers", WorkerExit.DATA_UNUSABLE
        )
    return tf.constant(values, dtype=spec.dtype)


def _join(table: Any, answers: Mapping[str, Any], label: str | None) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    keys = [
        field.name
        for field in table.schema
        if pa.types.is_string(field.type) or pa.types.is_date(field.type) or pa.types.is_timestamp(field.type)
    ]
    outputs = {name: answer.numpy().reshape(table.num_rows, -1) for name, answer in answers.items()}
    for row, columns in enumerate(table.to_pylist()):
        yield {
            **{name: columns[name] for name in keys},
            **{
                name: values[row].tolist()[0] if len(values[row]) == 1 else values[row].tolist()
                for name, values in outputs.items()
            },
            **({label: columns[label]} if label else {}),
        }
