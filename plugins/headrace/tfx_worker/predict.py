"""Scores a whole Parquet file with one version of a model; TFX interpreter."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headrace.contracts.files import rename_durably
from headrace.contracts.scoring import (
    ADDED_COLUMNS,
    PREDICTIONS_FILE,
    SCORE_OUTCOME_FILE,
    ScoreOutcome,
    ScoreRequest,
)
from headrace.contracts.worker_exit import WorkerExit
from headrace.tfx_worker.errors import WorkerStop
from headrace.tfx_worker.serving.loaded_model import LoadedModel
from headrace.tfx_worker.serving.protocol import COLUMNS_SIGNATURE, DEFAULT_SIGNATURE, Signature, Tensor

BATCH_ROWS = 4096
SAY_SECONDS = 5.0


def predict(job_dir: Path) -> int:
    """Do what ``score_request.json`` asks: write ``predictions.parquet``, and then what came of it.

    Args:
        job_dir: The job's folder.

    Returns:
        A :class:`WorkerExit`.

    Raises:
        ContractError: The request cannot be used.
        WorkerStop: Model or data cannot be read, or do not fit together; the message names the column.
    """
    for left in (SCORE_OUTCOME_FILE, PREDICTIONS_FILE):
        (job_dir / left).unlink(missing_ok=True)
    request = ScoreRequest.load(job_dir)
    model = _load_model(request)
    try:
        signature = _choose_signature(request, model)
        print(f"[predict] {request.model}@{request.number} by its signature {signature.name}")
        outcome = _score_file(job_dir, request, model, signature)
    finally:
        model.close()
    outcome.write(job_dir)
    print(f"[predict] {outcome.rows:,} rows in {outcome.seconds:.1f} s")
    return WorkerExit.OK


def _load_model(request: ScoreRequest) -> LoadedModel:
    import tensorflow as tf

    try:
        return LoadedModel(Path(request.model_dir), request.number, request.digest)
    except (OSError, tf.errors.OpError) as error:
        raise WorkerStop(f"{request.model_dir} cannot be loaded: {error}", WorkerExit.DATA_UNUSABLE) from error


def _choose_signature(request: ScoreRequest, model: LoadedModel) -> Signature:
    there = model.signatures
    name = request.signature or (COLUMNS_SIGNATURE if COLUMNS_SIGNATURE in there else DEFAULT_SIGNATURE)
    if name not in there:
        raise _unusable(f"{request.model}@{request.number} has no signature {name}; it has {', '.join(there)}")
    signature = there[name]
    taken = {*request.key_columns, *ADDED_COLUMNS}
    if clash := sorted(taken & set(signature.outputs)):
        raise _unusable(f"output {clash[0]} of {name} has the name of another column of the predictions")
    return signature


def _score_file(job_dir: Path, request: ScoreRequest, model: LoadedModel, signature: Signature) -> ScoreOutcome:
    """Read the file once opened, whatever takes its name meanwhile; the predictions get theirs when they are whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    partial = job_dir / f".{PREDICTIONS_FILE}.{os.getpid()}.partial"
    try:
        source = Path(request.data).open("rb")  # noqa: SIM115 - the with statement is below
    except OSError as error:
        raise _unusable(f"{request.data} cannot be read: {error.strerror}") from error
    with source:
        sha256 = _hash(source)
        source.seek(0)
        try:
            parquet = pq.ParquetFile(source)
        except pa.ArrowInvalid as error:
            raise _unusable(f"{request.data} is not a Parquet file: {error}") from error
        columns = _list_columns(request, signature, parquet.schema_arrow)
        started, said, rows, writer = time.monotonic(), time.monotonic(), 0, None
        try:
            for batch in parquet.iter_batches(BATCH_ROWS, columns=columns):
                answers = pa.table(dict(_answer(request, model, signature, batch)))
                writer = writer or pq.ParquetWriter(partial, answers.schema)
                writer.write_table(answers)
                rows += batch.num_rows
                if time.monotonic() - said > SAY_SECONDS:
                    said = time.monotonic()
                    print(f"[predict] {rows:,} of {parquet.metadata.num_rows:,} rows")
            if writer is None:
                raise _unusable(f"{request.data} has no rows")
            writer.close()
            rename_durably(partial, job_dir / PREDICTIONS_FILE)
        finally:
            partial.unlink(missing_ok=True)
    outputs = {name: str(writer.schema.field(name).type) for name in signature.outputs}
    return ScoreOutcome(rows, sha256, signature.name, outputs, time.monotonic() - started)


def _hash(source: Any) -> str:
    digest = hashlib.sha256()
    while part := source.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def _list_columns(request: ScoreRequest, signature: Signature, schema: Any) -> list[str]:
    """Return which columns of the file are read: for serialized examples all that an example can hold."""
    wanted = {*request.key_columns, *(() if signature.takes_examples else signature.inputs)}
    if missing := sorted(wanted - set(schema.names)):
        raise _unusable(f"{request.data} lacks {', '.join(missing)}")
    if signature.takes_examples:
        wanted |= {field.name for field in schema if _find_feature_type(field.type) is not None}
    return [name for name in schema.names if name in wanted]


def _answer(request: ScoreRequest, model: LoadedModel, signature: Signature, batch: Any) -> Iterator[tuple[str, Any]]:
    import tensorflow as tf

    if signature.takes_examples:
        (name,) = signature.inputs
        feeds = {name: _encode_examples(batch)}
    else:
        feeds = {name: _to_array(name, batch.column(name), tensor) for name, tensor in signature.inputs.items()}
    try:
        answers = model.predict(signature, feeds)
    except tf.errors.OpError as error:
        raise _unusable(f"the model refuses rows of {request.data}: {error.message}") from error
    for key in request.key_columns:
        yield key, batch.column(key)
    for name, answer in answers.items():
        yield name, _to_column(name, answer, batch.num_rows)


def _to_array(name: str, column: Any, tensor: Tensor) -> Any:
    """Convert a column; a missing value is NaN or "", and an error where the model wants whole numbers."""
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    try:
        if tensor.dtype == "DT_STRING":
            is_bytes = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
            values = column.cast(pa.binary() if is_bytes else pa.string()).to_pylist()
            texts = [b"" if value is None else value if is_bytes else value.encode() for value in values]
            array = np.array(texts, dtype=object)
        else:
            dtype = tf.dtypes.as_dtype(tensor.dtype[3:].lower())
            if not dtype.is_floating and column.null_count:
                raise _unusable(f"column {name} has missing values, and the model reads whole numbers")
            as_float = dtype.is_floating or pa.types.is_decimal(column.type)
            plain = column.cast(pa.float64()) if as_float else column
            array = plain.to_numpy(zero_copy_only=False).astype(dtype.as_numpy_dtype)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
        raise _unusable(f"column {name} is {column.type}, and the model reads {tensor.dtype}: {error}") from error
    rank = 1 if tensor.shape is None else len(tensor.shape)
    if rank not in (1, 2):
        raise _unusable(f"input {name} takes more than one value a row: give a signature of plain columns")
    return array.reshape([-1] + [1] * (rank - 1))


def _encode_examples(batch: Any) -> Any:
    """Encode rows as ``tf.Example``: one value a feature, none where it is missing."""
    import numpy as np
    import pyarrow as pa
    from tfx_bsl.coders.example_coder import RecordBatchToExamples

    names, lists = [], []
    for field in batch.schema:
        kind = _find_feature_type(field.type)
        if kind is None:
            continue
        column = batch.column(field.name).cast(kind)
        there = column.is_valid().to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(there)])
        nulls = np.concatenate([~there, [False]])  # a list that is null is a feature without a value, not an empty one
        lists.append(pa.ListArray.from_arrays(pa.array(offsets, pa.int32(), mask=nulls), column.drop_null()))
        names.append(field.name)
    return np.array(RecordBatchToExamples(pa.RecordBatch.from_arrays(lists, names)), dtype=object)


def _find_feature_type(kind: Any) -> Any:
    """Return the type of a column as a feature; None where an example has no word for it."""
    import pyarrow as pa

    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float32()
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
    return pa.binary() if is_text else None


def _to_column(name: str, answer: Any, rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    values = np.asarray(answer)
    if values.ndim == 0 or len(values) != rows or values.ndim > 2:
        raise _unusable(f"output {name} is of shape {values.shape}, and not one value or one list for each row")
    if values.dtype == object:
        try:
            values = np.vectorize(lambda value: value.decode(), otypes=[object])(values)
        except UnicodeDecodeError as error:
            raise _unusable(f"output {name} holds bytes that are no text") from error
    if values.ndim == 1 or values.shape[1] == 1:
        return pa.array(values.reshape(-1))
    return pa.array(values.tolist(), pa.list_(pa.array(values[0]).type))


def _unusable(message: str) -> WorkerStop:
    return WorkerStop(message, WorkerExit.DATA_UNUSABLE)
