"""A pipeline that compares each month with the one before it; TFX interpreter."""

from google.protobuf import text_format
from tfx.components import DistributionValidator, StatisticsGen
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import data_types, pipeline
from tfx.proto import distribution_validator_pb2
from tfx.types import Channel, standard_artifacts

from components.parquet_example_gen import ParquetExampleGen
from drift_watch.earlier_statistics import EarlierStatisticsStrategy

_CONFIG = """
default_slice_config {
  feature { path { step: "carrier" } distribution_comparator { infinity_norm { threshold: 0.1 } } }
  feature { path { step: "origin" } distribution_comparator { infinity_norm { threshold: 0.1 } } }
  feature { path { step: "wind_speed_mph" } distribution_comparator { jensen_shannon_divergence { threshold: 0.1 } } }
}
"""


def create_pipeline(pipeline_name, pipeline_root, data_root, metadata_connection_config):
    example_gen = ParquetExampleGen(
        input_base=f"{data_root}/flight_features",
        partition_key=data_types.RuntimeParameter("partition_key", str),
        columns=("carrier", "origin", "dest", "wind_speed_mph", "distance_miles"),
        time_column="flight_date",
    )
    baseline = Resolver(
        strategy_class=EarlierStatisticsStrategy, statistics=Channel(type=standard_artifacts.ExampleStatistics)
    ).with_id("baseline")
    statistics_gen = StatisticsGen(examples=example_gen.outputs["examples"])
    # Else the latest statistics could be this run's own.
    statistics_gen.add_upstream_node(baseline)
    validator = DistributionValidator(
        statistics=statistics_gen.outputs["statistics"],
        # Optional, or it would wait for ever for a first run to compare with.
        baseline_statistics=baseline.outputs["statistics"].as_optional(),
        config=text_format.Parse(_CONFIG, distribution_validator_pb2.DistributionValidatorConfig()),
    )
    return pipeline.Pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        components=[example_gen, baseline, statistics_gen, validator],
        metadata_connection_config=metadata_connection_config,
        enable_cache=True,
    )
