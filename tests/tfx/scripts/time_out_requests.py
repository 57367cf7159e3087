"""Ask the server's application more than it answers in time; TFX interpreter. Prints what became of it, as JSON."""

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

from headrace.tfx_worker.serving.app import Answer, App, Limits
from headrace.tfx_worker.serving.metrics import Metrics
from headrace.tfx_worker.serving.models import Models
from headrace.tfx_worker.serving.request_log import PredictionLog

may_end = threading.Event()
begun = []


def predict(*words: object) -> Answer:
    begun.append(words)
    may_end.wait(60)
    return Answer(200, b"{}", model="m", verb="predict")


async def ask(app: App, body: bool = True) -> int:
    codes = []

    async def receive() -> dict:
        if not body:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: dict) -> None:
        codes.append(message.get("status"))

    scope = {"type": "http", "path": "/v1/models/m:predict", "method": "POST", "headers": []}
    await app(scope, receive, send)
    return codes[0]


async def main() -> None:
    metrics, told = Metrics(), []
    folder = Path("/nowhere")
    app = App(
        Models(folder, ("m",), lambda *_: None), metrics, PredictionLog(folder, 0.0, lambda *_: None), token=None,
        ignore_extra=False, is_stopping=lambda: False, tell=lambda event, facts: told.append(facts.get("code")),
        limits=Limits(seconds=0.3, at_once=8),
    )  # fmt: skip
    app._pool._max_workers = 2
    app._predict = predict  # type: ignore[method-assign]
    late = await asyncio.gather(*(ask(app) for _ in range(8)))
    busy = app._busy
    may_end.set()
    deadline = time.monotonic() + 30
    while app._busy and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    after = await ask(app)
    slow_body = await ask(app, body=False)
    found = {"late": late, "busy": busy, "begun": len(begun), "after": after, "slow_body": slow_body, "told": told}
    sys.stdout.write(json.dumps(found))


asyncio.run(main())
