"""The rows of one split in memory, transformed: about 200 bytes each; TFX interpreter."""

import tensorflow as tf
import tensorflow_transform as tft

from flight_delay.columns import LABEL

_READ_ROWS = 4096
_BATCH_ROWS = 512

# What preprocessing_fn returns, for all rows.
Rows = dict[str, tf.Tensor]


@tf.autograph.experimental.do_not_convert
def load_rows(files: list[str], transform: tft.TFTransformOutput) -> Rows:
    """Load serialized examples and apply the transform graph to them, once."""
    spec, layer = transform.raw_feature_spec(), transform.transform_features_layer()
    records = tf.data.TFRecordDataset(tf.io.gfile.glob(files), compression_type="GZIP").batch(_READ_ROWS)
    batches = list(records.map(lambda batch: layer(tf.io.parse_example(batch, spec)), num_parallel_calls=2))
    return {name: tf.concat([batch[name] for batch in batches], axis=0) for name in batches[0]}


@tf.autograph.experimental.do_not_convert
def shuffle_batches(rows: Rows, seed: int) -> tf.data.Dataset:
    """Yield ``(inputs, label)`` batches of 512 rows for ever, each pass over all rows in another order."""
    count = len(rows[LABEL])

    def shuffle(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, epoch])
        return tf.data.Dataset.from_tensor_slices(order)

    def gather(order: tf.Tensor) -> tuple[Rows, tf.Tensor]:
        return _split_label({name: tf.gather(column, order) for name, column in rows.items()})

    return tf.data.Dataset.counter().flat_map(shuffle).batch(_BATCH_ROWS).map(gather, num_parallel_calls=2).prefetch(2)


def in_batches(rows: Rows) -> tf.data.Dataset:
    """Yield ``(inputs, label)`` batches of 512 rows, once, in order."""
    return tf.data.Dataset.from_tensor_slices(_split_label(rows)).batch(_BATCH_ROWS)


def _split_label(rows: Rows) -> tuple[Rows, tf.Tensor]:
    return {name: column for name, column in rows.items() if name != LABEL}, rows[LABEL]
