"""Save small models whose answers tell them apart; TFX interpreter. Arguments: a folder, and weights.

Each lies in ``<folder>/<weight>``: ``y = weight * x`` by serialized examples, by columns, as a regression and as a
classification; and signatures of other types and shapes. A model of weight 0 wants a column more; one
of weight 9 has a signature that reads a file which is not there.
"""

import sys
from pathlib import Path

import tensorflow as tf

v1 = tf.compat.v1
utils = v1.saved_model.signature_def_utils


def main(folder: Path, weights: list[float]) -> None:
    for weight in weights:
        with tf.Graph().as_default(), v1.Session() as session:
            factor = tf.Variable(weight, dtype=tf.float32, use_resource=True)
            signatures = build(factor, extra=weight == 0, is_broken=weight == 9)
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(folder / f"{weight:g}"))
            builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
            builder.save()


def build(factor: tf.Variable, extra: bool, is_broken: bool) -> dict:
    def tensor(dtype: tf.DType, *shape: int | None) -> tf.Tensor:
        return v1.placeholder(dtype, shape)

    examples = tensor(tf.string, None)
    parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32, -1.0)})
    of_examples = parsed["x"] * factor
    columns = {"x": tensor(tf.float32, None), "word": tensor(tf.string, None)}
    if extra:
        columns["more"] = tensor(tf.float32, None)
    by_columns = columns["x"] * factor + (columns["more"] if extra else 0.0)
    typed = {"id": tensor(tf.int64, None), "flag": tensor(tf.bool, None), "pair": tensor(tf.float32, None, 2)}
    total = tf.cast(typed["id"], tf.float32) + tf.reduce_sum(typed["pair"], axis=1)
    rounds = tensor(tf.int32)
    slow = tf.while_loop(lambda i, _: i < rounds, lambda i, s: (i + 1, tf.sin(s)), [0, tf.constant(1.0)])[1]
    info = v1.saved_model.build_tensor_info
    classes = tf.stack([tf.fill(tf.shape(of_examples), "no"), tf.fill(tf.shape(of_examples), "yes")], axis=1)
    scores = tf.stack([1 - of_examples, of_examples], axis=1)

    def predict(inputs: dict, outputs: dict) -> object:
        named = [{name: info(each) for name, each in part.items()} for part in (inputs, outputs)]
        return utils.build_signature_def(*named, "tensorflow/serving/predict")

    broken = {}
    if is_broken:
        path = tf.strings.join(["/nowhere/", columns["word"]])
        broken["broken"] = predict({"word": columns["word"]}, {"content": tf.map_fn(tf.io.read_file, path)})
    return {
        **broken,
        "serving_default": predict({"examples": examples}, {"y": of_examples}),
        "serving_columns": predict(columns, {"y": by_columns, "said": columns["word"]}),
        "one": predict({"x": columns["x"]}, {"y": columns["x"] * factor}),
        "typed": predict(typed, {"total": total, "turned": tf.logical_not(typed["flag"])}),
        "bytes": predict({"word": columns["word"]}, {"word_bytes": columns["word"]}),
        "slow": predict({"rounds": rounds}, {"y": slow}),
        "regress": utils.regression_signature_def(examples, of_examples),
        "classify": utils.classification_signature_def(examples, classes, scores),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), [float(each) for each in sys.argv[2:]])
