"""TensorFlow Serving's REST as an ASGI application: routes, limits, access, logs; TFX interpreter."""

import asyncio
import hmac
import os
import re
import time
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson

from headrace.tfx_worker.serving.examples import parse_examples, render_examples
from headrace.tfx_worker.serving.loaded_model import LoadedModel
from headrace.tfx_worker.serving.metrics import Metrics
from headrace.tfx_worker.serving.models import Models, NotServedError
from headrace.tfx_worker.serving.protocol import BadRequestError, Signature, parse_predict, render_predict
from headrace.tfx_worker.serving.request_log import PredictionLog

_MODEL = re.compile(
    r"/v1/models/(?P<model>[^/:]{1,200})(/versions/(?P<number>\d{1,9})|/labels/(?P<label>[^/:]{1,50}))?"
    r"(?P<rest>/metadata|:predict|:classify|:regress)?"
)
_PATIENCE = 16  # so many times the largest body is read of one that is larger
JSON, TEXT = b"application/json", b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Limits:
    """What one server takes.

    Attributes:
        body_bytes: Of one request.
        at_once: Requests that are being answered.
        seconds: For one.
    """

    body_bytes: int = 4_000_000
    at_once: int = 64
    seconds: float = 30.0


@dataclass
class Answer:
    """What is sent back, and what is logged of it."""

    code: int
    body: bytes
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    model: str = ""
    version: str = ""
    verb: str = ""
    rows: int = 0


class RefusedError(Exception):
    """A request that is not answered, with the code that says why."""

    def __init__(self, code: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.code, self.headers = code, headers


class App:
    """The application.

    Args:
        models: What is served.
        metrics: What is counted.
        log: Where a sample of predictions goes.
        token: What a request must bear; None: nothing.
        ignore_extra: Fields that the model does not know are no error.
        is_stopping: Whether the server is about to end.
        tell: Told of each request, and of errors: an event's name, and facts.
        limits: What it takes.
    """

    def __init__(
        self,
        models: Models,
        metrics: Metrics,
        log: PredictionLog,
        *,
        token: str | None,
        ignore_extra: bool,
        is_stopping: Callable[[], bool],
        tell: Callable[[str, dict[str, Any]], None],
        limits: Limits,
    ) -> None:
        self._models, self._metrics, self._log = models, metrics, log
        self._token, self._ignore_extra, self._is_stopping = token, ignore_extra, is_stopping
        self._tell, self._limits = tell, limits
        self._busy = 0
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="headrace-predict")

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        began, request_id = time.perf_counter(), uuid.uuid4().hex
        try:
            answer = await self._answer(scope, receive, request_id)
        except RefusedError as error:
            model, verb = self._name_route(str(scope["path"]))
            document = orjson.dumps({"error": str(error)})
            answer = Answer(error.code, document, model=model, verb=verb, headers=error.headers)
        except Exception as error:  # noqa: BLE001 - nobody outside is to see what
            self._tell("error", {"id": request_id, "error": repr(error), "trace": traceback.format_exc()})
            model, verb = self._name_route(str(scope["path"]))
            document = orjson.dumps({"error": f"internal error {request_id}: the server's log has it"})
            answer = Answer(500, document, model=model, verb=verb)
        seconds = time.perf_counter() - began
        if answer.verb:
            self._metrics.requests.labels(answer.model, answer.version, answer.verb, str(answer.code)).inc()
            self._metrics.seconds.labels(answer.model).observe(seconds)
            facts = {"id": request_id, "model": answer.model, "version": answer.version, "verb": answer.verb}
            self._tell("request", {**facts, "code": answer.code, "rows": answer.rows, "ms": round(1e3 * seconds, 2)})
        headers = [(b"content-type", answer.kind), (b"content-length", str(len(answer.body)).encode()), *answer.headers]
        await send({"type": "http.response.start", "status": answer.code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _name_route(self, path: str) -> tuple[str, str]:
        """Return the model, if there is one, and the verb: what is counted has as many names as we have."""
        found = _MODEL.fullmatch(path)
        if found is None:
            return "", "other"
        return found["model"] if found["model"] in self._models.served else "", (found["rest"] or "get").strip("/:")

    async def _answer(self, scope: dict[str, Any], receive: Any, request_id: str) -> Answer:
        path, method = str(scope["path"]), str(scope["method"])
        if path == "/healthz":
            return Answer(200, b'{"status":"ok"}')
        if path == "/readyz":
            ready = self._models.ready and not self._is_stopping()
            return Answer(200 if ready else 503, orjson.dumps({"ready": ready}))
        self._check_token(scope)
        if path == "/metrics":
            self._metrics.loaded.set(self._models.live)
            return Answer(200, self._metrics.render(), TEXT)
        found = _MODEL.fullmatch(path)
        if found is None:
            raise RefusedError(404, f"There is nothing at {path[:200]}; models are at /v1/models/NAME.")
        name, rest = found["model"], found["rest"] or ""
        number = None if found["number"] is None else int(found["number"])
        wanted = "POST" if rest.startswith(":") else "GET"
        if method != wanted:
            raise RefusedError(405, f"{path[:200]} takes {wanted}.", (b"allow", wanted.encode()))
        if wanted == "POST":
            return await self._ask(name, number, found["label"], rest[1:], receive, request_id)
        try:
            if rest:
                with self._models.lease(name, number, found["label"]) as model:
                    return Answer(200, orjson.dumps(describe_metadata(name, model)))
            return Answer(
                200, orjson.dumps({"model_version_status": self._models.describe(name, number, found["label"])})
            )
        except NotServedError as error:
            raise RefusedError(404, str(error)) from None

    async def _ask(
        self, name: str, number: int | None, label: str | None, verb: str, receive: Any, request_id: str
    ) -> Answer:
        seconds = self._limits.seconds
        try:
            body = await asyncio.wait_for(self._read_body(receive), seconds)
        except asyncio.TimeoutError:
            raise RefusedError(408, f"The body did not end within {seconds:g} s.", (b"connection", b"close")) from None
        self._take_place()
        loop = asyncio.get_running_loop()
        work = self._pool.submit(self._predict, name, number, label, verb, body, request_id)
        # The place is free when the work has ended, and not when nobody waits for it any more.
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._give_back))
        waited = asyncio.wrap_future(work)
        try:
            return await asyncio.wait_for(asyncio.shield(waited), seconds)
        except asyncio.TimeoutError:
            waited.add_done_callback(lambda done: done.cancelled() or done.exception())
            work.cancel()  # where it has not begun
            raise RefusedError(504, f"No answer within {seconds:g} s.") from None

    def _predict(
        self, name: str, number: int | None, label: str | None, verb: str, body: bytes, request_id: str
    ) -> Answer:
        """Answer one request; in a thread of the pool."""
        answer = Answer(200, b"", model="", verb=verb)
        try:
            with self._models.lease(name, number, label) as model:
                answer.model, answer.version = name, str(model.number)
                answer.headers = ((b"x-headrace-model-version", answer.version.encode()),)
                began = time.perf_counter()
                answer.body, answer.rows, feeds, outputs = self._call(model, verb, body)
        except NotServedError as error:
            return Answer(404, orjson.dumps({"error": str(error)}), verb=verb)
        except BadRequestError as error:
            answer.code, answer.body = 400, orjson.dumps({"error": str(error)})
            return answer
        self._metrics.rows.labels(name, answer.version).inc(answer.rows)
        if self._log.wants(request_id):
            spent = round(1e3 * (time.perf_counter() - began), 2)
            line = {"at": time.time(), "model": name, "version": int(answer.version), "id": request_id, "ms": spent}
            self._log.add({**line, "inputs": feeds, "outputs": outputs})
        return answer

    def _call(self, model: LoadedModel, verb: str, body: bytes) -> tuple[bytes, int, Any, Any]:
        import tensorflow as tf

        if verb == "predict":
            request = parse_predict(body, model.signatures, ignore_extra=self._ignore_extra)
        else:
            request = parse_examples(body, model.signatures, verb)
        try:
            outputs = model.predict(request.signature, request.feeds)
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            first = str(error).splitlines()[0][:300]
            raise BadRequestError(f"the model refuses these values: {first}") from None
        rendered = render_predict(request, outputs) if verb == "predict" else render_examples(verb, outputs)
        return rendered, request.rows, request.feeds, outputs

    async def _read_body(self, receive: Any) -> bytes:
        most = self._limits.body_bytes
        too_large = RefusedError(413, f"The body is larger than {most:,} bytes.", (b"connection", b"close"))
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "The connection ended before the body did.")
            part = message.get("body", b"")
            size += len(part)
            if size <= most:
                parts.append(part)
            else:
                parts.clear()  # the rest is read, for who is cut off while sending sees no answer; not without end
            if not message.get("more_body") or size > _PATIENCE * most:
                break
        if size > most:
            raise too_large
        return b"".join(parts)

    def _take_place(self) -> None:
        """Count a request while it is answered; in the event loop, so without a lock."""
        if self._busy >= self._limits.at_once:
            raise RefusedError(429, f"{self._busy} requests are being answered already.", (b"retry-after", b"1"))
        self._busy += 1
        self._metrics.inflight.set(self._busy)

    def _give_back(self) -> None:
        self._busy -= 1
        self._metrics.inflight.set(self._busy)

    def _check_token(self, scope: dict[str, Any]) -> None:
        if self._token is None:
            return
        said = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(said, b"Bearer " + self._token.encode()):
            raise RefusedError(
                401, "Send the server's token: Authorization: Bearer …", (b"www-authenticate", b"Bearer")
            )


def describe_metadata(name: str, model: LoadedModel) -> dict[str, Any]:
    """Return a model's signatures as TensorFlow Serving's ``metadata``."""

    def describe(tensors: Any) -> dict[str, Any]:
        return {
            key: {
                "dtype": tensor.dtype,
                "tensor_shape": {
                    "dim": [{"size": str(size), "name": ""} for size in tensor.shape or ()],
                    "unknown_rank": tensor.shape is None,
                },
                "name": tensor.name,
            }
            for key, tensor in tensors.items()
        }

    def one(signature: Signature) -> dict[str, Any]:
        about = {"inputs": describe(signature.inputs), "outputs": describe(signature.outputs)}
        return {**about, "method_name": signature.method}

    signatures = {key: one(signature) for key, signature in model.signatures.items()}
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(model.number)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }
