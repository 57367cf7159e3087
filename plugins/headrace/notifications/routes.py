"""Routes: which changes of which incidents go to which notifier; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from headrace.notifications.quiet_hours import QuietHours

CHANGES = ("opened", "escalated", "reopened", "resolved")
SEVERITIES = ("critical", "warning", "info")
USUAL_TIMEOUT_SECONDS = 60
LONGEST_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class When:
    """Which notifications a route wants; an empty condition is none.

    Attributes:
        severity, change: Exact words.
        owner, tier, dataset: Globs, of which one must match; ``""`` matches an incident without owner or tier.
    """

    severity: tuple[str, ...] = ()
    change: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    tier: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()

    def matches(self, incident: Mapping[str, Any]) -> bool:
        """Return whether an incident is of the kind that the route wants, whatever has changed."""
        globs = {"owner": self.owner, "tier": self.tier, "dataset": self.dataset}
        return (not self.severity or incident.get("severity") in self.severity) and all(
            not patterns or any(fnmatchcase(str(incident.get(name) or ""), pattern) for pattern in patterns)
            for name, patterns in globs.items()
        )

    def wants(self, change: str) -> bool:
        return not self.change or change in self.change


@dataclass(frozen=True)
class Route:
    """One entry of the routes' file.

    Attributes:
        name: What its notifications are kept under in the ledger.
        notifier: Import path of a class derived from Airflow's ``BaseNotifier``.
        arguments: What the class is made with; its template fields are rendered for each notification.
        timeout: Seconds after which a delivery is given up and tried again later.
    """

    name: str
    notifier: str
    when: When = When()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    quiet_hours: QuietHours | None = None
    timeout: float = USUAL_TIMEOUT_SECONDS


@dataclass(frozen=True)
class BrokenRoute:
    """An entry that has a name and is not right: what is meant for it waits until it is mended."""

    name: str
    problem: str


@dataclass(frozen=True)
class Routes:
    """What a routes' file says.

    Attributes:
        problems: What is wrong with the file, one sentence each, for people.
        held: Nothing may be routed: of some entry not even the name is known, or of the file nothing.
    """

    routes: Mapping[str, Route | BrokenRoute] = field(default_factory=dict)
    problems: Sequence[str] = ()
    held: bool = False


def choose_routes(routes: Routes, incident: Mapping[str, Any], change: str, told: Mapping[str, str]) -> list[str]:
    """Choose who is told of a change; returns names of routes.

    Args:
        told: The last change of this incident that each route was told of.

    Returns:
        Every route that matches. A resolution goes to the routes that were told of the incident, even where it no
        longer matches their conditions, and not to others, except to those that want nothing but resolutions. A
        broken route gets everything: what of it is wanted is decided when it is mended.
    """
    return [
        name
        for name, route in routes.routes.items()
        if isinstance(route, BrokenRoute) or route_wants(route, incident, change, told.get(name))
    ]


def route_wants(route: Route, incident: Mapping[str, Any], change: str, told: str | None) -> bool:
    """Return whether one route is to be told; see ``choose_routes``."""
    if not route.when.wants(change):
        return False
    if change == "resolved" and route.when.change != ("resolved",):
        return told is not None and told != "resolved"
    return route.when.matches(incident)
