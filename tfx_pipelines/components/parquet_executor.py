"""The executor of ParquetExampleGen: row groups through Beam into TFRecord shards, in two splits; TFX interpreter."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from components.parquet_reading import Reading, count_row_groups, find_last_day, read_examples
from components.partition_window import PartitionFile, decode_window, fingerprint_file
from components.time_split import EVAL, TRAIN, TimeSplit, format_day

_SPLITS = (TRAIN, EVAL)


class _WriteShards(beam.DoFn):
    """Writes each row group as at most one shard a split. A repeated attempt replaces the same shard."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def process(self, element: tuple[PartitionFile, int]) -> Iterator[tuple[str, int]]:
        file, row_group = element
        shard = f"data_tfrecord-{file.key}-{row_group:05d}.gz"
        partial = {split: os.path.join(self._reading.tmp_dir, f"{split}-{shard}") for split in _SPLITS}
        rows = dict.fromkeys(_SPLITS, 0)
        writers = {split: tf.io.TFRecordWriter(path, options="GZIP") for split, path in partial.items()}
        try:
            for split, example in read_examples(file, row_group, self._reading):
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


class Executor(base_beam_executor.BaseBeamExecutor):
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
                find_last_day(files, time_column), exec_properties["eval_days"], exec_properties["gap_days"]
            )
            examples.set_string_custom_property("last_train_day", format_day(split.last_train_day))
            examples.set_string_custom_property("first_eval_day", format_day(split.first_eval_day))
        reading = Reading(
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

    def _write(self, files: Sequence[PartitionFile], reading: Reading) -> dict[str, int]:
        """Run the Beam pipeline; the rows written by split come back in a small file."""
        counts = os.path.join(reading.tmp_dir, "rows.json")
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create([(file, group) for file in files for group in range(count_row_groups(file))])
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


def _check_not_empty(rows: Mapping[str, int], files: Sequence[PartitionFile], reading: Reading) -> None:
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
