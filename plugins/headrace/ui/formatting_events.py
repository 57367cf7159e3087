"""The lines of an incident's timeline, in words; pure; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.ledger.views import EventRow
from headrace.ui.formatting import show_partition

SYSTEM = "headrace"
_WORDS = {
    "opened": "opened it",
    "escalated": "raised its severity",
    "reopened": "opened it again",
    "resolved": "resolved it",
    "failed": "found it failing",
    "passed": "found it passing",
    "quarantined": "set its rows aside",
    "acknowledged": "acknowledged it",
    "assigned": "assigned it",
    "unassigned": "took it from its assignee",
    "snoozed": "snoozed it",
    "unsnoozed": "ended the snooze",
    "snooze_ended": "opened it again: the snooze has run out",
    "commented": "commented",
    "comment": "commented",
    "rerun_requested": "had what was decided run again",
    "cleared": "cleared what must run again",
    "waived": "waived it",
    "released": "found its rows released",
    "rows_released": "put rows back",
    "superseded": "found quarantined rows superseded by a new landing",
    "waiver_ended": "ended the waiver",
    "withdrawn": "took a failure back",
    "retired": "forgot it: the check is made no more",
    "flapping": "found it flapping: it is told again when it settles",
    "grouped": "found it to follow from",
    "promoted": "found it to stand on its own",
}
_GOOD = {"resolved", "passed", "released"}
_BAD = {"opened", "reopened", "escalated", "failed", "quarantined", "flapping"}
_QUOTES = ("reason", "comment", "text", "why")


@dataclass(frozen=True)
class Line:
    """One line; ``quote`` is what a person wrote, ``tone`` is ``good``, ``bad``, ``person`` or empty."""

    at: datetime
    who: str
    text: str
    quote: str | None
    tone: str


def describe_timeline(events: Sequence[EventRow]) -> list[Line]:
    """Put events into words, the newest first."""
    return [describe_event(event) for event in reversed(events)]


def describe_event(event: EventRow) -> Line:
    """Put one event into words: who, what, on which partition, and what was written with it.

    A kind that is not known here, for example a newer one's, is written as it is.
    """
    words = [_WORDS.get(event.kind, event.kind.replace("_", " "))]
    detail = dict(event.detail)
    if event.partition_key is not None:
        words.append(f"on {show_partition(event.partition_key)}")
    elif _list_partitions(detail):
        keys = _list_partitions(detail)
        words.append(f"on {', '.join(keys[:5])}{f' and {len(keys) - 5} more' if len(keys) > 5 else ''}")
    if event.kind == "assigned":
        words.append(f"to {detail['assignee']}" if detail.get("assignee") else "to nobody")
    if detail.get("until"):
        words.append(f"until {_show_until(str(detail['until']))}")
    if detail.get("resolution"):
        words.append(f"({str(detail['resolution']).replace('manual', 'by hand')})")
    if detail.get("severity"):
        words.append(f"({detail['severity']})")
    if event.kind == "grouped" and detail.get("after"):
        words.append(f"#{detail['after']}")
    quote = next((str(detail[name]) for name in _QUOTES if detail.get(name)), None)
    who = "Headrace" if event.actor == SYSTEM else event.actor
    tone = "good" if event.kind in _GOOD else "bad" if event.kind in _BAD else ""
    if event.actor != SYSTEM and tone != "good":
        tone = "person"
    return Line(event.at, who, " ".join(words), quote, tone)


def _list_partitions(detail: Mapping[str, Any]) -> list[str]:
    found = detail.get("partition_keys") or detail.get("partitions")
    return [show_partition(str(key)) for key in found] if isinstance(found, list) else []


def _show_until(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
