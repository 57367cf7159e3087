"""The process that delivers what the outbox holds: ``python -m headrace.airflow.notifier``; orchestration.

It runs beside Airflow's own components, in their environment, and nothing waits for it: a pipeline only ever writes to
the outbox.
"""

import argparse
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TextIO

from headrace.airflow.notifier_loop import Delivered, NotifierLoop, utc_now
from headrace.exceptions import ConfigurationError, HeadraceError, LedgerError
from headrace.ledger.database import Ledger
from headrace.settings import load_settings

PAUSE_SECONDS = 10
GRACE_SECONDS = 3

log = logging.getLogger("headrace.notifier")


def heal_deployments(ledger: Ledger) -> list[str]:
    """Tell model servers what the ledger says, where the process that decided it was killed before it told them.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    from headrace.registry.reconcile import reconcile

    try:
        return reconcile(ledger, load_settings())
    except LedgerError:
        raise
    except HeadraceError as error:
        return [f"deployments could not be looked after: {error.message}"]


class Stop:
    """Whether SIGTERM, SIGINT or SIGHUP has come.

    A flag, and not an exception: that would break off whatever the ledger's connection is in the middle of.
    """

    def __init__(self) -> None:
        self.asked = False
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._ask)

    def _ask(self, _signum: int, _frame: object) -> None:
        self.asked = True

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until it is asked for."""
        deadline = time.monotonic() + seconds
        while not self.asked and time.monotonic() < deadline:
            time.sleep(0.2)


def main(arguments: list[str] | None = None) -> int:
    """Run the notifier until it is told to stop; with ``--once``, until nothing is due."""
    parser = argparse.ArgumentParser(prog="python -m headrace.airflow.notifier", description=__doc__)
    parser.add_argument("--once", action="store_true", help="deliver what is due, and end")
    parser.add_argument("--json", action="store_true", help="print each delivery as a line of JSON")
    parser.add_argument("--check", action="store_true", help="only check the routes' file")
    parser.add_argument("--test", metavar="ROUTE", help="only send an example by one route")
    options = parser.parse_args(arguments)
    set_up_logging()
    out = reserve_stdout()
    try:
        use_server_connections()
        if options.check or options.test:
            from headrace.airflow.notifier_checks import print_check, send_example

            file, base_url = load_settings().notifications_file, read_base_url()
            return print_check(file, out) if options.check else send_example(file, options.test, base_url, out)
        return run(once=options.once, tell=partial(_print, out) if options.json else lambda delivered: None)
    except HeadraceError as error:
        log.error("%s", error.message)
        return 3 if isinstance(error, ConfigurationError) else 1


def run(
    *,
    once: bool,
    tell: Callable[[Delivered], None],
    clock: Callable[[], datetime] = utc_now,
    routes_file: Path | None = None,
) -> int:
    """Open the ledger and work on it; waits for a ledger that is down, except for ``once``."""
    stop, failed = Stop(), 0

    def note(delivered: Delivered) -> None:
        nonlocal failed
        failed += bool(delivered.error)
        tell(delivered)

    ledger = open_ledger_patiently(once, stop)
    if ledger is None:
        return 0
    loop = NotifierLoop(
        ledger,
        routes_file or load_settings().notifications_file,
        read_base_url(),
        f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        clock=clock,
        tell=note,
        heal=heal_deployments,
    )
    try:
        work(loop, once, stop)
    finally:
        loop.stop(GRACE_SECONDS)
    return 1 if once and failed else 0


def work(loop: NotifierLoop, once: bool, stop: Stop) -> None:
    """Step and wait, until it is told to stop or, for ``once``, until nothing is due."""
    while not stop.asked:
        try:
            busy = loop.step()
        except LedgerError as error:
            if once:
                raise
            log.error("%s", error.message)
            stop.pause(PAUSE_SECONDS)
            continue
        if once and not busy and loop.is_idle:
            return
        if not busy:
            loop.wait()


def open_ledger_patiently(once: bool, stop: Stop) -> Ledger | None:
    """Open the ledger; one that is down is waited for, except for ``once``. None where it is told to stop."""
    from headrace.airflow.ledger import open_task_ledger

    while not stop.asked:
        try:
            return open_task_ledger()
        except LedgerError as error:
            if once or not error.retryable:
                raise
            log.error("%s", error.message)
            stop.pause(PAUSE_SECONDS)
    return None


def use_server_connections() -> None:
    """Let connections be found as Airflow's own servers find them: environment, secrets backend, metadata database.

    Outside a task Airflow's SDK looks into the environment and a secrets backend only, unless it is told that this
    is a server; ``airflow connections`` does the same.
    """
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"


def read_base_url() -> str:
    """Return where people open Airflow's UI."""
    from airflow.configuration import conf

    return conf.get("api", "base_url", fallback="") or "http://localhost:8080"


def set_up_logging() -> None:
    """Log to standard error; Airflow sets up its own loggers when it is imported."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def reserve_stdout() -> TextIO:
    """Return standard output, for our answers only: what else is printed, by Airflow's loggers or by a notifier, goes
    to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _print(out: TextIO, delivered: Delivered) -> None:
    out.write(json.dumps(asdict(delivered)) + "\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
