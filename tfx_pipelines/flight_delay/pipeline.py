"""The flight delay pipeline, in plain TFX; TFX interpreter."""

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2
from tfx.components import Evaluator, ExampleValidator, Pusher, StatisticsGen, Trainer, Transform
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import data_types, metadata, pipeline
from tfx.proto import pusher_pb2, trainer_pb2
from tfx.types import Channel, standard_artifacts

from components.fair_baseline import LatestFairBlessedModelStrategy
from components.infra_check import InfraCheck
from components.local_beam import LOCAL_BEAM
from components.parquet_example_gen import ParquetExampleGen
from flight_delay.columns import FEATURES, LABEL, SLICES, TIME
from flight_delay.evaluation import AUC_TOLERANCE, MIN_AUC, build_eval_config

_SCHEMA = str(Path(__file__).resolve().parent / "schema.pbtxt")
_EVALUATION_SCHEMA = str(Path(__file__).resolve().parent / "evaluation_schema.pbtxt")


def create_pipeline(
    pipeline_name: str,
    pipeline_root: str,
    data_root: str,
    serving_model_dir: str,
    metadata_path: str | None = None,
    metadata_connection_config: metadata_store_pb2.ConnectionConfig | None = None,
    beam_pipeline_args: Sequence[str] = LOCAL_BEAM,
    enable_cache: bool = True,
    partition_key: str | None = None,
    window: int = 12,
    eval_days: int = 7,
    gap_days: int = 1,
    train_steps: int = 300,
    min_auc: float = MIN_AUC,
    auc_tolerance: float = AUC_TOLERANCE,
    schema_path: str = _SCHEMA,
) -> pipeline.Pipeline:
    """Create the pipeline.

    ``partition_key``, ``window``, ``eval_days`` and ``gap_days`` are runtime parameters of the same names, and the
    arguments are their defaults: one compiled pipeline serves every partition.

    Args:
        pipeline_name: Name of the pipeline in ML Metadata.
        pipeline_root: Folder of its artifacts.
        data_root: Folder that holds ``flight_features/<partition key>.parquet``.
        serving_model_dir: Folder to which a blessed model is pushed, under its version.
        metadata_path: SQLite file of ML Metadata; or:
        metadata_connection_config: Its connection.
        beam_pipeline_args: Passed to every Beam component.
        enable_cache: Whether a node whose inputs have not changed is reused.
        partition_key: Newest month to train on.
        window: Months to train on, at most, ending at ``partition_key``.
        eval_days: Newest days of the window, which the model is evaluated on.
        gap_days: Days before them that are left out, so that every training label was known by then.
        train_steps: Batches of 512 rows.
        min_auc: AUC below which no model is blessed, in [0, 1].
        auc_tolerance: How far below the baseline's AUC a model may be.
        schema_path: The curated schema.
    """
    if metadata_connection_config is None:
        if metadata_path is None:
            raise ValueError("create_pipeline needs metadata_path or metadata_connection_config")
        metadata_connection_config = metadata.sqlite_metadata_connection_config(metadata_path)

    example_gen = ParquetExampleGen(
        input_base=os.path.join(data_root, "flight_features"),
        partition_key=data_types.RuntimeParameter("partition_key", str, partition_key),
        window=data_types.RuntimeParameter("window", int, window),
        columns=(*FEATURES, LABEL),
        required_columns=(LABEL,),  # cancelled and diverted flights have no label
        time_column=TIME,
        eval_days=data_types.RuntimeParameter("eval_days", int, eval_days),
        gap_days=data_types.RuntimeParameter("gap_days", int, gap_days),
    )
    examples = example_gen.outputs["examples"]
    schema_gen = ImportSchemaGen(schema_file=schema_path)
    schema = schema_gen.outputs["schema"]
    statistics_gen = StatisticsGen(
        examples=examples,
        # The most frequent and the distinct values of every feature in one pass; exact up to 16,384 distinct values.
        stats_options=tfdv.StatsOptions(use_sketch_based_topk_uniques=True),
    )
    validator = ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema)
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="flight_delay.features.preprocessing_fn",
        # Only the graph: Trainer applies it as it reads, so that no transformed rows are written and read again.
        materialize=False,
        disable_statistics=True,
    )
    trainer = Trainer(
        run_fn="flight_delay.model.run_fn",
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=trainer_pb2.TrainArgs(splits=["train"], num_steps=train_steps),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
    )
    baseline = Resolver(
        strategy_class=LatestFairBlessedModelStrategy,
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
        examples=examples,
    ).with_id("latest_blessed_model_resolver")
    # The schema without the columns that Evaluator would unpack, row by row, for nobody.
    evaluation_schema = ImportSchemaGen(schema_file=_EVALUATION_SCHEMA).with_id("EvaluationSchema")
    evaluator = Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        schema=evaluation_schema.outputs["schema"],
        eval_config=build_eval_config(LABEL, SLICES, min_auc, auc_tolerance),
    )
    # No model of data that did not pass is evaluated, and so none is blessed. Training takes about as long as the
    # statistics and runs beside them; where it is dear, let it wait for the validator too.
    evaluator.add_upstream_node(validator)
    infra_check = InfraCheck(model=trainer.outputs["model"], examples=examples)
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_check.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=serving_model_dir)
        ),
    )
    return pipeline.Pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        components=[
            example_gen, schema_gen, statistics_gen, validator, transform, trainer, baseline, evaluation_schema,
            evaluator, infra_check, pusher,
        ],
        enable_cache=enable_cache,
        metadata_connection_config=metadata_connection_config,
        beam_pipeline_args=list(beam_pipeline_args),
    )  # fmt: skip
