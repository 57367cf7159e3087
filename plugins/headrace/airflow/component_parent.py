"""The process that has imported Airflow once and forks its components: ``python -m headrace.airflow.component_parent``.

Orchestration interpreter, on Linux. It has one thread and no connection to any database, so that its forks are sound
(docs/adr/0017). ``headrace up`` asks it over a Unix socket; a line of JSON is a message:

    up → parent    {"name": "scheduler", "module": "airflow", "arguments": ["scheduler"], "log": "/…/scheduler.log"}
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
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from setproctitle import setproctitle

from headrace.airflow.preloads import list_steps_for_all, list_steps_for_tasks, seed_numpy

log = logging.getLogger(__name__)

FORKS_TASKS = "scheduler"


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
        self._for_all, self._for_tasks = list_steps_for_all(), list_steps_for_tasks()
        self._done = False
        self._received = b""

    def serve(self) -> dict[str, Any] | None:
        """Answer requests; returns None at their end, and in each fork the request that it is to become."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        gc.disable()  # what is imported stays
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select(None if self._done else 0)]
                if wake in ready:
                    wake.recv(4096)
                    self._tell_ended()
                if self._channel in ready:
                    requests = self._receive()
                    if requests is None:
                        return None
                    for request in requests:
                        if self._fork(request) == 0:
                            selector.close()
                            wake.close()
                            woken.close()
                            return request
                elif not self._done:
                    self._done = not any(map(do_next, (self._for_all, self._for_tasks)))

    def _receive(self) -> list[dict[str, Any]] | None:
        received = self._channel.recv(65536)
        *lines, self._received = (self._received + received).split(b"\n")
        return [json.loads(line) for line in lines] if received else None

    def _fork(self, request: dict[str, Any]) -> int | None:
        """Fork; returns 0 in the fork, and None where there is none."""
        for steps in (self._for_all, self._for_tasks) if request["name"] == FORKS_TASKS else (self._for_all,):
            while do_next(steps):
                pass
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
        return pid

    def _tell_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
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
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    gc.unfreeze = lambda: None  # the LocalExecutor thaws what it froze: the scheduler would pay 100 MB for that
    gc.enable()


if __name__ == "__main__":
    main()
