"""Resolves the blessed model that a new one is compared with, never one that has seen the exam; TFX interpreter."""

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.common import resolver

_MAX_DEPTH = 6  # Model ← Trainer ← transformed examples ← Transform ← examples is two steps


class LatestFairBlessedModelStrategy(resolver.ResolverStrategy):
    """Resolves the latest blessed model whose training data ends before this run's evaluation period begins.

    TFX's ``LatestBlessedModelStrategy`` takes the latest blessed model whatever it was trained on. When an old
    partition is run again, that is a model which has seen the evaluation days, and the new model cannot win.
    Needs the channels ``model``, ``model_blessing`` (of the whole pipeline) and ``examples`` (of this run).
    Models with no known last training day are taken as fair.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        examples = input_dict.get("examples", [])
        first_eval_day = examples[0].get_string_custom_property("first_eval_day") if examples else ""
        blessings = {
            blessing.get_int_custom_property("current_model_id"): blessing
            for blessing in input_dict.get("model_blessing", [])
            if blessing.get_int_custom_property("blessed") == 1
        }
        for model in sorted(input_dict.get("model", []), key=lambda artifact: artifact.id, reverse=True):
            if model.id not in blessings:
                continue
            last_train_day = _last_train_day(store, model.id)
            if first_eval_day and last_train_day and last_train_day >= first_eval_day:
                continue
            return {"model": [model], "model_blessing": [blessings[model.id]], "examples": examples}
        return {"model": [], "model_blessing": [], "examples": examples}


def _last_train_day(store: mlmd.MetadataStore, artifact_id: int) -> str:
    """Walk from a model back to the examples it was trained on; empty where they do not say."""
    seen: set[int] = set()
    level = [artifact_id]
    for _ in range(_MAX_DEPTH):
        artifacts = store.get_artifacts_by_id(level)
        days = [
            artifact.custom_properties["last_train_day"].string_value
            for artifact in artifacts
            if "last_train_day" in artifact.custom_properties
        ]
        if days:
            return str(max(days))
        seen.update(level)
        level = [parent for parent in _parents(store, level) if parent not in seen]
        if not level:
            break
    return ""


def _parents(store: mlmd.MetadataStore, artifact_ids: list[int]) -> list[int]:
    """Return the inputs of the executions that made these artifacts."""
    makers = {
        event.execution_id
        for event in store.get_events_by_artifact_ids(artifact_ids)
        if event.type == metadata_store_pb2.Event.OUTPUT
    }
    events = store.get_events_by_execution_ids(list(makers)) if makers else []
    return sorted({event.artifact_id for event in events if event.type == metadata_store_pb2.Event.INPUT})
