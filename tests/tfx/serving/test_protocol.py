"""TensorFlow Serving's REST, as its documentation says it; the model and the server are real."""

import base64
import json
import threading
from collections import Counter
from typing import Any

import pytest

ROW = {"x": 1.5, "word": "w"}
TYPED = {"id": 1, "flag": True, "pair": [1, 2]}


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"instances": [ROW]}, {"predictions": [{"y": 3.0, "said": "w"}]}),
        ({"signature_name": "serving_columns", "instances": [ROW, {"x": None, "word": None}]},
         {"predictions": [{"y": 3.0, "said": "w"}, {"y": "NaN", "said": ""}]}),
        ({"signature_name": "serving_columns", "inputs": {"x": [1, 2], "word": ["a", "b"]}},
         {"outputs": {"y": [2.0, 4.0], "said": ["a", "b"]}}),
        ({"inputs": {"x": [1, 2], "word": ["a", "b"]}}, {"outputs": {"y": [2.0, 4.0], "said": ["a", "b"]}}),
        ({"signature_name": "one", "instances": [1, 2.5]}, {"predictions": [2.0, 5.0]}),
        ({"signature_name": "one", "instances": [{"x": 1}]}, {"predictions": [2.0]}),
        ({"signature_name": "one", "inputs": [1, 2]}, {"outputs": [2.0, 4.0]}),
        ({"signature_name": "one", "inputs": {"x": [1, 2]}}, {"outputs": [2.0, 4.0]}),
        ({"signature_name": "typed", "instances": [{"id": 7, "flag": True, "pair": [1, 2]}]},
         {"predictions": [{"total": 10.0, "turned": False}]}),
        ({"signature_name": "bytes", "instances": [{"b64": base64.b64encode(b"\x00\xff").decode()}, "text"]},
         {"predictions": [{"b64": "AP8="}, {"b64": "dGV4dA=="}]}),
    ],
)  # fmt: skip
def test_rows_and_columns(running: Any, document: dict[str, Any], answer: dict[str, Any]) -> None:
    assert running.ask(document) == (200, answer)


def test_serialized_examples_are_what_the_default_signature_takes(running: Any) -> None:
    # tf.Example of {"x": [1.5]}, as protocol buffers write it
    example = bytes.fromhex("0a0f0a0d0a0178120812060a040000c03f")
    assert running.ask({"instances": [{"b64": base64.b64encode(example).decode()}]}) == (200, {"predictions": [3.0]})


@pytest.mark.parametrize(
    ("path", "weight"),
    [("", 2), ("/versions/1", 1), ("/labels/champion", 2), ("/labels/previous", 1), ("/labels/challenger", 3)],
)
def test_versions_and_labels(running: Any, path: str, weight: int) -> None:
    code, said = running.ask({"signature_name": "one", "instances": [1]}, f"/v1/models/m{path}:predict")
    assert (code, said) == (200, {"predictions": [float(weight)]})


def test_the_challenger_has_a_name_of_its_own_as_under_tensorflow_serving(running: Any) -> None:
    assert running.ask({"signature_name": "one", "instances": [1]}, "/v1/models/m_challenger:predict")[1] == {
        "predictions": [3.0]
    }


def test_status_and_metadata(running: Any) -> None:
    good = {"error_code": "OK", "error_message": ""}
    code, said = running.get("/v1/models/m")
    assert (code, [each["version"] for each in said["model_version_status"]]) == (200, ["3", "2", "1"])
    assert running.get("/v1/models/m/labels/champion")[1] == {
        "model_version_status": [{"version": "2", "state": "AVAILABLE", "status": good}]
    }
    _, said = running.get("/v1/models/m/versions/1/metadata")
    assert said["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    read = said["metadata"]["signature_def"]["signature_def"]["typed"]["inputs"]["pair"]
    assert read["dtype"] == "DT_FLOAT"
    assert read["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
        "unknown_rank": False,
    }


def test_classify_and_regress(running: Any) -> None:
    asked = {"signature_name": "regress", "context": {"x": 0.25}, "examples": [{}, {"x": 1.5}]}
    assert running.ask(asked, "/v1/models/m:regress") == (200, {"result": [0.5, 3.0]})
    asked = {"signature_name": "classify", "examples": [{"x": 0.25}]}
    assert running.ask(asked, "/v1/models/m:classify") == (200, {"result": [[["no", 0.5], ["yes", 0.5]]]})
    code, said = running.ask({"examples": [{"x": 1.0}]}, "/v1/models/m:classify")
    assert (code, "is of tensorflow/serving/predict, not tensorflow/serving/classify" in said["error"]) == (400, True)
    code, said = running.ask({"signature_name": "regress", "examples": [{"x": [None]}]}, "/v1/models/m:regress")
    assert (code, said["error"]) == (400, "examples[0].x is neither numbers nor texts")


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("{", "the body is not JSON"),
        ("[1]", "the body is to be a JSON object"),
        ({}, "send either 'instances'"),
        ({"instances": [ROW], "inputs": {}}, "send either 'instances'"),
        ({"instances": []}, "'instances' is to be a list of at least one row"),
        ({"instances": "x"}, "'instances' is to be a list"),
        ({"instances": [ROW, {"x": 1}]}, "instances[1]: word is missing"),
        ({"instances": [ROW, 7]}, "instances[1] is to be an object of"),
        ({"instances": [ROW, {**ROW, "y": 1}]}, "instances[1]: y is no input of serving_columns"),
        ({"instances": [ROW, {**ROW, "x": "1"}]}, "instances[1].x is a text, not a number"),
        ({"instances": [{**ROW, "word": 1}]}, "instances[0].word is a number, not a text"),
        ({"instances": [{**ROW, "x": [1]}]}, "instances[0].x is to be one value"),
        ({"instances": [ROW, {**ROW, "x": [1]}]}, "instances[1].x is a list, not a number"),
        ({"inputs": {"x": [1]}, "signature_name": "serving_columns"}, "inputs: word is missing"),
        ({"inputs": {"x": [1, 2], "word": ["a"]}}, "inputs are not of one length"),
        ({"inputs": {"x": [1, True], "word": ["a", "b"]}}, "inputs.x[1] is true or false, not a number"),
        ({"signature_name": "nope", "instances": [1]}, "the model has no signature 'nope'; it has bytes,"),
        ({"signature_name": ["x"], "instances": [1]}, "the model has no signature"),
        ({"signature_name": "typed", "instances": [{**TYPED, "id": 1.5}]}, "instances[0].id is a number, not"),
        ({"signature_name": "typed", "instances": [{**TYPED, "id": 2**63}]}, "instances[0].id is a number, not"),
        ({"signature_name": "typed", "instances": [{**TYPED, "flag": 1}]}, "instances[0].flag is a number, not true"),
        ({"signature_name": "typed", "instances": [{**TYPED, "pair": [1, 2, 3]}]}, "3 values at axis 1, the model"),
        ({"signature_name": "typed", "instances": [{**TYPED, "pair": [[1], [2]]}]}, "instances[0].pair is to be"),
        ({"signature_name": "bytes", "instances": [{"b64": "no base 64"}]}, 'a value of "b64" is not base64'),
        ({"instances": [{"b64": "bm8="}]}, "the model refuses these values"),
        ({"signature_name": "one", "instances": [1] * 10_001}, "10001 rows are more than the 10000 of one request"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_says_where(running: Any, document: Any, error: str) -> None:
    code, said = running.ask(document)
    assert (code, list(said)) == (400, ["error"])
    assert error in said["error"]
    assert "Traceback" not in said["error"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/models/nope", 404), ("GET", "/v1/models/m/versions/9", 404), ("GET", "/v1/models/m/labels/x", 404),
        ("POST", "/v1/models/nope:predict", 404), ("POST", "/v1/models/m/versions/9:predict", 404),
        ("GET", "/v1/models/m:predict", 405), ("POST", "/v1/models/m", 405), ("GET", "/", 404),
        ("GET", "/v1/models/..%2f..%2fetc", 404), ("POST", "/v1/models/m:explain", 404),
    ],
)  # fmt: skip
def test_what_is_not_there(running: Any, method: str, path: str, code: int) -> None:
    body = json.dumps({"instances": [ROW]}) if method == "POST" else None
    answer = running.send(method, path, body)
    assert answer[0] == code
    assert list(json.loads(answer[2])) == ["error"]


def test_a_body_that_is_too_large(running: Any) -> None:
    code, said = running.ask(" " * 4_000_001)
    assert (code, said["error"]) == (413, "The body is larger than 4,000,000 bytes.")


def test_more_requests_than_are_answered_at_once(running: Any) -> None:
    found: Counter[int] = Counter()

    def ask() -> None:
        found[running.ask({"signature_name": "slow", "inputs": 20_000})[0]] += 1

    threads = [threading.Thread(target=ask) for _ in range(90)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {200, 429}
    assert running.ask({"instances": [ROW]})[0] == 200


def test_what_is_counted_and_logged(running: Any) -> None:
    for _ in range(40):
        running.ask({"instances": [ROW]})
    metrics = running.get("/metrics")[1]
    assert 'headrace_requests_total{code="200",model="m",verb="predict",version="2"}' in metrics
    assert "headrace_models_loaded 3.0" in metrics
    line = running.told("request")[-1]
    assert (line["model"], line["version"], line["code"], line["rows"]) == ("m", "2", 200, 1)
    [file] = (running.folder / "log" / "m").glob("*/*.jsonl")
    logged = [json.loads(each) for each in file.read_text().splitlines()]
    by_columns = [each for each in logged if each["inputs"].get("word") == ["w"]]
    assert 0 < len(by_columns) < len(running.told("request"))
    assert by_columns[0]["outputs"] == {"said": ["w"], "y": [3.0]}
    assert by_columns[0]["version"] == 2
