import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from penguin import names


def run_fn(fn_args):
    keras.utils.set_random_seed(1)
    spec = tft.TFTransformOutput(fn_args.transform_output).transformed_feature_spec()
    kernel = tf.Variable(tf.random.normal([len(names.MEASURES), len(names.SPECIES)], stddev=0.1, seed=1))
    bias = tf.Variable(tf.zeros([len(names.SPECIES)]))

    def logits(features):
        return tf.stack([features[name] for name in names.MEASURES], axis=1) @ kernel + bias

    optimizer = keras.optimizers.legacy.SGD(0.5)
    files = tf.data.TFRecordDataset(tf.io.gfile.glob(fn_args.train_files), compression_type="GZIP")
    for batch in files.batch(512).repeat().take(fn_args.train_steps):
        features = tf.io.parse_example(batch, spec)
        with tf.GradientTape() as tape:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(features[names.LABEL], logits(features))
            loss = tf.reduce_mean(loss)
        optimizer.apply_gradients(zip(tape.gradient(loss, [kernel, bias]), [kernel, bias], strict=True))

    module = tf.Module()
    module.variables_of_model = [kernel, bias]
    measures = {name: spec[name] for name in names.MEASURES}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        return {"probabilities": tf.nn.softmax(logits(tf.io.parse_example(examples, measures)))}

    tf.saved_model.save(module, fn_args.serving_model_dir, signatures={"serving_default": serve})
