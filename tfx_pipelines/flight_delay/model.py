"""The flight delay model: embeddings of words beside scaled numbers, a small network; TFX interpreter."""

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from tfx.components.trainer.fn_args_utils import FnArgs

from flight_delay.columns import (
    CATEGORIES,
    LABEL,
    TRANSFORMED_NUMBERS,
    TRANSFORMED_NUMBERS_SIZE,
    TRANSFORMED_WORDS,
    VOCABULARY,
)
from flight_delay.signatures import build_signatures

_SEED = 2013
_BATCH_ROWS = 512
_SHUFFLE_ROWS = 100_000  # three months: a window in time order must be mixed
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
    model = build_model(transform.vocabulary_size_by_name(VOCABULARY) + 1, fn_args.train_steps)
    train = load_batches(fn_args.train_files, transform, training=True)
    evaluation = load_batches(fn_args.eval_files, transform, training=False)
    # One "epoch" a quarter of the steps: the log shows how training goes.
    epochs = 4 if fn_args.train_steps >= 4 else 1
    model.fit(train, steps_per_epoch=fn_args.train_steps // epochs, epochs=epochs, verbose=2)
    model.evaluate(evaluation, steps=fn_args.eval_steps or None, verbose=2)
    # Without traces of every layer: they take 20 s, and only a model that is trained on further needs them.
    signatures = build_signatures(model, transform)
    model.save(
        fn_args.serving_model_dir, save_format="tf", include_optimizer=False, save_traces=False, signatures=signatures
    )


def build_model(vocabulary_size: int, train_steps: int) -> keras.Model:
    """Build the compiled network; logits in, cross entropy and AUC reported."""
    words = keras.Input([len(CATEGORIES)], dtype=tf.int64, name=TRANSFORMED_WORDS)
    numbers = keras.Input([TRANSFORMED_NUMBERS_SIZE], name=TRANSFORMED_NUMBERS)
    regularizer = keras.regularizers.l2(1e-4)
    embedded = keras.layers.Flatten()(
        keras.layers.Embedding(vocabulary_size, _EMBEDDING, embeddings_regularizer=keras.regularizers.l2(1e-5))(words)
    )
    hidden = keras.layers.Concatenate()([embedded, numbers])
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


class _UnconvertedModel(keras.Model):
    """Keeps AutoGraph from rewriting all of tf_keras, which takes 25 s.

    AutoGraph exempts ``keras``, but not ``tf_keras``, the same code under another name. Nothing here needs AutoGraph.
    ``fit`` turns it on again, whatever surrounds it, so it is turned off here and around ``run_fn``.
    """

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: object) -> dict[str, tf.Tensor]:
        return super().train_step(data)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: object) -> dict[str, tf.Tensor]:
        return super().test_step(data)


def load_batches(files: list[str], transform: tft.TFTransformOutput, training: bool) -> tf.data.Dataset:
    """Load transformed examples as ``(inputs, label)`` batches; training repeats for ever, shuffled by a fixed seed."""
    spec = transform.transformed_feature_spec()

    def parse(batch: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        features = tf.io.parse_example(batch, spec)
        return features, features.pop(LABEL)

    records = tf.data.TFRecordDataset(tf.io.gfile.glob(files), compression_type="GZIP")
    if training:
        records = records.cache().shuffle(_SHUFFLE_ROWS, seed=_SEED).repeat()
    return records.batch(_BATCH_ROWS).map(parse, num_parallel_calls=2).prefetch(2)
