"""Reads TFMA's metrics as plain numbers; TFX interpreter."""

import math
from collections.abc import Mapping
from typing import Any

_BASELINE = "baseline"


def read_metrics(uri: str) -> dict[str, Any]:
    """Read the scalar metrics of an evaluation.

    Args:
        uri: Of the ModelEvaluation.

    Returns:
        ``{"overall": {name: value}, "baseline": {name: value} or None, "slices": [{"slice": {feature: value},
        "metrics": {name: value}, "baseline": {name: value} or None}]}``; the slices in the order of their names.
    """
    import tensorflow_model_analysis as tfma

    overall: dict[str, dict[str, float]] = {}
    slices: list[dict[str, Any]] = []
    for found in tfma.load_metrics(uri):
        by_model = _read_values(found)
        key = {single.column: _read_slice_value(single) for single in found.slice_key.single_slice_keys}
        if not key:
            overall = by_model
        else:
            slices.append({"slice": key, "metrics": by_model.get("", {}), "baseline": by_model.get(_BASELINE)})
    return {
        "overall": overall.get("", {}),
        "baseline": overall.get(_BASELINE),
        "slices": sorted(slices, key=lambda item: sorted(item["slice"].items())),
    }


def _read_values(found: Any) -> Mapping[str, dict[str, float]]:
    """Return the scalars of a slice by model: ``""`` is the candidate. Differences between models are left out."""
    by_model: dict[str, dict[str, float]] = {}
    for pair in found.metric_keys_and_values:
        if pair.key.is_diff or pair.value.WhichOneof("type") not in ("double_value", "bounded_value"):
            continue
        value = getattr(pair.value, pair.value.WhichOneof("type")).value
        number = float(getattr(value, "value", value))
        if not math.isfinite(number):
            continue  # a slice in which every label is the same has no AUC
        model = _BASELINE if pair.key.model_name == _BASELINE else ""
        by_model.setdefault(model, {})[pair.key.name] = number
    return by_model


def _read_slice_value(single: Any) -> str:
    kind = single.WhichOneof("kind")
    value = getattr(single, kind)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
