"""The process that has imported Airflow once and forks its components: ``python -m headrace.airflow.component_parent``.

Orchestration interpreter, on Linux. It has one thread and no connection to any database, so that its forks are sound
(docs/adr/0017). ``headrace up`` asks it over a Unix socket; a line of JSON is a message:

    up → parent    {"name": "scheduler", "module": "airflow", "arguments": […], "log": "/…", "needs": "tasks"}
    parent → up    {"name": "scheduler", "pid": 4711}, or null where it is not to be forked
    parent → up    {"pid": 4711, "code": -9}

It ends when the socket is closed; the components go on.
"""

import contextlib
import gc
import json
import logging
import os
import runpy
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from setproctitle import setproctitle

from headrace.airflow.preloads import list_stages, seed_numpy

log = logging.getLogger(__name__)


def main() -> None:
    """Serve until the socket is closed; in a fork, become the component."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    os.register_at_fork(after_in_child=seed_numpy)
    request = Parent(channel).serve()
    if request is None:
        os._exit(0)  # no component's clean-up is ours to do
    sys.argv = [request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


class Parent:
    """Imports what components need while nobody asks for one, and forks them."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._stages = list_stages()
        self._done = False
        self._received = b""
        self._forked: set[int] = set()

    def serve(self) -> dict[str, Any] | None:
        """Answer requests; returns None at their end, and in each fork the request that it is to become."""
        signal.signal(signal.SIGCHLD, self._tell_ended)  # also in the middle of an import
        gc.disable()  # what is imported stays
        while True:
            # A second at most: a signal that comes just before is heard after it.
            asked, _, _ = select.select([self._channel], [], [], 1 if self._done else 0)
            if asked:
                requests = self._receive()
                if requests is None:
                    return None
                for request in requests:
                    if self._fork(request) == 0:
                        return request
            elif not self._done:
                self._done = not any(map(do_next, self._stages.values()))

    def _receive(self) -> list[dict[str, Any]] | None:
        received = self._channel.recv(65536)
        *lines, self._received = (self._received + received).split(b"\n")
        return [json.loads(line) for line in lines] if received else None

    def _fork(self, request: dict[str, Any]) -> int | None:
        """Fork; returns 0 in the fork, and None where there is none."""
        for stage, steps in self._stages.items():
            while do_next(steps):
                pass
            if stage == request["needs"]:
                break
        if others := [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]:
            log.warning("%s is not forked: an import started threads: %s", request["name"], ", ".join(others))
            self._tell({"name": request["name"], "pid": None})
            return None
        # The collector writes into what it looks at, and a page that is written to is shared no more.
        gc.collect()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            self._channel.close()
            become_own_process(" ".join([request["module"], *request["arguments"]]), request["log"])
        else:
            self._tell({"name": request["name"], "pid": pid})
            self._forked.add(pid)
            self._tell_ended()  # it may have been too quick for the signal
        return pid

    def _tell_ended(self, *_: object) -> None:
        for pid in list(self._forked):  # and no other: a process that an import starts is the import's to wait for
            with contextlib.suppress(ChildProcessError):  # the signal came while this was called
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self._forked.discard(pid)
                    self._tell({"pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # where nobody listens any more, the next read says so
            self._channel.sendall(json.dumps(message).encode() + b"\n")


def do_next(steps: Iterator[Callable[[], object]]) -> bool:
    """Do the next step; returns whether there was one. One that fails is left to whoever needs it, who will say so."""
    step = next(steps, None)
    if step is None:
        return False
    logging.disable(logging.INFO)
    try:
        step()
    except Exception:
        log.warning("Not preloaded: %s", step, exc_info=True)
    finally:
        logging.disable(logging.NOTSET)
    return True


def become_own_process(title: str, log: str) -> None:
    """Give a fork what a process that is started has: session, name, signals, standard streams, garbage collector."""
    os.setsid()
    setproctitle(title)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    gc.unfreeze = lambda: None  # the LocalExecutor thaws what it froze: the scheduler would pay 100 MB for that
    gc.enable()


if __name__ == "__main__":
    main()
