"""A notifier that kills itself with SIGKILL at one step: ``killed_notifier.py STEP SECONDS``.

STEP is one of STEPS, or ``never``; SECONDS is by how much its clock is ahead.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from headrace.airflow import notifier, notifier_loop
from headrace.ledger import outbox_routing


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def before(module: Any, name: str) -> Callable[[], None]:
    return lambda: setattr(module, name, die)


def after(module: Any, name: str) -> Callable[[], None]:
    original = getattr(module, name)

    def call_and_die(*arguments: Any, **options: Any) -> Any:
        original(*arguments, **options)
        die()

    return lambda: setattr(module, name, call_and_die)


STEPS = {
    "before routing": before(notifier_loop, "route_unrouted"),
    "in the routing's transaction": before(outbox_routing, "_wake"),
    "after routing": after(notifier_loop, "route_unrouted"),
    "before the lease": before(notifier_loop, "lease_due"),
    "after the lease": after(notifier_loop, "lease_due"),
    "while it is sent": after(notifier_loop, "DeliveryProcess"),
    "after it was sent, before the mark": before(notifier_loop, "mark_delivered"),
    "after the mark": after(notifier_loop, "mark_delivered"),
    "never": lambda: None,
}

if __name__ == "__main__":
    step, ahead = sys.argv[1], timedelta(seconds=float(sys.argv[2]))
    STEPS[step]()
    notifier.set_up_logging()
    notifier.use_server_connections()
    sys.exit(
        notifier.run(
            once=True,
            tell=lambda delivered: None,
            clock=lambda: notifier.utc_now() + ahead,
        )
    )
