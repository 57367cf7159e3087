"""TensorFlow Serving's JSON to arrays and back; numpy only; TFX interpreter.

The format is that of https://www.tensorflow.org/tfx/serving/api_rest: ``instances`` in rows or ``inputs`` in columns,
bytes as ``{"b64": …}``, bare values where there is one input or output.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

MOST_ROWS = 10_000
MOST_DEPTH = 32
COLUMNS_SIGNATURE = "serving_columns"
DEFAULT_SIGNATURE = "serving_default"
_NUMBERS = {"DT_FLOAT": np.float32, "DT_DOUBLE": np.float64, "DT_HALF": np.float16}
_WHOLE = {"DT_INT64": np.int64, "DT_INT32": np.int32, "DT_INT16": np.int16, "DT_INT8": np.int8, "DT_UINT8": np.uint8}
_WORDS = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


class BadRequestError(Exception):
    """What was sent cannot be meant; the message is for whoever sent it."""


@dataclass(frozen=True)
class Tensor:
    """One input or output of a signature.

    Attributes:
        name: Of the tensor in the graph.
        dtype: ``DT_FLOAT``, ``DT_STRING``, …
        shape: Sizes, -1 for any; None where the rank is not known.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """How a model may be asked."""

    name: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    method: str

    @property
    def takes_examples(self) -> bool:
        """Whether its only input is a vector of texts: serialized examples."""
        (only, *more) = self.inputs.values()
        return not more and only.dtype == "DT_STRING" and only.shape is not None and len(only.shape) == 1


@dataclass(frozen=True)
class Request:
    """What is asked, ready for the model."""

    signature: Signature
    feeds: Mapping[str, Any]
    rows: int
    by_row: bool


def parse_predict(body: bytes, signatures: Mapping[str, Signature], *, ignore_extra: bool = False) -> Request:
    """Parse the body of ``:predict``.

    Instances that are objects, of a model whose default signature takes serialized examples, are raw columns where it
    has a signature of these.

    Raises:
        BadRequestError: It names the row and the field.
    """
    document = _load(body)
    by_row = "instances" in document
    if by_row == ("inputs" in document):
        raise BadRequestError("send either 'instances', a list of rows, or 'inputs', by column")
    signature = _choose(document, signatures, by_row)
    if not by_row:
        feeds = _parse_columns(document["inputs"], signature, ignore_extra)
        rows = max((len(feed) if feed.ndim else 1 for feed in feeds.values()), default=0)
        _check_rows(rows)
        return Request(signature, feeds, rows, by_row)
    instances = document["instances"]
    if not isinstance(instances, list) or not instances:
        raise BadRequestError("'instances' is to be a list of at least one row")
    _check_rows(len(instances))
    return Request(signature, _parse_rows(instances, signature, ignore_extra), len(instances), by_row)


def render_predict(request: Request, answers: Mapping[str, Any]) -> bytes:
    """Render the answer in the format in which it was asked."""
    outputs = {name: _to_plain(name, answer) for name, answer in answers.items()}
    if not request.by_row:
        (only, *more) = outputs.values()
        return orjson.dumps({"outputs": outputs if more else only})
    for name, output in outputs.items():
        if not isinstance(output, list) or len(output) != request.rows:
            raise BadRequestError(f"output {name} has no row for each instance: ask by column, with 'inputs'")
    if len(outputs) == 1:
        return orjson.dumps({"predictions": next(iter(outputs.values()))})
    rows = zip(*outputs.values(), strict=True)
    return orjson.dumps({"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]})


def _load(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRequestError("the body is to be a JSON object")
    return document


def _check_rows(rows: int) -> None:
    if rows > MOST_ROWS:
        raise BadRequestError(f"{rows} rows are more than the {MOST_ROWS} of one request")


def _choose(document: Mapping[str, Any], signatures: Mapping[str, Signature], by_row: bool) -> Signature:
    name = document.get("signature_name") or DEFAULT_SIGNATURE
    if not isinstance(name, str) or name not in signatures:
        raise BadRequestError(f"the model has no signature {name!r}; it has {', '.join(sorted(signatures))}")
    chosen = signatures[name]
    if document.get("signature_name") or not chosen.takes_examples or COLUMNS_SIGNATURE not in signatures:
        return chosen
    asked = document["instances"] if by_row else document["inputs"]
    first = asked[0] if by_row and isinstance(asked, list) and asked else asked
    is_columns = isinstance(first, dict) and set(first) not in ({"b64"}, set(chosen.inputs))
    return signatures[COLUMNS_SIGNATURE] if is_columns else chosen


def _parse_rows(instances: Sequence[Any], signature: Signature, ignore_extra: bool) -> dict[str, Any]:
    inputs = signature.inputs
    if len(inputs) == 1:
        (name,) = inputs
        is_named = isinstance(instances[0], dict) and set(instances[0]) == {name}
        if not is_named:
            return {name: _to_array(instances, inputs[name], "instances", name, by_row=True)}
    for number, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise BadRequestError(f"instances[{number}] is to be an object of {', '.join(inputs)}")
        if instance.keys() != inputs.keys():
            if missing := [name for name in inputs if name not in instance]:
                raise BadRequestError(f"instances[{number}]: {missing[0]} is missing")
            if not ignore_extra:
                extra = next(name for name in instance if name not in inputs)
                raise BadRequestError(f"instances[{number}]: {str(extra)[:100]} is no input of {signature.name}")
    return {
        name: _to_array([each[name] for each in instances], tensor, "instances", name, by_row=True)
        for name, tensor in inputs.items()
    }


def _parse_columns(columns: Any, signature: Signature, ignore_extra: bool) -> dict[str, Any]:
    inputs = signature.inputs
    if len(inputs) == 1 and not (isinstance(columns, dict) and set(columns) == set(inputs)):
        (name,) = inputs
        return {name: _to_array(columns, inputs[name], "inputs", name, by_row=False)}
    if not isinstance(columns, dict):
        raise BadRequestError(f"'inputs' is to be an object of {', '.join(inputs)}")
    if missing := [name for name in inputs if name not in columns]:
        raise BadRequestError(f"inputs: {missing[0]} is missing")
    if not ignore_extra and (extra := [name for name in columns if name not in inputs]):
        raise BadRequestError(f"inputs: {extra[0][:100]} is no input of {signature.name}")
    feeds = {name: _to_array(columns[name], tensor, "inputs", name, by_row=False) for name, tensor in inputs.items()}
    batched = {name: len(feed) for name, feed in feeds.items() if feed.ndim and (inputs[name].shape or (0,))[0] == -1}
    if len(set(batched.values())) > 1:
        told = ", ".join(f"{name} has {rows}" for name, rows in batched.items())
        raise BadRequestError(f"inputs are not of one length: {told}"[:500])
    return feeds


def _to_array(values: Any, tensor: Tensor, where: str, name: str, *, by_row: bool) -> Any:
    """Turn JSON into an array of the tensor's type; null is NaN, or the empty text."""

    def place(at: Sequence[int]) -> str:
        if by_row:
            row, *inner = at or (0,)
            return f"{where}[{row}].{name}{''.join(f'[{each}]' for each in inner)}"
        return f"{where}.{name}{''.join(f'[{each}]' for each in at)}"

    shape: list[int] = []
    part = values
    while isinstance(part, list):
        shape.append(len(part))
        if len(shape) > MOST_DEPTH:
            raise BadRequestError(f"{place([0] * by_row)} is nested more than {MOST_DEPTH} deep")
        part = part[0] if part else None
    if tensor.shape is not None and len(shape) != len(tensor.shape):
        wanted = len(tensor.shape) - by_row
        if wanted < 0:
            raise BadRequestError(f"{name} is one value for the whole request, and not one a row: send it by 'inputs'")
        raise BadRequestError(f"{place([0] * by_row)} is to be {_describe_rank(wanted)}")
    flat: list[Any] = []
    _flatten(values, shape, [], flat, place)
    array = _convert(flat, tensor.dtype, shape, place).reshape(shape)
    for axis, (size, wanted) in enumerate(zip(shape, tensor.shape or (), strict=False)):
        if wanted not in (-1, size):
            raise BadRequestError(f"{place([0] * by_row)}: {size} values at axis {axis}, the model takes {wanted}")
    return array


def _describe_rank(rank: int) -> str:
    return {0: "one value", 1: "a list"}.get(rank, f"a list of lists, {rank} deep")


def _flatten(values: Any, shape: Sequence[int], at: list[int], flat: list[Any], place: Any) -> None:
    if not shape:
        flat.append(values)
        return
    if not isinstance(values, list) or len(values) != shape[0]:
        raise BadRequestError(f"{place(at)} has another length or depth than those before it")
    if len(shape) == 1:
        flat.extend(values)
    else:
        for number, each in enumerate(values):
            _flatten(each, shape[1:], [*at, number], flat, place)


def _convert(flat: list[Any], dtype: str, shape: Sequence[int], place: Any) -> Any:
    kinds = set(map(type, flat))

    def refuse(is_good: Any, wanted: str) -> None:
        for number, value in enumerate(flat):
            if not is_good(value):
                at = [int(each) for each in np.unravel_index(number, shape)] if shape else []
                said = "null" if value is None else _WORDS.get(type(value), "that")
                raise BadRequestError(f"{place(at)} is {said}, not {wanted}")

    if dtype in _NUMBERS:
        if not kinds <= {int, float, type(None)}:
            refuse(lambda value: value is None or type(value) in (int, float), "a number")
        if type(None) in kinds:
            flat = [math.nan if value is None else value for value in flat]
        return np.array(flat, dtype=_NUMBERS[dtype])
    if dtype in _WHOLE:
        limits = np.iinfo(_WHOLE[dtype])
        refuse(lambda value: type(value) is int and limits.min <= value <= limits.max, "a whole number in range")
        return np.array(flat, dtype=_WHOLE[dtype])
    if dtype == "DT_BOOL":
        refuse(lambda value: type(value) is bool, "true or false")
        return np.array(flat, dtype=bool)
    if dtype != "DT_STRING":
        raise BadRequestError(f"an input of type {dtype} cannot be sent as JSON")
    refuse(lambda value: value is None or type(value) is str or _is_b64(value), 'a text, nor {"b64": …}')
    return np.array([_to_bytes(value) for value in flat], dtype=object)


def _is_b64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError as error:  # binascii's own, or of a letter that is none
            raise BadRequestError(f'a value of "b64" is not base64: {error}') from None
    return b"" if value is None else str(value).encode()


def _to_plain(name: str, answer: Any) -> Any:
    array = np.asarray(answer)
    if array.dtype != object and array.dtype.kind not in "SU":
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return _replace_unfinite(array.tolist())
        return array.tolist()
    return _decode(array.tolist(), name.endswith("_bytes"))


def _decode(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_decode(each, as_bytes) for each in value]
    raw = value if isinstance(value, bytes) else str(value).encode()
    if as_bytes:
        return {"b64": base64.b64encode(raw).decode()}
    return raw.decode(errors="replace")


def _replace_unfinite(value: Any) -> Any:
    """JSON has no word for NaN; a text says what it is, as TensorFlow Serving's does without quotes."""
    if isinstance(value, list):
        return [_replace_unfinite(each) for each in value]
    return value if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")
