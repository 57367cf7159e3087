"""Writes the summary of statistics that are large, infinite and not a number; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import itertools
import math
import sys
from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2

from headrace.contracts.statistics import write_statistics
from headrace.tfx_worker.report_statistics import summarize

statistics = statistics_pb2.DatasetFeatureStatisticsList()
dataset = statistics.datasets.add()
for number in range(2000):
    feature = dataset.features.add()
    feature.path.step.append(f"f{number}")
    if number % 3 == 1:
        feature.type = statistics_pb2.FeatureNameStatistics.STRING
        feature.string_stats.unique = 10**12
        for rank in range(50):
            feature.string_stats.top_values.add(value=f"\0{'x' * 500}", frequency=50 - rank)
        continue
    feature.type = statistics_pb2.FeatureNameStatistics.FLOAT
    if number % 3 == 2:
        feature.num_stats.common_stats.num_missing = 1000
        continue
    numbers = feature.num_stats
    numbers.common_stats.num_non_missing = 1000
    numbers.mean, numbers.min, numbers.max = math.nan, -math.inf, math.inf
    histogram = numbers.histograms.add(num_nan=3)
    bounds = [-math.inf, *range(99), math.inf]
    for low, high in itertools.pairwise(bounds):
        histogram.buckets.add(low_value=low, high_value=high, sample_count=10)
write_statistics(Path(sys.argv[1]), {"train": summarize(statistics)})
print("null")
