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

from model_book import MODEL, register

from headrace.exceptions import PromotionRefusedError
from headrace.ledger import models
from headrace.ledger.database import open_ledger
from headrace.registry import deploy
from headrace.registry import register as registering
from headrace.settings import load_settings

MODULES: list[Any] = [registering, deploy, models]


def die(name: str) -> None:
    """Die after the first call of a function; of one that is named ``before:<name>``, before it."""
    before, _, name = name.rpartition(":")

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def dying(*arguments: Any, **more: Any) -> Any:
            if not before:
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
    if spec.get("die"):
        die(spec["die"])
    gate = Path(spec["gate"]) if "gate" in spec else None
    print("ready", flush=True)  # noqa: T201
    while gate is not None and not gate.exists():  # so that all begin at once
        time.sleep(0.001)
    with open_ledger(spec["url"]) as ledger:
        if spec["do"] == "register":
            register(ledger, settings, 1)
        elif spec["do"] == "promote":
            expected = spec.get("expected", "any")
            try:
                deploy.promote(ledger, settings, MODEL, spec["number"], "anna", "better", expected_champion=expected)
            except PromotionRefusedError as error:
                print(f"refused: {error}")  # noqa: T201
                return
        elif spec["do"] == "rollback":
            deploy.rollback(ledger, settings, MODEL, "anna", "it is wrong")
    print("done")  # noqa: T201
    if spec.get("die_at_end"):
        os.kill(os.getpid(), signal.SIGKILL)


main()
