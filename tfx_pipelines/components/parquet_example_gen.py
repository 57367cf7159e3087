"""The ExampleGen component that reads a window of partition files in Parquet; TFX interpreter."""

import json
from collections.abc import Sequence
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_beam_component, base_driver, executor_spec
from tfx.orchestration import data_types
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types as portable_data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components import parquet_executor
from components.partition_window import encode_window, find_window

WINDOW_FILES = "window_files"


class ParquetExampleGenSpec(ComponentSpec):
    """Parameters and outputs of :class:`ParquetExampleGen`; ``window_files`` is the driver's."""

    PARAMETERS: ClassVar = {
        "input_base": ExecutionParameter(type=str),
        "partition_key": ExecutionParameter(type=str, optional=True),
        "window": ExecutionParameter(type=int),
        "columns": ExecutionParameter(type=str),
        "required_columns": ExecutionParameter(type=str),
        "time_column": ExecutionParameter(type=str, optional=True),
        "eval_days": ExecutionParameter(type=int),
        "gap_days": ExecutionParameter(type=int),
        "eval_percent": ExecutionParameter(type=int),
    }
    INPUTS: ClassVar = {}
    OUTPUTS: ClassVar = {"examples": ChannelParameter(type=standard_artifacts.Examples)}


# TFX checks for the first base class, and runs the second one's interface: its own ExampleGen drivers do the same.
class Driver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Chooses the window's files and puts their content digests into the cache key."""

    def run(self, execution_info: portable_data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        properties = execution_info.exec_properties
        files = find_window(properties["input_base"], properties.get("partition_key"), properties["window"])
        output = driver_output_pb2.DriverOutput()
        output.exec_properties[WINDOW_FILES].string_value = encode_window(files)
        for artifact in execution_info.output_dict["examples"]:
            # The artifact says what it was made of: lineage from a model to its partitions starts here.
            artifact.set_string_custom_property("partition_key", files[-1].key)
            artifact.set_string_custom_property("partitions", json.dumps([file.key for file in files]))
            artifact.set_string_custom_property(
                "partition_digests", json.dumps({file.key: file.sha256 for file in files})
            )
            output.output_artifacts["examples"].artifacts.append(artifact.mlmd_artifact)
        return output


class ParquetExampleGen(base_beam_component.BaseBeamComponent):
    """Makes ``tf.Example``s of the partition files ``<input_base>/<partition key>.parquet``."""

    SPEC_CLASS = ParquetExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(parquet_executor.Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        input_base: str,
        partition_key: str | data_types.RuntimeParameter | None = None,
        window: int | data_types.RuntimeParameter = 1,
        columns: Sequence[str] = (),
        required_columns: Sequence[str] = (),
        time_column: str | None = None,
        eval_days: int | data_types.RuntimeParameter = 7,
        gap_days: int | data_types.RuntimeParameter = 1,
        eval_percent: int = 20,
    ) -> None:
        """Declare the component.

        Args:
            input_base: Folder of the partition files.
            partition_key: Newest partition of the window; None: the newest file there is.
            window: How many partitions, at most, ending at ``partition_key``; fewer are used where fewer exist.
            columns: Columns that become features; empty: all.
            required_columns: A row in which one of these is null is left out (for rows without a label).
            time_column: Date or timestamp by which rows are split; None: rows are split by a hash of their content.
            eval_days: Newest days of the window, which become the ``eval`` split.
            gap_days: Days before them that are in neither split, so that no label of the future is trained on.
            eval_percent: Share of rows in the ``eval`` split, in percent, where there is no ``time_column``.
        """
        optional = {"partition_key": partition_key, "time_column": time_column}
        spec = ParquetExampleGenSpec(
            input_base=input_base,
            window=window,
            columns=json.dumps(list(columns)),
            required_columns=json.dumps(list(required_columns)),
            eval_days=eval_days,
            gap_days=gap_days,
            eval_percent=eval_percent,
            examples=types.Channel(type=standard_artifacts.Examples),
            **{name: value for name, value in optional.items() if value is not None},
        )
        super().__init__(spec=spec)
