"""The lines of an incident's timeline, in words; pure; orchestration interpreter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

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
    "snooze_ended": "ended the snooze",
    "commented": "commented",
    "comment": "commented",
    "waived": "waived it",
    "released": "released its rows",
    "flapping": "found it flapping: it is told again when it settles",
    "grouped": "found it to follow from another incident",
    "promoted": "found it to stand on its own",
}
_GOOD = {"resolved", "passed", "released"}
_BAD = {"opened", "reopened", "escalated", "failed", "quarantined", "flapping"}
_QUOTES = ("reason", "comment", "text", "note")


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
    elif isinstance(detail.get("partition_keys"), list) and detail["partition_keys"]:
        keys = [show_partition(str(key)) for key in detail["partition_keys"]]
        words.append(f"on {', '.join(keys[:5])}{f' and {len(keys) - 5} more' if len(keys) > 5 else ''}")
    if event.kind == "assigned":
        words.append(f"to {detail['assignee']}" if detail.get("assignee") else "to nobody")
    if detail.get("until"):
        words.append(f"until {_show_until(str(detail['until']))}")
    if detail.get("resolution"):
        words.append(f"({str(detail['resolution']).replace('manual', 'by hand')})")
    if detail.get("severity"):
        words.append(f"({detail['severity']})")
    if detail.get("caused_by"):
        words.append(f"(#{detail['caused_by']})")
    quote = next((str(detail[name]) for name in _QUOTES if detail.get(name)), None)
    who = "Headrace" if event.actor == SYSTEM else event.actor
    tone = "good" if event.kind in _GOOD else "bad" if event.kind in _BAD else ""
    if event.actor != SYSTEM and tone != "good":
        tone = "person"
    return Line(event.at, who, " ".join(words), quote, tone)


def _show_until(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
