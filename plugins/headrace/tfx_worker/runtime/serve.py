"""The runtime's one loop: answer who asks, fork who is to run, end when nobody has asked for long; TFX interpreter."""

import contextlib
import gc
import os
import select
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from headrace import __version__
from headrace.contracts.files import ContractError, write_json
from headrace.contracts.runtime import (
    PROTOCOL,
    TIMEOUT_SECONDS,
    NodeStatus,
    RuntimeStatus,
    StartRequest,
    is_of_this_user,
    receive_message,
    send_message,
)
from headrace.jobs.locks import take_lock
from headrace.jobs.memory import available_memory, measure_memory
from headrace.jobs.processes import find_marked, process_start_time
from headrace.jobs.runtime_place import RuntimePlace, RuntimeUnavailableError
from headrace.jobs.supervise import ALREADY_RUNNING, MARK
from headrace.tfx_worker.environment import import_everything
from headrace.tfx_worker.runtime.node_process import supervise_node

USUAL_IDLE_SECONDS = 1800.0
NEEDED_BYTES = 1 << 30  # free, for a node beside others; at its peak it may take twice as much
MOST_LOG_BYTES = 1 << 20


def serve(place: RuntimePlace, fingerprint: str, prepare: Callable[[], None] = import_everything) -> int:
    """Be the runtime of a place; returns 75 at once where another process is.

    Args:
        place: Its files.
        fingerprint: Of what it loads.
        prepare: Loads it.

    Raises:
        RuntimeUnavailableError: The place is not this user's alone.
    """
    place.check()
    with place.lock.open("a") as lock:
        if not take_lock(lock):
            return ALREADY_RUNNING
        started = process_start_time(os.getpid())
        write_json(place.about, {"pid": os.getpid(), "started": started, "version": __version__})
        prepare()
        gc.collect()
        gc.freeze()  # a collection in a child would copy every page that it marks
        place.check()
        place.socket.unlink(missing_ok=True)  # of a runtime that was killed: this one holds the lock
        with socket.socket(socket.AF_UNIX) as listener:
            mask = os.umask(0o177)
            listener.bind(str(place.socket))
            os.umask(mask)
            listener.listen(64)
            Runtime(place, fingerprint, listener, lock).run()
    return 0


@dataclass(frozen=True)
class _Node:
    folder: str
    attempt: str
    started: float


class Runtime:
    """Answers on a listening socket until it is told to stop, or has been idle, and its nodes have ended.

    Args:
        place: Its files.
        fingerprint: Of what it has loaded.
        listener: Where it is asked.
        lock: Held while it may be asked.
    """

    def __init__(self, place: RuntimePlace, fingerprint: str, listener: socket.socket, lock: IO[str]) -> None:
        self._place = place
        self._fingerprint = fingerprint
        self._listener = listener
        self._lock = lock
        self._nodes: dict[int, _Node] = {}
        self._started_at = time.time()
        self._idle_seconds = USUAL_IDLE_SECONDS
        self._last_used = time.monotonic()

    def run(self) -> None:
        while not self._lock.closed:
            ready, _, _ = select.select([self._listener], [], [], 1.0)
            self._reap()
            if ready:
                self._answer_next()
            elif not self._nodes and time.monotonic() - self._last_used > self._idle_seconds:
                self._retire()
        while self._nodes:
            time.sleep(0.2)
            self._reap()

    def _reap(self) -> None:
        while self._nodes:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._nodes.pop(pid, None)
            self._last_used = time.monotonic()

    def _retire(self) -> None:
        """Leave the place to another runtime; what runs, goes on."""
        self._listener.close()
        self._place.socket.unlink(missing_ok=True)
        self._lock.close()

    def _answer_next(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(TIMEOUT_SECONDS / 5)
            try:
                if not is_of_this_user(connection):
                    raise ContractError("a process of another user")
                request = receive_message(connection)
                reply = self._answer(request, connection)
                send_message(connection, reply)
            except (ContractError, OSError) as error:
                _note(f"did not answer: {error}")

    def _answer(self, request: Mapping[str, Any], connection: socket.socket) -> dict[str, Any]:
        kind = request.get("request")
        if kind == "status":
            return {"reply": "status", **asdict(self._status(request))}
        if kind == "stop":
            return self._stop(request)
        if kind != "start":
            return {"reply": "refused", "why": f"it does not know the request {kind!r}"}
        if request.get("protocol") != PROTOCOL or request.get("fingerprint") != self._fingerprint:
            why = "it was started before Headrace or its TFX environment changed"
            return {"reply": "refused", "why": why, "pid": os.getpid(), "outdated": True}
        return self._start(StartRequest.parse(request), connection)

    def _start(self, request: StartRequest, connection: socket.socket) -> dict[str, Any]:
        self._idle_seconds = request.idle_seconds
        self._last_used = time.monotonic()
        if len(self._nodes) >= request.most_nodes:
            return {"reply": "busy", "why": f"{len(self._nodes)} TFX nodes run at once, the most that may"}
        free = available_memory()
        if self._nodes and free is not None and free - self._memory_to_come() < NEEDED_BYTES:
            why = f"{free / 1e9:.1f} GB of memory are free, and a TFX node needs {NEEDED_BYTES / 1e9:.1f}"
            return {"reply": "busy", "why": f"{why}; {len(self._nodes)} run"}
        if _has_gone(connection):
            raise ContractError("who asked has gone")
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                # Another runtime must be able to take the place while this node runs.
                for held in (self._lock, self._listener, connection):
                    held.close()
                code = supervise_node(request)
            except BaseException:  # noqa: BLE001 - this process ends here, whatever happened
                traceback.print_exc()
            finally:
                with contextlib.suppress(OSError, ValueError):
                    sys.stderr.flush()
                os._exit(code)
        self._nodes[pid] = _Node(request.folder, request.attempt, time.monotonic())
        return {"reply": "started", "pid": pid}

    def _memory_to_come(self) -> int:
        """Return how many bytes the nodes that run are about to use: one that has just begun uses next to none."""
        used = [measure_memory(find_marked(MARK, node.attempt)) for node in self._nodes.values()]
        return sum(max(0, NEEDED_BYTES - found) for found in used)

    def _stop(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("pid") not in (None, os.getpid()):
            return {"reply": "refused", "why": "another runtime was meant"}
        self._retire()
        return {"reply": "stopping", "pid": os.getpid(), "folders": [node.folder for node in self._nodes.values()]}

    def _status(self, request: Mapping[str, Any]) -> RuntimeStatus:
        nodes = [
            NodeStatus(
                node.folder, pid, time.monotonic() - node.started, measure_memory(find_marked(MARK, node.attempt))
            )
            for pid, node in self._nodes.items()
        ]
        is_current = (request.get("protocol"), request.get("fingerprint")) == (PROTOCOL, self._fingerprint)
        return RuntimeStatus(
            pid=os.getpid(),
            version=__version__,
            started_at=self._started_at,
            memory_bytes=measure_memory([os.getpid()]),
            idle_seconds=self._idle_seconds,
            is_current=is_current,
            nodes=tuple(nodes),
        )


def _has_gone(connection: socket.socket) -> bool:
    """Return whether who asked has closed the connection: it has given up, and may have started the node elsewhere."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""


def _note(text: str) -> None:
    """Write a line into the log, which begins anew when it has become long."""
    with contextlib.suppress(OSError):
        if os.fstat(1).st_size > MOST_LOG_BYTES:
            os.ftruncate(1, 0)
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)


def run(folder: Path, key: str, fingerprint: str) -> int:
    """Be the runtime, and say in one line why it cannot be."""
    try:
        return serve(RuntimePlace(folder, key), fingerprint)
    except RuntimeUnavailableError as error:
        print(f"headrace: {error}", file=sys.stderr)
        return 1
