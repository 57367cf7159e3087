"""Turns TFDV's statistics into a small document for charts; TFX interpreter."""
# ruff: noqa: PTH118 - these are URIs (gs://…), which Path would break

import os
from collections.abc import Iterable, Sequence
from typing import Any

from headrace.contracts.statistics import MAX_BUCKETS, MAX_FEATURES, MAX_TEXT, MAX_TOP
from headrace.tfx_worker.checks import to_finite
from headrace.tfx_worker.metadata_store import NodeExecution

_FILE = "FeatureStats.pb"
_MAX_NAME = 500
# How TFDV names the statistics of all examples: without and with slices beside them.
_WHOLE = ("", "All Examples")


def find_statistics(execution: NodeExecution | None) -> list[Any]:
    """Return the ExampleStatistics among the outputs of a node."""
    outputs = execution.outputs.values() if execution is not None else ()
    return [artifact for found in outputs for artifact in found if artifact.type_name == "ExampleStatistics"]


def report_statistics(artifacts: Iterable[Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Read what StatisticsGen, or a user's own component, measured.

    Args:
        artifacts: ExampleStatistics; one without splits (Transform's own) or in another format is left out.

    Returns:
        See :data:`headrace.contracts.statistics.Statistics`.
    """
    from tensorflow_metadata.proto.v0 import statistics_pb2
    from tfx.dsl.io import fileio
    from tfx.types import artifact_utils

    found = {}
    for artifact in artifacts:
        for split in artifact_utils.decode_split_names(artifact.split_names):
            path = os.path.join(artifact_utils.get_split_uri([artifact], split), _FILE)
            if not fileio.exists(path):
                print(f"{path} does not exist: no charts of the {split} examples")
                continue
            with fileio.open(path, "rb") as file:
                found[split] = summarize(statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read()))
    return found


def summarize(statistics: Any) -> dict[str, dict[str, Any]]:
    """Summarize a DatasetFeatureStatisticsList by feature; slices other than that of all examples are left out."""
    if not statistics.datasets:
        return {}
    whole = next((one for one in statistics.datasets if one.name in _WHOLE), statistics.datasets[0])
    features = whole.features
    if len(features) > MAX_FEATURES:
        print(f"{len(features)} features were measured; charts are kept of the first {MAX_FEATURES}")
    return {_clean(".".join(one.path.step) or one.name, _MAX_NAME): _summarize(one) for one in features[:MAX_FEATURES]}


def _summarize(feature: Any) -> dict[str, Any]:
    kind = feature.WhichOneof("stats")
    measured = getattr(feature, kind) if kind else None
    numbers = measured if kind == "num_stats" else None
    common = measured.common_stats if measured is not None else None
    histogram = _choose_histogram(numbers.histograms) if numbers is not None else None
    # Where a feature has no value TFDV leaves its numbers at 0, which nobody measured.
    has_values = numbers is not None and common.num_non_missing > 0
    return {
        "type": type(feature).DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[feature.type].name.lower(),
        "count": common.num_non_missing if common is not None else 0,
        "missing": common.num_missing if common is not None else 0,
        "nan": histogram.num_nan if histogram is not None else 0,
        "mean": to_finite(numbers.mean) if has_values else None,
        "std": to_finite(numbers.std_dev) if has_values else None,
        "min": to_finite(numbers.min) if has_values else None,
        "max": to_finite(numbers.max) if has_values else None,
        "median": to_finite(numbers.median) if has_values else None,
        "zeros": numbers.num_zeros if numbers is not None else None,
        "histogram": _read_buckets(histogram.buckets) if histogram is not None else [],
        "top": [[_clean(top.value, MAX_TEXT), to_finite(top.frequency) or 0.0] for top in measured.top_values[:MAX_TOP]]
        if kind == "string_stats"
        else [],
        "unique": measured.unique if kind in ("string_stats", "bytes_stats") else None,
    }


def _choose_histogram(histograms: Sequence[Any]) -> Any | None:
    """Return the histogram of equal widths; TFDV measures one of quantiles too."""
    return next((one for one in histograms if one.type == type(one).STANDARD), None)


def _read_buckets(buckets: Sequence[Any]) -> list[list[float]]:
    """Return low, high and count, neighbours merged until they are few; an infinite bound becomes its finite one."""
    read = []
    for bucket in buckets:
        low, high = to_finite(bucket.low_value), to_finite(bucket.high_value)
        low, high = (high if low is None else low), (low if high is None else high)
        if low is not None and high is not None:
            read.append([low, high, to_finite(bucket.sample_count) or 0.0])
    step = -(-len(read) // MAX_BUCKETS) or 1
    groups = [read[start : start + step] for start in range(0, len(read), step)]
    return [[group[0][0], group[-1][1], sum(bucket[2] for bucket in group)] for group in groups]


def _clean(text: str, most: int) -> str:
    """Shorten a text, and replace NUL, which no database takes."""
    text = text.replace("\0", "\ufffd")
    return text if len(text) <= most else f"{text[: most - 1]}…"
