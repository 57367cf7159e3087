"""What a model must reach before it is pushed; TFX interpreter."""

import json

from tensorflow_model_analysis.proto import config_pb2

# A floor for any window, with a margin under what honest windows reach (see docs); 0.5 is a coin.
MIN_AUC = 0.65
# How far below the blessed baseline's AUC a new model may be on the same rows: the spread between equal models that
# differ in seed and window is about 0.01, and a real fault costs more than 0.02.
AUC_TOLERANCE = 0.02


def build_eval_config(
    label: str, slice_columns: tuple[str, ...], min_auc: float, tolerance: float
) -> config_pb2.EvalConfig:
    """Build TFMA's configuration: AUC overall and by slice; thresholds on the overall AUC alone.

    ``MetricConfig.threshold`` would apply to every slice, and a carrier with ten flights would block a model.
    """
    overall = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec()],
        threshold=config_pb2.MetricThreshold(
            value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": min_auc}),
            change_threshold=config_pb2.GenericChangeThreshold(
                direction=config_pb2.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -tolerance}
            ),
        ),
    )
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name="serving_default",
                model_type="tf_generic",
                prediction_key="probability",
                label_key=label,
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[name]) for name in slice_columns),
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    # 1,000 thresholds instead of 10,000: the same AUC to three places, and a tenth of the time.
                    config_pb2.MetricConfig(
                        class_name="AUC",
                        config=json.dumps({"name": "auc", "num_thresholds": 1000}),
                        per_slice_thresholds=[overall],
                    ),
                    config_pb2.MetricConfig(class_name="ExampleCount", config=json.dumps({"name": "example_count"})),
                ]
            )
        ],
    )
