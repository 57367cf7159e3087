"""Turns raw columns into model inputs, the same way in training and in serving; TFX interpreter."""

import tensorflow as tf
import tensorflow_transform as tft

from flight_delay.columns import (
    CATEGORIES,
    LABEL,
    LONG_TAILED,
    NUMBERS,
    PRESENCE_OF,
    TRANSFORMED_NUMBERS,
    TRANSFORMED_WORDS,
    VOCABULARY,
)

_MIN_COUNT = 20  # rarer words share one embedding, so that no single flight is learnt by heart
_CLIP = 6.0  # standard deviations


def preprocessing_fn(inputs: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
    """Scale all numbers in one analyzer and look up all words in one vocabulary.

    Two analyzers rather than one per column: each costs a pass of Beam stages, whatever the number of rows.

    Args:
        inputs: Sparse columns, one value a row at most.

    Returns:
        ``numbers`` float32 [rows, TRANSFORMED_NUMBERS_SIZE], ``words`` int64 [rows, categories]
        and the label int64 [rows].
    """
    numbers = {name: _dense(inputs[name], float("nan")) for name in (*NUMBERS, *LONG_TAILED)}
    for name in LONG_TAILED:
        numbers[name] = tf.sign(numbers[name]) * tf.math.log1p(tf.abs(numbers[name]))
    scaled = tft.scale_to_z_score(tf.stack(list(numbers.values()), axis=1), elementwise=True)
    scaled = tf.clip_by_value(tf.where(tf.math.is_nan(scaled), tf.zeros_like(scaled), scaled), -_CLIP, _CLIP)
    absent = tf.cast(tf.math.is_nan(numbers[PRESENCE_OF]), tf.float32)
    words = tf.stack([_to_words(name, inputs[name]) for name in CATEGORIES], axis=1)
    return {
        TRANSFORMED_NUMBERS: tf.concat([scaled, absent[:, tf.newaxis]], axis=1),
        TRANSFORMED_WORDS: tft.compute_and_apply_vocabulary(
            words, frequency_threshold=_MIN_COUNT, num_oov_buckets=1, vocab_filename=VOCABULARY
        ),
        LABEL: tf.cast(_dense(inputs[LABEL], -1), tf.int64),
    }


def _dense(column: tf.SparseTensor, missing: float) -> tf.Tensor:
    """Return shape [rows]; numbers become float32, and missing values ``missing``."""
    values = tf.cast(column.values, tf.float32)
    return tf.squeeze(
        tf.sparse.to_dense(tf.SparseTensor(column.indices, values, [column.dense_shape[0], 1]), default_value=missing),
        axis=1,
    )


def _to_words(name: str, column: tf.SparseTensor) -> tf.Tensor:
    """Return strings such as ``carrier=UA``, shape [rows]; a missing value is ``carrier=``."""
    values = column.values if column.dtype == tf.string else tf.strings.as_string(column.values)
    dense = tf.sparse.to_dense(tf.SparseTensor(column.indices, values, [column.dense_shape[0], 1]), default_value="")
    return tf.strings.join([f"{name}=", tf.squeeze(dense, axis=1)])
