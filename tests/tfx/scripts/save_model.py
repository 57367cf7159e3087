"""Saves a model that answers with a column of its input; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import sys

import tensorflow as tf


class Echo(tf.Module):
    @tf.function(
        input_signature=[
            {
                "carrier": tf.TensorSpec([None], tf.string, name="carrier"),
                "wind_speed_mph": tf.TensorSpec([None], tf.float32, name="wind_speed_mph"),
            }
        ]
    )
    def answer(self, columns):
        missing = tf.math.is_nan(columns["wind_speed_mph"])
        return {"probability": tf.where(missing, -1.0, columns["wind_speed_mph"])[:, tf.newaxis]}


module = Echo()
tf.saved_model.save(module, sys.argv[1], signatures={"serving_columns": module.answer})
print("true")
