"""One model, asked in the process that holds it; TFX interpreter. Arguments: the model's folder, a folder of bodies.

Prints, by number of rows, the milliseconds of each call: with tensors ready (``tf.saved_model.load``), and from JSON to
JSON as the server does it, without the server.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

CALLS = 300


def main(model_dir: Path, bodies: Path) -> dict[str, Any]:
    import tensorflow as tf

    from headrace.tfx_worker.serving.loaded_model import LoadedModel
    from headrace.tfx_worker.serving.protocol import parse_predict, render_predict

    loaded = tf.saved_model.load(str(model_dir))
    function = loaded.signatures["serving_columns"]
    model = LoadedModel(model_dir, 1, "")
    found: dict[str, Any] = {}
    for file in sorted(bodies.glob("*.json")):
        body = file.read_bytes()
        request = parse_predict(body, model.signatures)
        tensors = {name: tf.constant(feed) for name, feed in request.feeds.items()}

        def ask_tensors(tensors: Any = tensors) -> None:
            {name: each.numpy() for name, each in function(**tensors).items()}

        def ask_json(body: bytes = body) -> None:
            parsed = parse_predict(body, model.signatures)
            render_predict(parsed, model.predict(parsed.signature, parsed.feeds))

        found[file.stem] = {"tensors": _time(ask_tensors), "json": _time(ask_json)}
    return found


def _time(call: Any) -> list[float]:
    for _ in range(20):
        call()
    spent = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        spent.append(1e3 * (time.perf_counter() - began))
    return spent


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
