"""``:classify`` and ``:regress``: examples in JSON to serialized ``tf.Example``; TFX interpreter."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from headrace.tfx_worker.serving.protocol import (
    DEFAULT_SIGNATURE,
    MOST_ROWS,
    BadRequestError,
    Request,
    Signature,
    _load,
)

METHODS = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}


def parse_examples(body: bytes, signatures: Mapping[str, Signature], verb: str) -> Request:
    """Parse the body of ``:classify`` or ``:regress``.

    Raises:
        BadRequestError: It names the row and the field.
    """
    document = _load(body)
    name = document.get("signature_name") or DEFAULT_SIGNATURE
    if not isinstance(name, str) or name not in signatures:
        raise BadRequestError(f"the model has no signature {name!r}; it has {', '.join(sorted(signatures))}")
    signature = signatures[name]
    if signature.method != METHODS[verb]:
        raise BadRequestError(f"signature {name} is of {signature.method or 'no method'}, not {METHODS[verb]}")
    examples = document.get("examples")
    if not isinstance(examples, list) or not examples or len(examples) > MOST_ROWS:
        raise BadRequestError(f"'examples' is to be a list of 1 to {MOST_ROWS} objects")
    context = document.get("context") or {}
    if not isinstance(context, dict):
        raise BadRequestError("'context' is to be an object of features")
    rows = [_serialize({**context, **_check(each, number)}, number) for number, each in enumerate(examples)]
    (only,) = signature.inputs
    return Request(signature, {only: np.array(rows, dtype=object)}, len(rows), by_row=True)


def render_examples(verb: str, answers: Mapping[str, Any]) -> bytes:
    """Render ``result``: of a regression a number a row, of a classification pairs of label and score."""
    if verb == "regress":
        values = np.asarray(answers.get("outputs", next(iter(answers.values())))).reshape(-1)
        return orjson.dumps({"result": values.tolist()})
    scores = np.atleast_2d(np.asarray(answers["scores"])).tolist()
    classes = answers.get("classes")
    labels = [[""] * len(row) for row in scores] if classes is None else np.atleast_2d(np.asarray(classes)).tolist()
    said = [
        [
            [label.decode() if isinstance(label, bytes) else str(label), score]
            for label, score in zip(*pair, strict=True)
        ]
        for pair in zip(labels, scores, strict=True)
    ]
    return orjson.dumps({"result": said})


def _check(example: Any, number: int) -> dict[str, Any]:
    if not isinstance(example, dict):
        raise BadRequestError(f"examples[{number}] is to be an object of features")
    return example


def _serialize(features: Mapping[str, Any], number: int) -> bytes:
    from tensorflow.core.example import example_pb2

    example = example_pb2.Example()
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        feature = example.features.feature[name]
        kinds = {type(each) for each in values}
        if kinds <= {int}:
            if any(not -(2**63) <= each < 2**63 for each in values):
                raise BadRequestError(f"examples[{number}].{name} is a whole number of more than 64 bits")
            feature.int64_list.value.extend(values)
        elif kinds <= {int, float}:
            feature.float_list.value.extend(values)
        elif kinds <= {str, dict}:
            feature.bytes_list.value.extend(_to_bytes(each, f"examples[{number}].{name}") for each in values)
        else:
            raise BadRequestError(f"examples[{number}].{name} is neither numbers nor texts")
    return bytes(example.SerializeToString())


def _to_bytes(value: Any, where: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (KeyError, ValueError, TypeError):
        raise BadRequestError(f'{where} is to be a text, or {{"b64": …}}') from None
