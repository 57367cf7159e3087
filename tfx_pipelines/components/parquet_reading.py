"""Streams the rows of partition files, as serialized examples with their split; TFX interpreter."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.arrow_examples import drop_rows_missing, encode_examples, to_days
from components.partition_window import PartitionFile
from components.time_split import TimeSplit, split_by_hash

_BATCH_ROWS = 4096  # rows held in memory at once: about 2 MB of examples


@dataclass(frozen=True)
class Reading:
    """How rows are read, in a form that Beam can ship to its workers."""

    columns: Sequence[str]
    required_columns: Sequence[str]
    time_column: str | None
    split: TimeSplit | None
    eval_percent: int
    split_uris: Mapping[str, str]
    tmp_dir: str


def read_examples(file: PartitionFile, row_group: int, reading: Reading) -> Iterator[tuple[str, bytes]]:
    """Yield ``(split, serialized example)`` of one row group; rows in the gap are left out."""
    wanted = {*reading.columns, *reading.required_columns, *([reading.time_column] if reading.time_column else [])}
    with _open(file.uri) as source:
        parquet = pq.ParquetFile(source)
        names = parquet.schema_arrow.names
        columns = list(reading.columns) or names
        if missing := sorted(wanted - set(names)):
            raise ValueError(f"{file.uri} has no column {', '.join(missing)}; it has {', '.join(names)}")
        read = [name for name in names if name in wanted or name in columns]
        for found in parquet.iter_batches(_BATCH_ROWS, row_groups=[row_group], columns=read):
            batch = drop_rows_missing(found, reading.required_columns)
            features = pa.RecordBatch.from_arrays(
                [batch.column(batch.schema.get_field_index(name)) for name in columns], names=columns
            )
            examples = encode_examples(features)
            if reading.split is None or reading.time_column is None:
                yield from ((split_by_hash(example, reading.eval_percent), example) for example in examples)
                continue
            days = to_days(reading.time_column, batch.column(batch.schema.get_field_index(reading.time_column)))
            for split, mask in reading.split.masks(days).items():
                yield from ((split, examples[row]) for row in np.flatnonzero(mask))


def _open(uri: str) -> Any:
    """Open for random access, which Parquet needs and TensorFlow's own file object does not offer."""
    return FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED)


def count_row_groups(file: PartitionFile) -> int:
    with _open(file.uri) as source:
        return int(pq.ParquetFile(source).metadata.num_row_groups)


def find_last_day(files: Sequence[PartitionFile], time_column: str) -> int:
    """Return the newest day in the window's time column; reads that column alone.

    Raises:
        ValueError: No file has a row, or the column is missing.
    """
    newest: list[int] = []
    for file in files:
        with _open(file.uri) as source:
            parquet = pq.ParquetFile(source)
            if time_column not in parquet.schema_arrow.names:
                raise ValueError(f"{file.uri} has no time column {time_column!r}")
            for batch in parquet.iter_batches(1 << 16, columns=[time_column]):
                if batch.num_rows:
                    newest.append(int(to_days(time_column, batch.column(0)).max()))
    if not newest:
        raise ValueError(f"no rows in {', '.join(file.uri for file in files)}")
    return max(newest)
