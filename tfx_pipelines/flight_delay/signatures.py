"""How the saved model is asked: with serialized examples, or with raw columns; TFX interpreter."""

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from flight_delay.columns import FEATURES, LABEL

PROBABILITY = "probability"


class ServingModule(tf.Module):  # type: ignore[misc]
    """The model and its transform graph as one saved module."""

    def __init__(self, model: keras.Model, transform: tft.TFTransformOutput) -> None:
        super().__init__()
        self._model = model
        self._transform = transform.transform_features_layer()
        raw_spec = transform.raw_feature_spec()
        self._raw_spec = {name: raw_spec[name] for name in FEATURES}

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Return the two signatures.

        ``serving_default``: ``examples``, serialized ``tf.Example``s, string [rows]. This is what TFMA calls.
        ``serving_columns``: one tensor [rows] a raw column; NaN and "" stand for a missing value.
        Both return ``probability``, float32 [rows, 1], of being more than 15 minutes late.
        """
        columns = {name: tf.TensorSpec([None], spec.dtype, name=name) for name, spec in self._raw_spec.items()}
        return {
            "serving_default": self.predict_examples.get_concrete_function(
                tf.TensorSpec([None], tf.string, name="examples")
            ),
            "serving_columns": self.predict_columns.get_concrete_function(columns),
        }

    @tf.function(autograph=False)  # see _UnconvertedModel
    def predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._predict(tf.io.parse_example(examples, self._raw_spec))

    @tf.function(autograph=False)  # see _UnconvertedModel
    def predict_columns(self, columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self._predict({name: _to_sparse(column) for name, column in columns.items()})

    def _predict(self, raw: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
        transformed = self._transform(raw)
        transformed.pop(LABEL, None)
        return {PROBABILITY: self._model(transformed, training=False)}


def _to_sparse(column: tf.Tensor) -> tf.SparseTensor:
    """Leave missing values out, as the training examples do."""
    if column.dtype.is_floating:
        present = tf.logical_not(tf.math.is_nan(column))
    elif column.dtype == tf.string:
        present = tf.not_equal(column, "")
    else:
        present = tf.ones_like(column, tf.bool)
    rows = tf.where(present)
    return tf.SparseTensor(
        indices=tf.concat([rows, tf.zeros_like(rows)], axis=1),
        values=tf.boolean_mask(column, present),
        dense_shape=[tf.shape(column, tf.int64)[0], 1],
    )
