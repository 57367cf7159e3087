"""Executed by the tests in a process of its own: act on the registry, and die of SIGKILL after a named step.

The steps are the product's own functions, wrapped here: the product knows nothing of it.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from model_book import register

from headrace.ledger.database import open_ledger
from headrace.registry import register as registering
from headrace.settings import load_settings

MODULES: list[Any] = [registering]


def die_after(name: str) -> None:
    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def dying(*arguments: Any, **more: Any) -> Any:
            function(*arguments, **more)
            os.kill(os.getpid(), signal.SIGKILL)

        return dying

    found = [module for module in MODULES if hasattr(module, name)]
    assert found, f"there is no step {name}"
    for module in found:
        setattr(module, name, wrap(getattr(module, name)))


def main() -> None:
    spec = json.loads(sys.argv[1])
    settings = load_settings(spec["project"])
    after = spec.get("stop_after")
    if after is not None and after != "registered":
        die_after(after)
    gate = Path(spec["gate"]) if "gate" in spec else None
    print("ready", flush=True)  # noqa: T201
    while gate is not None and not gate.exists():  # so that all begin at once
        time.sleep(0.001)
    with open_ledger(spec["url"]) as ledger:
        if spec["do"] == "register":
            register(ledger, settings, 1)
    if after == "registered":
        os.kill(os.getpid(), signal.SIGKILL)


main()
