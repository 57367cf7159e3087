"""Turns Arrow record batches into serialized ``tf.Example``s; TFX interpreter."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tfx_bsl.coders import example_coder


def encode_examples(batch: pa.RecordBatch) -> list[bytes]:
    """Encode each row as one serialized ``tf.Example``.

    Null and NaN become missing; 0, 0.0, False and the empty string stay what they are (TFX's own
    ``parquet_executor`` loses them). Types: integers and booleans to int64, floats and decimals to float32,
    dates to ISO 8601 text, timestamps to int64 seconds since 1970 UTC, text and binary to bytes.

    Args:
        batch: Flat columns of those types.

    Raises:
        TypeError: A column has another type; the message names it.
    """
    columns = [_to_lists(_to_feature_type(name, batch.column(i))) for i, name in enumerate(batch.schema.names)]
    encoded = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    examples: list[bytes] = example_coder.RecordBatchToExamplesEncoder().encode(encoded)
    return examples


def drop_rows_missing(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """Keep the rows in which none of ``columns`` is null; for rows without a label."""
    for name in columns:
        batch = batch.filter(pc.is_valid(batch.column(batch.schema.get_field_index(name))))
    return batch


def to_days(name: str, column: pa.Array) -> np.ndarray:
    """Return a date or timestamp column as days since 1970 (int64); a null is an error.

    Raises:
        ValueError: The column is of another type, or holds a null: a row without a time belongs to no split.
    """
    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        raise ValueError(f"time column {name!r} is {column.type}; it must be a date or a timestamp")
    if column.null_count:
        raise ValueError(f"time column {name!r} has {column.null_count} nulls: such rows belong to no split")
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
        return np.floor_divide(column.to_numpy(zero_copy_only=False), 86400)
    return column.cast(pa.date32()).cast(pa.int32()).to_numpy(zero_copy_only=False).astype(np.int64)


def _to_feature_type(name: str, column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _to_feature_type(name, column.dictionary_decode())
    if pa.types.is_null(kind):
        return column.cast(pa.binary())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        floats = column.cast(pa.float64()).cast(pa.float32())
        return pc.if_else(pc.is_nan(floats), pa.scalar(None, pa.float32()), floats)
    if pa.types.is_date(kind):
        return column.cast(pa.date32()).cast(pa.string()).cast(pa.binary())
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("s", kind.tz), safe=False).cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return column.cast(pa.binary())
    raise TypeError(f"column {name!r} is {kind}, which cannot become a feature: leave it out or cast it")


def _to_lists(column: pa.Array) -> pa.Array:
    """Wrap each value into a list of one; a null becomes a null list, which the encoder leaves out."""
    valid = np.asarray(column.is_valid())
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int32)
    mask = np.concatenate([~valid, [False]])
    return pa.ListArray.from_arrays(pa.array(offsets, mask=mask), column.drop_null())
