"""How the saved model is asked: with serialized examples, or with raw columns; TFX interpreter."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from flight_delay.columns import FEATURES, LABEL

PROBABILITY = "probability"


def build_signatures(model: keras.Model, transform: tft.TFTransformOutput) -> dict[str, Any]:
    """Build the two signatures; the transform graph becomes part of the model, so that it is saved with it.

    ``serving_default``: ``examples``, serialized ``tf.Example``s, string [rows]. This is what TFMA calls.
    ``serving_columns``: one tensor [rows] a raw column, text or float32; "" and NaN stand for a missing value.
    Both return ``probability``, float32 [rows, 1], of being more than 15 minutes late.
    """
    model.transform_layer = transform.transform_features_layer()
    raw_spec = {name: spec for name, spec in transform.raw_feature_spec().items() if name in FEATURES}

    def predict(raw: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
        transformed = model.transform_layer(raw)
        transformed.pop(LABEL, None)
        return {PROBABILITY: model(transformed, training=False)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def predict_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return predict(tf.io.parse_example(examples, raw_spec))

    @tf.function(autograph=False)
    def predict_columns(columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return predict({name: _to_sparse(column, raw_spec[name].dtype) for name, column in columns.items()})

    columns = {
        name: tf.TensorSpec([None], tf.string if spec.dtype == tf.string else tf.float32, name=name)
        for name, spec in raw_spec.items()
    }
    return {
        "serving_default": predict_examples.get_concrete_function(),
        "serving_columns": predict_columns.get_concrete_function(columns),
    }


def _to_sparse(column: tf.Tensor, dtype: tf.DType) -> tf.SparseTensor:
    """Leave missing values out, as the training examples do; the others become the raw feature's type."""
    present = tf.not_equal(column, "") if column.dtype == tf.string else tf.logical_not(tf.math.is_nan(column))
    rows = tf.where(present)
    return tf.SparseTensor(
        indices=tf.concat([rows, tf.zeros_like(rows)], axis=1),
        values=tf.cast(tf.boolean_mask(column, present), dtype),
        dense_shape=[tf.shape(column, tf.int64)[0], 1],
    )
