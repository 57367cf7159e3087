"""Turns raw columns into model inputs, row by row, the same way in training and in serving; TFX interpreter.

There is no ``tft`` analyzer: what is learnt from all rows (means, variances, the vocabulary), the model's own layers
learn from the rows that Trainer has in memory anyway, in a second. As stages of Beam it took Transform a quarter of a
minute.
"""

import tensorflow as tf

from flight_delay.columns import CATEGORIES, LABEL, LONG_TAILED, NUMBERS, TRANSFORMED_NUMBERS, TRANSFORMED_WORDS


def preprocessing_fn(inputs: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
    """Put the long tails on a logarithmic scale, and make a word of each category.

    Args:
        inputs: Sparse columns, one value a row at most.

    Returns:
        ``numbers`` float32 [rows, NUMBERS and LONG_TAILED], NaN where missing; ``words`` string [rows, CATEGORIES];
        and the label int64 [rows], -1 where missing.
    """
    numbers = tf.stack([_to_number(inputs[name]) for name in NUMBERS], axis=1)
    long_tailed = tf.stack([_to_number(inputs[name]) for name in LONG_TAILED], axis=1)
    return {
        TRANSFORMED_NUMBERS: tf.concat([numbers, tf.sign(long_tailed) * tf.math.log1p(tf.abs(long_tailed))], axis=1),
        TRANSFORMED_WORDS: tf.stack([_to_word(name, inputs[name]) for name in CATEGORIES], axis=1),
        LABEL: _to_dense(inputs[LABEL], inputs[LABEL].values, -1),
    }


def _to_number(column: tf.SparseTensor) -> tf.Tensor:
    """Return float32 [rows], NaN where missing."""
    return _to_dense(column, tf.cast(column.values, tf.float32), float("nan"))


def _to_word(name: str, column: tf.SparseTensor) -> tf.Tensor:
    """Return strings such as ``carrier=UA``, shape [rows]; a missing value is ``carrier=``."""
    values = column.values if column.dtype == tf.string else tf.strings.as_string(column.values)
    return tf.strings.join([f"{name}=", _to_dense(column, values, "")])


def _to_dense(column: tf.SparseTensor, values: tf.Tensor, missing: float | str) -> tf.Tensor:
    """Return ``values`` at the rows of ``column``, shape [rows]."""
    dense = tf.fill(column.dense_shape[:1], tf.constant(missing, values.dtype))
    return tf.tensor_scatter_nd_update(dense, column.indices[:, :1], values)
