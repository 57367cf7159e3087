"""Runs the model server until it is told to stop; TFX interpreter."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.contracts.model_server import ServerRecord
from headrace.contracts.worker_exit import WorkerExit
from headrace.tfx_worker.errors import WorkerStop
from headrace.tfx_worker.serving.app import App, Limits
from headrace.tfx_worker.serving.metrics import Metrics
from headrace.tfx_worker.serving.models import Models
from headrace.tfx_worker.serving.request_log import PredictionLog

FOLLOW_SECONDS = 0.2
RECORD_SECONDS = 2.0
GRACE_SECONDS = 20
MOST_CONNECTIONS = 1_000
MOST_HEADER_BYTES = 64 * 1024
TOKEN_VARIABLE = "HEADRACE_SERVING_TOKEN"


def serve(
    serving_dir: Path,
    only: tuple[str, ...],
    host: str,
    port: int,
    *,
    log_folder: Path,
    log_share: float,
    ignore_extra: bool,
    advertise: str | None = None,
    limits: Limits | None = None,
) -> int:
    """Serve the models of a folder, and register so that deployments are waited for.

    Args:
        serving_dir: What the registry writes.
        only: Names; empty: every model that is deployed, now or later.
        host: Address to bind.
        port: 0 for any free one.
        log_folder: Of the prediction log.
        log_share: Of the requests that it gets.
        ignore_extra: Fields that a model does not know are no error.
        advertise: Host under which deployments reach it; None: what it binds, or this machine's name for all addresses.
        limits: What it takes.

    Returns:
        0 once it was told to stop and has answered what was asked before.

    Raises:
        WorkerStop: The address cannot be bound.
    """
    token = os.environ.pop(TOKEN_VARIABLE, None) or None
    metrics = Metrics()

    def tell(event: str, facts: dict[str, Any]) -> None:
        if event in ("deployed", "load_failed", "deployment_unreadable"):
            metrics.events.labels(str(facts.get("model")), event).inc()
        line = {"at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), "event": event, **facts}
        try:
            sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
        except (OSError, ValueError):  # a full disk, a reader that is gone: what is asked is answered all the same
            metrics.lines_lost.inc()

    listener = _bind(host, port)
    reached_at = advertise or (socket.gethostname() if host in ("0.0.0.0", "::") else host)
    bracketed = f"[{reached_at}]" if ":" in reached_at else reached_at
    address = f"http://{bracketed}:{listener.getsockname()[1]}"
    models = Models(serving_dir, only, tell)
    log = PredictionLog(log_folder, log_share, metrics.log_dropped.inc)
    stopping = threading.Event()
    app = App(
        models,
        metrics,
        log,
        token=token,
        ignore_extra=ignore_extra,
        is_stopping=stopping.is_set,
        tell=tell,
        limits=limits or Limits(),
    )
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedHeaders,
        limit_concurrency=MOST_CONNECTIONS,
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, stopping)
    started = datetime.now(timezone.utc).isoformat()
    host_name = socket.gethostname()

    def record() -> ServerRecord:
        return ServerRecord(address, os.getpid(), host_name, started, time.time(), only)

    recorder = threading.Thread(target=_keep_record, args=(record, serving_dir, stopping, tell), daemon=True)

    def follow() -> None:
        _follow_once(models, tell)
        recorder.start()  # deployments wait for who is registered: not while it loads its first models
        tell("serving", {"address": address, "models": sorted(models.served), "pid": os.getpid()})
        while not stopping.wait(FOLLOW_SECONDS):
            _follow_once(models, tell)

    follower = threading.Thread(target=follow, name="headrace-follow", daemon=True)
    follower.start()
    try:
        server.run(sockets=[listener])
    finally:
        stopping.set()
        follower.join(GRACE_SECONDS)
        if recorder.is_alive():
            recorder.join(5)
        record().find_file(serving_dir).unlink(missing_ok=True)
        log.close()
        models.close()
        tell("stopped", {})
        _drop_unwritten()
    return WorkerExit.OK


class BoundedHeaders(HttpToolsProtocol):
    """Ends a connection whose headers do not end: the parser holds them all, and they come before any token."""

    waits_for_headers = True
    header_bytes = 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.waits_for_headers, self.header_bytes = True, 0

    def on_headers_complete(self) -> None:
        self.waits_for_headers = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.waits_for_headers:
            self.header_bytes += len(data)
            if self.header_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
                self.transport.close()


class _Server(uvicorn.Server):
    """Says at once that it is about to end, while it still answers what was asked."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)
        self._captured_signals = []  # to end by it once more would lose the exit code

    def run(self, sockets: Any = None) -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        super().run(sockets)


def _drop_unwritten() -> None:
    """Forget lines that standard output does not take: at the end Python would make an error of them."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with open(os.devnull, "w") as nothing:  # noqa: PTH123 - a descriptor is wanted
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WorkerStop(
            f"{host}:{port} cannot be bound: {error.strerror}; choose another with --port", WorkerExit.ENVIRONMENT_ERROR
        ) from error
    listener.listen(socket.SOMAXCONN)  # who asks while TensorFlow is imported waits
    return listener


def _follow_once(models: Models, tell: Callable[[str, dict[str, Any]], None]) -> None:
    try:
        models.follow()
    except Exception as error:  # noqa: BLE001 - what is served goes on being served
        tell("error", {"error": repr(error)})


def _keep_record(
    record: Callable[[], ServerRecord],
    serving_dir: Path,
    stopping: threading.Event,
    tell: Callable[[str, dict[str, Any]], None],
) -> None:
    while True:
        try:
            record().write(serving_dir)
        except OSError as error:
            tell("record_failed", {"error": str(error)})
        if stopping.wait(RECORD_SECONDS):
            return
