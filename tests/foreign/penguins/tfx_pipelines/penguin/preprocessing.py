import tensorflow as tf
import tensorflow_transform as tft

from penguin import names


def preprocessing_fn(inputs):
    outputs = {name: tft.scale_to_z_score(tf.reshape(_dense(inputs[name], 0.0), [-1])) for name in names.MEASURES}
    species = tf.reshape(_dense(inputs[names.LABEL], ""), [-1])
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(list(names.SPECIES), tf.range(len(names.SPECIES), dtype=tf.int64)), -1
    )
    outputs[names.LABEL] = table.lookup(species)
    outputs["island"] = tf.reshape(_dense(inputs["island"], ""), [-1])
    return outputs


def _dense(column, default):
    return tf.sparse.to_dense(column, default_value=default) if isinstance(column, tf.SparseTensor) else column
