"""The executor of ParquetExampleGen: streams row groups through Beam into TFRecord shards; TFX interpreter."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from components.arrow_examples import drop_rows_missing, encode_examples, to_days
from components.partition_window import PartitionFile, decode_window, fingerprint_file
from components.time_split import EVAL, TRAIN, TimeSplit, format_day, split_by_hash

_SPLITS = (TRAIN, EVAL)
_BATCH_ROWS = 4096  # rows held in memory at once: about 2 MB of examples


@dataclass(frozen=True)
class _Reading:
    """How rows are read, in a form that Beam can ship to its workers."""

    columns: Sequence[str]
    required_columns: Sequence[str]
    time_column: str | None
    split: TimeSplit | None
    eval_percent: int
    split_uris: Mapping[str, str]
    tmp_dir: str


class _WriteShards(beam.DoFn):  # type: ignore[misc]
    """Writes each row group as at most one shard a split. A repeated attempt replaces the same shard."""

    def __init__(self, reading: _Reading) -> None:
        self._reading = reading

    def process(self, element: tuple[PartitionFile, int]) -> Iterator[tuple[str, int]]:
        file, row_group = element
        shard = f"data_tfrecord-{file.key}-{row_group:05d}.gz"
        partial = {split: os.path.join(self._reading.tmp_dir, f"{split}-{shard}") for split in _SPLITS}
        rows = dict.fromkeys(_SPLITS, 0)
        writers = {split: tf.io.TFRecordWriter(path, options="GZIP") for split, path in partial.items()}
        try:
            for split, example in _read_examples(file, row_group, self._reading):
                writers[split].write(example)
                rows[split] += 1
        finally:
            for writer in writers.values():
                writer.close()
        for split, path in partial.items():
            if rows[split]:
                fileio.rename(path, os.path.join(self._reading.split_uris[split], shard), overwrite=True)
            else:
                fileio.remove(path)
            yield split, rows[split]


def _read_examples(file: PartitionFile, row_group: int, reading: _Reading) -> Iterator[tuple[str, bytes]]:
    """Yield ``(split, serialized example)`` of one row group; rows in the gap are left out."""
    wanted = {*reading.columns, *reading.required_columns, *([reading.time_column] if reading.time_column else [])}
    with _open(file.uri) as source:
        parquet = pq.ParquetFile(source)
        names = parquet.schema_arrow.names
        columns = list(reading.columns) or names
        if missing := sorted(wanted - set(names)):
            raise ValueError(f"{file.uri} has no column {', '.join(missing)}; it has {', '.join(names)}")
        read = [name for name in names if name in wanted or name in columns]
        for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[row_group], columns=read):
            batch = drop_rows_missing(batch, reading.required_columns)
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


def _row_groups(file: PartitionFile) -> int:
    with _open(file.uri) as source:
        return int(pq.ParquetFile(source).metadata.num_row_groups)


def _last_day(files: Sequence[PartitionFile], time_column: str) -> int:
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


class Executor(base_beam_executor.BaseBeamExecutor):  # type: ignore[misc]
    """Reads the files that the driver chose and writes the ``train`` and ``eval`` splits."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Write both splits.

        Raises:
            ValueError: A split would be empty, a column is missing, or a file changed while it was read.
        """
        files = decode_window(exec_properties["window_files"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(_SPLITS))
        time_column = exec_properties.get("time_column") or None
        split = None
        if time_column:
            split = TimeSplit(
                _last_day(files, time_column), exec_properties["eval_days"], exec_properties["gap_days"]
            )
            examples.set_string_custom_property("last_train_day", format_day(split.last_train_day))
            examples.set_string_custom_property("first_eval_day", format_day(split.first_eval_day))
        reading = _Reading(
            columns=json.loads(exec_properties["columns"]),
            required_columns=json.loads(exec_properties["required_columns"]),
            time_column=time_column,
            split=split,
            eval_percent=exec_properties["eval_percent"],
            split_uris={name: artifact_utils.get_split_uri([examples], name) for name in _SPLITS},
            tmp_dir=self._get_tmp_dir(),
        )
        for folder in (*reading.split_uris.values(), reading.tmp_dir):
            fileio.makedirs(folder)
        rows = self._write(files, reading)
        for file in files:
            if fingerprint_file(file.key, file.uri) != file:
                raise ValueError(f"{file.uri} was replaced while it was read: run the node again")
        _check_not_empty(rows, files, reading)
        examples.set_string_custom_property("rows", json.dumps(rows))
        examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")
        print(f"examples of {', '.join(file.key for file in files)}: {rows[TRAIN]} train, {rows[EVAL]} eval")

    def _write(self, files: Sequence[PartitionFile], reading: _Reading) -> dict[str, int]:
        """Run the Beam pipeline; the rows written by split come back in a small file."""
        counts = os.path.join(reading.tmp_dir, "rows.json")
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create([(file, group) for file in files for group in range(_row_groups(file))])
                | beam.Reshuffle()
                | "WriteShards" >> beam.ParDo(_WriteShards(reading))
                | beam.CombinePerKey(sum)
                | beam.combiners.ToDict()
                | beam.Map(_write_counts, counts)
            )
        with fileio.open(counts, "r") as file:
            return {**dict.fromkeys(_SPLITS, 0), **json.loads(file.read())}


def _write_counts(rows: dict[str, int], path: str) -> None:
    with fileio.open(path, "w") as file:
        file.write(json.dumps(rows))


def _check_not_empty(rows: Mapping[str, int], files: Sequence[PartitionFile], reading: _Reading) -> None:
    empty = [split for split in _SPLITS if not rows[split]]
    if not empty:
        return
    where = f"{', '.join(file.key for file in files)} in {os.path.dirname(files[0].uri)}"
    if reading.split is None:
        why = f"rows were split by hash, {reading.eval_percent} % for eval"
    else:
        why = (
            f"{reading.time_column} up to {format_day(reading.split.last_train_day)} is train, "
            f"from {format_day(reading.split.first_eval_day)} to {format_day(reading.split.last_day)} is eval"
        )
    needs = f", and rows need a value in {', '.join(reading.required_columns)}" if reading.required_columns else ""
    raise ValueError(f"the {' and '.join(empty)} split of {where} would be empty: {why}{needs}")
