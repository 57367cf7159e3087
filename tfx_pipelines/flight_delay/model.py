"""The flight delay model: embeddings of words beside scaled numbers, a small network; TFX interpreter."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from tfx.components.trainer.fn_args_utils import FnArgs

from flight_delay.columns import (
    CATEGORIES,
    LONG_TAILED,
    NUMBERS,
    PRESENCE_OF,
    TRANSFORMED_NUMBERS,
    TRANSFORMED_WORDS,
)
from flight_delay.signatures import build_signatures
from flight_delay.training_rows import Rows, in_batches, load_rows, shuffle_batches

_SEED = 2013
_NUMBERS = (*NUMBERS, *LONG_TAILED)  # in the order of preprocessing_fn
_MIN_COUNT = 20  # rarer words share one embedding, so that no single flight is learnt by heart
_CLIP = 6.0  # standard deviations
_EMBEDDING = 4
_LEARNING_RATE = 2e-3


@tf.autograph.experimental.do_not_convert  # see _UnconvertedModel
def run_fn(fn_args: FnArgs) -> None:
    """Train and save; called by Trainer.

    ``fn_args.train_steps`` batches of 512 rows are trained on, and ``eval_steps`` batches (None: all) are evaluated.
    The saved model holds the transform graph, so it answers raw columns.
    """
    keras.utils.set_random_seed(_SEED)
    transform = tft.TFTransformOutput(fn_args.transform_output)
    train = load_rows(fn_args.train_files, transform)
    model = build_model(train, fn_args.train_steps)
    # One "epoch" a quarter of the steps: the log shows how training goes.
    epochs = 4 if fn_args.train_steps >= 4 else 1
    batches = shuffle_batches(train, _SEED)
    model.fit(batches, steps_per_epoch=fn_args.train_steps // epochs, epochs=epochs, verbose=2)
    model.evaluate(in_batches(load_rows(fn_args.eval_files, transform)), steps=fn_args.eval_steps or None, verbose=2)
    # Without traces of every layer: they take 20 s, and only a model that is trained on further needs them.
    signatures = build_signatures(model, transform)
    model.save(
        fn_args.serving_model_dir, save_format="tf", include_optimizer=False, save_traces=False, signatures=signatures
    )


def build_model(rows: Rows, train_steps: int) -> keras.Model:
    """Build the compiled network; logits in, cross entropy and AUC reported.

    Args:
        rows: The training rows, from which its first layers take the vocabulary and the scale of the numbers.
        train_steps: Batches until the learning rate has fallen to 0.
    """
    lookup = keras.layers.StringLookup(vocabulary=_frequent(rows[TRANSFORMED_WORDS]))
    words = keras.Input([len(CATEGORIES)], dtype=tf.string, name=TRANSFORMED_WORDS)
    numbers = keras.Input([len(_NUMBERS)], name=TRANSFORMED_NUMBERS)
    scaled = _build_scale(rows[TRANSFORMED_NUMBERS].numpy())(numbers)
    scaled = tf.clip_by_value(tf.where(tf.math.is_nan(scaled), tf.zeros_like(scaled), scaled), -_CLIP, _CLIP)
    absent = tf.cast(tf.math.is_nan(tf.gather(numbers, [_NUMBERS.index(PRESENCE_OF)], axis=1)), tf.float32)
    regularizer = keras.regularizers.l2(1e-4)
    embedding = keras.layers.Embedding(
        lookup.vocabulary_size(), _EMBEDDING, embeddings_regularizer=keras.regularizers.l2(1e-5)
    )
    hidden = keras.layers.Concatenate()([keras.layers.Flatten()(embedding(lookup(words))), scaled, absent])
    for units in (64, 32):
        hidden = keras.layers.Dense(units, activation="relu", kernel_regularizer=regularizer)(hidden)
        hidden = keras.layers.Dropout(0.2)(hidden)
    probability = keras.layers.Dense(1, activation="sigmoid", name="probability")(hidden)
    model = _UnconvertedModel([words, numbers], probability)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, max(train_steps, 1))),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=[keras.metrics.AUC(name="auc")],
    )
    return model


def _frequent(words: tf.Tensor) -> np.ndarray:
    """Return the words that stand in at least 20 rows; all others are the lookup's one "out of vocabulary"."""
    found, _, counts = tf.unique_with_counts(tf.reshape(words, [-1]), out_idx=tf.int64)
    return found.numpy()[counts.numpy() >= _MIN_COUNT]


def _build_scale(numbers: np.ndarray) -> keras.layers.Normalization:
    """Build the layer that scales each column to mean 0 and variance 1 over the values that are there."""
    present = [column[~np.isnan(column)] for column in numbers.T]
    return keras.layers.Normalization(
        mean=[column.mean(dtype=np.float64) if len(column) else 0.0 for column in present],
        variance=[column.var(dtype=np.float64) if len(column) else 0.0 for column in present],
    )


class _UnconvertedModel(keras.Model):
    """Keeps AutoGraph from rewriting all of tf_keras, which takes 25 s.

    AutoGraph exempts ``keras``, but not ``tf_keras``, the same code under another name. Nothing here needs AutoGraph.
    """

    def make_train_function(self, force: bool = False) -> Callable[..., dict[str, tf.Tensor]]:
        self.train_function = tf.function(lambda batches: self.train_step(next(batches)), autograph=False)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Callable[..., dict[str, tf.Tensor]]:
        self.test_function = tf.function(lambda batches: self.test_step(next(batches)), autograph=False)
        return self.test_function
