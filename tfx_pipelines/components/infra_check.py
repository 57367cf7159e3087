"""A check that a model can be loaded and answers on real examples, with no container; TFX interpreter."""

import itertools
import os

import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils


@component
def InfraCheck(  # noqa: N802 - a component is named as a class
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    split: Parameter[str] = "eval",
    signature: Parameter[str] = "serving_default",
    rows: Parameter[int] = 20,
) -> None:
    """Load the model as a server would, ask it for a few rows, and bless it if every answer is a finite number.

    The model is given serialized examples of ``split``. A model that cannot be loaded or that answers badly is not
    blessed, and Pusher does not push it; that is an outcome, not an error. The reason is kept in the blessing.
    """
    problem = _find_problem(model, examples, split, signature, rows)
    blessing.set_int_custom_property("blessed", 0 if problem else 1)
    blessing.set_int_custom_property("has_model", 0)
    blessing.set_string_custom_property("reason", problem)
    with tf.io.gfile.GFile(
        os.path.join(blessing.uri, "INFRA_NOT_BLESSED" if problem else "INFRA_BLESSED"), "w"
    ) as file:
        file.write(problem)


def _find_problem(
    model: standard_artifacts.Model, examples: standard_artifacts.Examples, split: str, signature: str, rows: int
) -> str:
    """Return why the model must not be pushed, in one sentence; empty where there is no reason."""
    pattern = os.path.join(artifact_utils.get_split_uri([examples], split), "*")
    records = tf.data.TFRecordDataset(tf.io.gfile.glob(pattern), compression_type="GZIP")
    some = list(itertools.islice(records.as_numpy_iterator(), rows))
    if not some:
        return f"The {split} split has no example to ask the model about."
    try:
        loaded = tf.saved_model.load(path_utils.serving_model_path(model.uri))
        if signature not in loaded.signatures:
            return f"The model has no signature {signature}; it has {', '.join(loaded.signatures) or 'none'}."
        answers = loaded.signatures[signature](tf.constant(some))
    # Whatever a user's model raises is the finding of this check.
    except Exception as error:  # noqa: BLE001
        return f"The model cannot be loaded or called: {type(error).__name__}: {error}"
    for name, answer in answers.items():
        if answer.shape[0] != len(some):
            return f"The model answered {len(some)} examples with {answer.shape[0]} values of {name}."
        if answer.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(answer))):
            return f"The model answered with values of {name} that are not finite numbers."
    return ""
