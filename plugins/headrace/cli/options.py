"""What several command groups share: options, standard output for people or for machines."""

import json
import re
import sys
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output; progress goes to standard error.")
]
ProjectDir = Annotated[
    Path | None,
    typer.Option("--project-dir", help="The project's folder; by default the configured one, or the one you are in."),
]
Reason = Annotated[str, typer.Option(help="Why; it stays on the record with your name.")]
NoRerun = Annotated[bool, typer.Option("--no-rerun", help="Only record the decision; do not run anything again.")]

MOST_ID = 2**63 - 1
"""The largest id that a database can have."""

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def make_console(as_json: bool) -> Console:
    """Return where people read: standard error where standard output is for a machine."""
    return Console(stderr=as_json, width=None if sys.stdout.isatty() else 160)


def print_json(document: Any) -> None:
    """Print values, dataclasses and times as one JSON document."""
    print(json.dumps(document, indent=1, default=_to_json))


def parse_duration(text: str) -> timedelta:
    """Parse ``30m``, ``4h``, ``2d`` or ``1w``.

    Raises:
        typer.BadParameter: It is none of these, or not more than nothing.
    """
    match = re.fullmatch(r"(\d{1,4})([mhdw])", text.strip())
    if not match or int(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is not a time span: write 30m, 4h, 2d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 time; one without a zone is UTC.

    Raises:
        typer.BadParameter: It is no such time.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time: write 2026-11-24T09:00 or 2026-11-24T09:00+01:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def show_time(moment: datetime | None) -> str:
    """Show a time as people read it in a table: UTC, to the minute."""
    return "–" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"


def _to_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
