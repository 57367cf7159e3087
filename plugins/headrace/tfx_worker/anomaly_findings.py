"""Reads the anomalies that TFDV found, by kind and feature; TFX interpreter."""
# ruff: noqa: PTH118 - these are URIs (gs://…), which Path would break

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.contracts.check_result import Severity

SCHEMA, DRIFT, SKEW = "schema", "drift", "skew"
_FILE = "SchemaDiff.pb"
_COMPARISON = "COMPARATOR_"
_SERVING_SKEW = "SCHEMA_TRAINING_SERVING_SKEW"
_NEW_FEATURE = "SCHEMA_NEW_COLUMN"


@dataclass(frozen=True)
class Finding:
    """What TFDV says against one feature, or against the dataset.

    Attributes:
        kind: ``schema`` (held against the schema), ``drift`` (against earlier examples) or ``skew`` (against those of
            serving).
        feature: Dotted path; None: the dataset as a whole.
        is_new: Whether all there is against the feature is that the schema does not know it.
        reasons: In TFDV's words.
        severity: In ours.
    """

    kind: str
    feature: str | None
    is_new: bool
    reasons: tuple[str, ...]
    severity: Severity


def read_anomalies(artifact: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield of each split its name, the name in the artifact and the Anomalies proto.

    DistributionValidator writes pairs of splits: ``train_train`` of the same split is ``train`` to a reader, and
    ``eval_train`` is eval held against train.
    """
    from tensorflow_metadata.proto.v0 import anomalies_pb2
    from tfx.dsl.io import fileio
    from tfx.types import artifact_utils

    for stored in artifact_utils.decode_split_names(artifact.split_names):
        path = os.path.join(artifact_utils.get_split_uri([artifact], stored), _FILE)
        of_pair = os.path.join(artifact.uri, f"SplitPair-{stored}", _FILE)
        split = stored
        if fileio.exists(of_pair):
            path, split = of_pair, _name_pair(stored)
        with fileio.open(path, "rb") as file:
            yield split, stored, anomalies_pb2.Anomalies.FromString(file.read())


def _name_pair(pair: str) -> str:
    half = len(pair) // 2
    return pair[:half] if pair == f"{pair[:half]}_{pair[:half]}" else pair


def find_anomalies(anomalies: Any, default_kind: str) -> list[Finding]:
    """Return the findings of a split, the dataset's first; a feature may be found against in more than one kind.

    Args:
        anomalies: TensorFlow Metadata's Anomalies.
        default_kind: Kind of a reason that is not a comparison by its type, for example a user's own validation.
    """
    found = []
    if anomalies.HasField("dataset_anomaly_info"):
        found += _read_info(None, anomalies.dataset_anomaly_info, default_kind)
    for key, info in sorted(anomalies.anomaly_info.items()):
        found += _read_info(".".join(info.path.step) or key, info, default_kind)
    return found


def _read_info(feature: str | None, info: Any, default_kind: str) -> Iterator[Finding]:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    by_kind: dict[str, list[tuple[str, str]]] = {}
    for reason in info.reason:
        name = anomalies_pb2.AnomalyInfo.Type.Name(reason.type)
        kind = _classify(name, reason.short_description, default_kind)
        by_kind.setdefault(kind, []).append((name, _tidy(reason)))
    severity = Severity.WARNING if info.severity == anomalies_pb2.AnomalyInfo.WARNING else Severity.CRITICAL
    for kind, said in (by_kind or {default_kind: [("", _tidy(info))]}).items():
        yield Finding(
            kind=kind,
            feature=feature,
            is_new=all(name == _NEW_FEATURE for name, _ in said),
            # TFDV says some of them twice.
            reasons=tuple(dict.fromkeys(words for _, words in said)),
            severity=severity,
        )


def _classify(name: str, short_description: str, default_kind: str) -> str:
    """Return the kind of a reason: its type does not tell drift from skew, only its (fixed) words do."""
    if name == _SERVING_SKEW:
        return SKEW
    if name.startswith(_COMPARISON):
        return SKEW if "serving" in short_description.lower() else DRIFT
    return default_kind


def _tidy(said: Any) -> str:
    return (said.description or said.short_description or "TFDV does not say what is wrong").strip().rstrip(".")
