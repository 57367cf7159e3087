"""Encodes a column of each type and prints what the examples hold; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import datetime
import decimal
import json
import math
import sys

import pyarrow as pa

sys.path.insert(0, sys.argv[1])
import tensorflow as tf

from components.arrow_examples import drop_rows_missing, encode_examples

COLUMNS = {
    "int": pa.array([0, 7, None], pa.int64()),
    "small_int": pa.array([0, 7, None], pa.int16()),
    "float": pa.array([0.0, math.nan, None], pa.float64()),
    "text": pa.array(["", "UA", None]),
    "dictionary": pa.array(["", "UA", None]).dictionary_encode(),
    "bool": pa.array([False, True, None]),
    "date": pa.array([datetime.date(1970, 1, 1), datetime.date(2013, 2, 12), None]),
    "time": pa.array([datetime.datetime(1970, 1, 1), datetime.datetime(2013, 2, 12, 8), None]),
    "decimal": pa.array([decimal.Decimal("0.0"), decimal.Decimal("2.5"), None]),
    "nothing": pa.array([None, None, None]),
}


def read(example: bytes) -> dict:
    found = {}
    for name, feature in tf.train.Example.FromString(example).features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind is None:
            continue  # a feature of no kind is a missing one
        values = getattr(feature, kind).value
        found[name] = [value.decode() if isinstance(value, bytes) else value for value in values]
    return found


batch = pa.RecordBatch.from_arrays(list(COLUMNS.values()), names=list(COLUMNS))
try:
    encode_examples(pa.RecordBatch.from_arrays([pa.array([[1]])], names=["nested"]))
    refused = ""
except TypeError as error:
    refused = str(error)
print(
    json.dumps(
        {
            "rows": [read(example) for example in encode_examples(batch)],
            "labelled": drop_rows_missing(batch, ["int"]).num_rows,
            "refused": refused,
        }
    )
)
