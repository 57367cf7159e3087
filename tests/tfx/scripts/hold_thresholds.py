"""Holds thresholds of a real EvalConfig against metrics by case, and prints the checks; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json

from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2 as config

from headrace.tfx_worker.evaluation_thresholds import read_thresholds
from headrace.tfx_worker.report_evaluation import check_threshold


def bound(change=None, **slices):
    return config.PerSliceMetricThreshold(
        slicing_specs=[config.SlicingSpec(feature_values=slices)],
        threshold=config.MetricThreshold(
            value_threshold=config.GenericValueThreshold(lower_bound={"value": 0.65}),
            change_threshold=change,
        ),
    )


absolute = config.GenericChangeThreshold(direction=config.HIGHER_IS_BETTER, absolute={"value": -0.02})
relative = config.GenericChangeThreshold(direction=config.LOWER_IS_BETTER, relative={"value": 0.1})
eval_config = config.EvalConfig(
    metrics_specs=[
        config.MetricsSpec(
            metrics=[
                config.MetricConfig(class_name="AUC", per_slice_thresholds=[bound(absolute), bound(carrier="UA")]),
                config.MetricConfig(
                    class_name="MeanLabel",
                    per_slice_thresholds=[
                        config.PerSliceMetricThreshold(
                            slicing_specs=[config.SlicingSpec()],
                            threshold=config.MetricThreshold(change_threshold=relative),
                        )
                    ],
                ),
            ]
        )
    ]
)


def check(overall, baseline, united):
    metrics = {
        "overall": overall,
        "baseline": baseline,
        "slices": [{"slice": {"carrier": "UA"}, "metrics": {"auc": united}, "baseline": None}] if united else [],
    }
    thresholds = read_thresholds(json_format.MessageToJson(eval_config))
    return [check_threshold(threshold, metrics, "2013-02").to_json() for threshold in thresholds]


print(
    json.dumps(
        {
            "better": check({"auc": 0.70, "mean_label": 0.2}, {"auc": 0.68, "mean_label": 0.2}, 0.66),
            "worse": check({"auc": 0.64, "mean_label": 0.3}, {"auc": 0.70, "mean_label": 0.2}, 0.6),
            "first": check({"auc": 0.70, "mean_label": 0.2}, None, 0.66),
            "without a slice": check({"auc": 0.70, "mean_label": 0.2}, None, None),
        }
    )
)
