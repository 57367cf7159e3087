"""Holds real statistics against schemas with comparators, and prints what is reported by case; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json
import sys
from pathlib import Path

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.anomalies.proto import validation_config_pb2
from tensorflow_data_validation.api.validation_api import validate_statistics_internal
from tensorflow_data_validation.api.validation_options import ValidationOptions
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.types import artifact_utils, standard_artifacts

from headrace.tfx_worker.metadata_store import NodeExecution
from headrace.tfx_worker.report_anomalies import report_anomalies

folder, *uris = map(Path, sys.argv[1:])
BEFORE, NOW = (
    statistics_pb2.DatasetFeatureStatisticsList.FromString((uri / "Split-train" / "FeatureStats.pb").read_bytes())
    for uri in uris
)


def report(name, schema, anomalies, blessed=None):
    """Report anomalies as if a node had left them."""
    schema_dir, anomalies_dir = folder / name / "schema", folder / name / "anomalies"
    for made in (schema_dir, anomalies_dir / "Split-train"):
        made.mkdir(parents=True)
    (schema_dir / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    (anomalies_dir / "Split-train" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
    held, found = standard_artifacts.Schema(), standard_artifacts.ExampleAnomalies()
    held.uri, found.uri = str(schema_dir), str(anomalies_dir)
    found.split_names = artifact_utils.encode_split_names(["train"])
    if blessed is not None:
        found.set_json_value_custom_property("blessed", blessed)
    execution = NodeExecution(1, "COMPLETE", None, {}, {"anomalies": [found]}, {"schema": [held]})
    return [result.to_json() for result in report_anomalies(found, execution, "2010-02")]


def edit(schema, text):
    """Return a copy of the schema in which each feature of ``text`` has its fields besides its own."""
    edited = schema_pb2.Schema()
    edited.CopyFrom(schema)
    patch = text_format.Parse(text, schema_pb2.Schema())
    for feature in patch.feature:
        next(one for one in edited.feature if one.name == feature.name).MergeFrom(feature)
    patch.ClearField("feature")
    edited.MergeFrom(patch)
    return edited


inferred = tfdv.infer_schema(NOW)
for feature in inferred.feature:
    feature.ClearField("presence")
    feature.ClearField("value_count")
    feature.ClearField("shape")
without_carrier = statistics_pb2.DatasetFeatureStatisticsList()
without_carrier.CopyFrom(BEFORE)
kept = [one for one in without_carrier.datasets[0].features if list(one.path.step) != ["carrier"]]
del without_carrier.datasets[0].features[:]
without_carrier.datasets[0].features.extend(kept)

both = edit(
    inferred,
    """
    feature {
      name: "carrier"
      drift_comparator { infinity_norm { threshold: 0.01 } }
      skew_comparator { infinity_norm { threshold: 0.02 } }
    }
    feature { name: "origin" drift_comparator { infinity_norm { threshold: 0.3 } } }
    feature { name: "wind_speed_mph" skew_comparator { jensen_shannon_divergence { threshold: 0.1 } } }
    dataset_constraints { num_examples_drift_comparator { min_fraction_threshold: 0.99 } }
    """,
)
two = edit(
    inferred,
    """
    feature {
      name: "wind_speed_mph"
      drift_comparator {
        jensen_shannon_divergence { threshold: 0.001 }
        normalized_abs_difference { threshold: 1000000 }
      }
    }
    """,
)
lacking = edit(inferred, 'feature { name: "carrier" drift_comparator { infinity_norm { threshold: 0.1 } } }')
strict = text_format.Parse(
    """
    feature { name: "carrier" type: BYTES domain: "carrier" }
    feature { name: "origin" type: BYTES }
    feature { name: "wind_speed_mph" type: FLOAT float_domain { max: 50 } }
    string_domain { name: "carrier" value: "UA" value: "B6" value: "DL" }
    """,
    schema_pb2.Schema(),
)
mild = [
    validation_config_pb2.SeverityOverride(
        type=anomalies_pb2.AnomalyInfo.ENUM_TYPE_UNEXPECTED_STRING_VALUES, severity=anomalies_pb2.AnomalyInfo.WARNING
    )
]
held = validate_statistics_internal(NOW, strict, validation_options=ValidationOptions(severity_overrides=mild))
empty = statistics_pb2.DatasetFeatureStatisticsList()
empty.datasets.add()
fine = tfdv.validate_statistics(NOW, inferred)
print(
    json.dumps(
        {
            "drift and skew": report(
                "both",
                both,
                tfdv.validate_statistics(NOW, both, previous_statistics=BEFORE, serving_statistics=BEFORE),
            ),
            "two metrics": report("two", two, tfdv.validate_statistics(NOW, two, previous_statistics=BEFORE)),
            "baseline lacks carrier": report(
                "lacking", lacking, tfdv.validate_statistics(NOW, lacking, previous_statistics=without_carrier)
            ),
            "against the schema": report("strict", strict, held),
            "no examples": report("empty", inferred, tfdv.validate_statistics(empty, inferred)),
            "refused": report("refused", inferred, fine, blessed={"train": 0}),
        }
    )
)
