"""Reading the routes' file strictly: every key is known, every value is checked; pure but for ``load_routes``."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from headrace.notifications.quiet_hours import DAYS, QuietHours
from headrace.notifications.routes import (
    CHANGES,
    LONGEST_TIMEOUT_SECONDS,
    SEVERITIES,
    USUAL_TIMEOUT_SECONDS,
    BrokenRoute,
    Route,
    Routes,
    When,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_ROUTE_KEYS = ("name", "when", "notifier", "arguments", "quiet_hours", "timeout")
_QUIET_KEYS = ("from", "to", "time_zone", "days", "except")


class _WrongValueError(Exception):
    """A value that is not right: ``where`` is the key, ``what`` a sentence's rest."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}" if where else what)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently take the last."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if not isinstance(key, str):
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is not text", problem_mark=node.start_mark)
        if keys.count(key) > 1:
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=node.start_mark)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def load_routes(path: Path, *, was_there: bool = False) -> Routes:
    """Load the routes' file.

    A file that was never there holds no routes, and is no problem. One that was there and is gone may be on its way
    back: nothing is routed until it is.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Routes(problems=[describe_lost_file(path)], held=True) if was_there else Routes()
    except (OSError, UnicodeDecodeError) as error:
        return Routes(problems=[f"{path}: cannot be read: {error}"], held=True)
    return parse_routes(text, str(path))


def describe_lost_file(path: Path) -> str:
    return (
        f"{path}: was there and is gone: notifications are held until it is back; a file that holds 'routes: []' says "
        "that nobody is to be told"
    )


def parse_routes(text: str, file: str) -> Routes:
    """Parse a routes' file; what is wrong is told by file, route and key, and never raised."""
    try:
        # A SafeLoader; the rule knows only the library's own.
        document = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        return Routes(problems=[f"{file}: is not YAML: {' '.join(str(error).split())}"], held=True)
    if not isinstance(document, dict) or set(document) != {"routes"} or not isinstance(document["routes"], list):
        problem = f"{file}: must hold one key, 'routes', with a list of routes ('routes: []' for none)"
        return Routes(problems=[problem], held=True)
    routes: dict[str, Route | BrokenRoute] = {}
    problems, held = [], False
    for number, entry in enumerate(document["routes"], 1):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.append(f"{file}: route {number}: name: must be 1 to 100 letters, digits, '.', '_' or '-'")
            held = True
        elif name in routes:
            problems.append(f"{file}: route {name}: name: stands twice")
            held = True
        else:
            try:
                routes[name] = _parse_route(name, entry)
            except _WrongValueError as wrong:
                problem = f"{file}: route {name}: {wrong}"
                problems.append(problem)
                routes[name] = BrokenRoute(name, problem)
    return Routes(routes, problems, held)


def _parse_route(name: str, entry: Mapping[str, Any]) -> Route:
    _refuse_unknown("", entry, _ROUTE_KEYS)
    notifier = entry.get("notifier")
    if not isinstance(notifier, str) or not _IMPORT_PATH.fullmatch(notifier):
        raise _WrongValueError(
            "notifier", "must be the import path of a notifier class, such as package.module.SmtpNotifier"
        )
    arguments = entry.get("arguments", {})
    if not isinstance(arguments, dict):
        raise _WrongValueError("arguments", "must be a mapping of the notifier's arguments")
    timeout = entry.get("timeout", USUAL_TIMEOUT_SECONDS)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 1 <= timeout <= LONGEST_TIMEOUT_SECONDS:
        raise _WrongValueError("timeout", f"{timeout!r} is not a number of seconds from 1 to {LONGEST_TIMEOUT_SECONDS}")
    quiet = entry.get("quiet_hours")
    return Route(
        name=name,
        notifier=notifier,
        when=_parse_when(entry.get("when", {})),
        arguments=arguments,
        quiet_hours=None if quiet is None else _parse_quiet_hours(quiet),
        timeout=timeout,
    )


def _parse_when(when: Any) -> When:
    readers: dict[str, Callable[[str, Any], tuple[str, ...]]] = {
        "severity": lambda where, value: _words(where, value, SEVERITIES),
        "change": lambda where, value: _words(where, value, CHANGES),
        "owner": _globs,
        "tier": _globs,
        "dataset": _globs,
    }
    if not isinstance(when, dict):
        raise _WrongValueError("when", "must be a mapping of conditions")
    _refuse_unknown("when", when, tuple(readers))
    return When(**{key: readers[key](f"when.{key}", value) for key, value in when.items()})


def _parse_quiet_hours(quiet: Any) -> QuietHours:
    if not isinstance(quiet, dict):
        raise _WrongValueError("quiet_hours", "must be a mapping with from, to and time_zone")
    _refuse_unknown("quiet_hours", quiet, _QUIET_KEYS)
    for key in ("from", "to", "time_zone"):
        if key not in quiet:
            raise _WrongValueError(f"quiet_hours.{key}", "is missing")
    zone = quiet["time_zone"]
    try:
        found = ZoneInfo(zone) if isinstance(zone, str) and zone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found = None
    if found is None:
        raise _WrongValueError("quiet_hours.time_zone", f"{zone!r} is not a time zone such as Europe/Zurich or UTC")
    days = _words("quiet_hours.days", quiet.get("days", list(DAYS)), DAYS)
    return QuietHours(
        start=_minutes("quiet_hours.from", quiet["from"]),
        end=_minutes("quiet_hours.to", quiet["to"]),
        zone=found,
        days=frozenset(DAYS.index(day) for day in days),
        exempt=frozenset(_words("quiet_hours.except", quiet.get("except", ["critical"]), SEVERITIES, empty=True)),
    )


def _minutes(where: str, value: Any) -> int:
    # YAML 1.1 reads an unquoted 22:00 as a number in base 60.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1440:
        return value
    if value == "24:00":
        return 1440
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise _WrongValueError(where, f"{value!r} is not a time of day such as '22:00'")
    return int(found[1]) * 60 + int(found[2])


def _words(where: str, value: Any, known: tuple[str, ...], empty: bool = False) -> tuple[str, ...]:
    words = _texts(where, value, empty)
    for word in words:
        if word not in known:
            raise _WrongValueError(where, f"{word!r} is none of {', '.join(known)}")
    return words


def _globs(where: str, value: Any) -> tuple[str, ...]:
    globs = _texts(where, value)
    for glob in globs:
        if re.search(r"\[(?!.[^\]]*\])", glob):
            raise _WrongValueError(where, f"{glob!r} is not a glob: its '[' has no ']'")
    return globs


def _texts(where: str, value: Any, empty: bool = False) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values) or not (values or empty):
        raise _WrongValueError(where, f"{value!r} is not a text or a list of texts")
    return tuple(values)


def _refuse_unknown(where: str, mapping: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in mapping:
        if key not in known:
            raise _WrongValueError(
                f"{where}.{key}" if where else key, f"is not known here; known are {', '.join(known)}"
            )
