"""A delivery in a process of its own, so that one that hangs or dies is ended for sure; orchestration."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from headrace.airflow.delivery import deliver, describe_error
from headrace.notifications.routes import Route

# Forked: a new interpreter would import Airflow for two seconds for each mail. The notifier has one thread only.
_processes = multiprocessing.get_context("fork")


class DeliveryProcess:
    """A delivery that has been started.

    Args:
        route: What delivers it.
        context: What it says.
    """

    def __init__(self, route: Route, context: Mapping[str, Any]) -> None:
        self.timeout = route.timeout
        self._deadline = time.monotonic() + route.timeout
        self._answer, sender = _processes.Pipe(duplex=False)
        self._child = _processes.Process(target=_run, args=(sender, route, dict(context)))
        self._child.start()
        sender.close()

    @property
    def waitable(self) -> Connection:
        """What ``multiprocessing.connection.wait`` waits on: it is readable once the delivery has ended."""
        return self._answer

    def poll(self) -> str | None:
        """Return None while it runs, ``""`` once it is delivered, else why it failed; ends it when its time is up."""
        if self._answer.poll():
            try:
                answer = str(self._answer.recv())
            except EOFError:
                self.kill()
                return f"the delivery's process ended with code {self._child.exitcode} before it was done"
            self.kill()
            return answer
        if time.monotonic() < self._deadline:
            return None
        self.kill()
        return f"not done after {self.timeout:g} s, and ended; a route's 'timeout' sets how long it may take"

    def kill(self) -> None:
        """End the process and whatever it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(self._child.pid or 0), signal.SIGKILL)
        self._child.kill()
        self._child.join()
        self._answer.close()


def _run(answer: Connection, route: Route, context: Mapping[str, Any]) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(signum, signal.SIG_DFL)
    os.setsid()
    # Should the notifier be killed, its delivery ends by itself, before its lease does.
    signal.setitimer(signal.ITIMER_REAL, route.timeout + 1)
    try:
        deliver(route, context)
    except Exception as error:  # noqa: BLE001 - whatever a notifier raises, it has not delivered
        answer.send(describe_error(error) or type(error).__name__)
    else:
        answer.send("")
