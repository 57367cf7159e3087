"""Asks the baseline strategy about models with known training days, in a store in memory; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json
import sys

sys.path.insert(0, sys.argv[1])
import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2 as pb
from tfx.types import standard_artifacts

from components.fair_baseline import LatestFairBlessedModelStrategy

connection = pb.ConnectionConfig()
connection.fake_database.SetInParent()
store = mlmd.MetadataStore(connection)
made = store.put_execution_type(pb.ExecutionType(name="Made"))


def put(artifact, **properties):
    for name, value in properties.items():
        artifact.set_string_custom_property(name, value) if isinstance(
            value, str
        ) else artifact.set_int_custom_property(name, value)
    artifact.uri = "/nowhere"
    artifact.type_id = store.put_artifact_type(artifact.artifact_type)
    artifact.id = store.put_artifacts([artifact.mlmd_artifact])[0]
    return artifact


def make(inputs, outputs):
    [execution] = store.put_executions([pb.Execution(type_id=made)])
    kinds = [(artifact, pb.Event.INPUT) for artifact in inputs] + [(artifact, pb.Event.OUTPUT) for artifact in outputs]
    store.put_events([pb.Event(artifact_id=a.id, execution_id=execution, type=kind) for a, kind in kinds])


def train(last_train_day, blessed):
    raw = put(standard_artifacts.Examples(), last_train_day=last_train_day)
    transformed, model = put(standard_artifacts.Examples()), put(standard_artifacts.Model())
    make([raw], [transformed])
    make([transformed], [model])
    return model, put(standard_artifacts.ModelBlessing(), current_model_id=model.id, blessed=int(blessed))


trained = {
    "january": train("2013-01-23", True),
    "february": train("2013-02-20", True),
    "refused": train("2013-01-23", False),
}
names = {model.id: name for name, (model, _) in trained.items()}


def choose(first_eval_day, models):
    resolved = LatestFairBlessedModelStrategy().resolve_artifacts(
        store,
        {
            "model": [trained[name][0] for name in models],
            "model_blessing": [trained[name][1] for name in models],
            "examples": [put(standard_artifacts.Examples(), first_eval_day=first_eval_day)],
        },
    )
    return [names[model.id] for model in resolved["model"]]


every = list(trained)
print(
    json.dumps(
        {
            "for_march": choose("2013-03-25", every),
            "for_january_again": choose("2013-01-25", every),
            "for_december": choose("2012-12-25", every),
            "none_yet": choose("2013-01-25", []),
            "only_refused": choose("2013-03-25", ["refused"]),
        }
    )
)
