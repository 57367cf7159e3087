"""Checking the routes' file against the notifiers that are installed, and sending an example; orchestration."""

import json
from pathlib import Path
from typing import Any, TextIO

from headrace.airflow.delivery import build_notifier
from headrace.airflow.delivery_process import DeliveryProcess
from headrace.exceptions import ConfigurationError
from headrace.notifications.content import build_context
from headrace.notifications.parse_routes import load_routes
from headrace.notifications.routes import BrokenRoute, Route

EXAMPLE: dict[str, Any] = {
    "title": "This is a test of a route: nothing is wrong",
    "severity": "info",
    "state": "open",
    "dataset": "example",
    "check": "headrace notifications test",
    "column": None,
    "partition_keys": ["2013-02"],
    "owner": "",
    "tier": "",
    "runbook": "",
    "flapping": False,
}


def check_routes(path: Path) -> list[str]:
    """Return what is wrong with a routes' file, one sentence each: its keys, its notifiers and their arguments."""
    routes = load_routes(path)
    problems = list(routes.problems)
    for route in routes.routes.values():
        if isinstance(route, Route):
            try:
                build_notifier(route)
            except ConfigurationError as error:
                problems.append(f"{path}: {error.message}")
    return problems


def print_check(path: Path, out: TextIO) -> int:
    """Print the routes and their problems as one JSON document; returns the exit code."""
    problems = check_routes(path)
    routes = [
        {"name": name, "notifier": None if isinstance(route, BrokenRoute) else route.notifier}
        for name, route in load_routes(path).routes.items()
    ]
    _say(out, {"file": str(path), "exists": path.is_file(), "routes": routes, "problems": problems})
    return 1 if problems else 0


def send_example(path: Path, name: str, base_url: str, out: TextIO) -> int:
    """Send an example by one route, whatever it wants and whatever the hour.

    Raises:
        ConfigurationError: There is no such route, it is broken, or it did not deliver.
    """
    routes = load_routes(path)
    route = routes.routes.get(name)
    if not isinstance(route, Route):
        known = ", ".join(routes.routes) or "none"
        raise ConfigurationError(route.problem if route else f"{path}: there is no route {name!r}; known are {known}")
    context = build_context(EXAMPLE, incident_id=0, notification_id=0, change="opened", base_url=base_url)
    process = DeliveryProcess(route, context)
    while (answer := process.poll()) is None:
        process.waitable.poll(0.2)
    if answer:
        raise ConfigurationError(f"{path}: route {name} did not deliver: {answer}")
    _say(out, {"route": name, "delivered": True})
    return 0


def _say(out: TextIO, document: dict[str, Any]) -> None:
    out.write(json.dumps(document) + "\n")
    out.flush()
