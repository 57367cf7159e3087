"""What a notification says: the words that routes' templates may use, and what is said where a route says nothing."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TEMPLATES = Path(__file__).parent / "templates"
MAIL, SLACK, PAGERDUTY, WEBHOOK = "SmtpNotifier", "Slack", "PagerdutyNotifier", "HttpNotifier"

# Everything at which some program begins a new line, and what has no business in a line.
_BREAKS = re.compile(" *[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+ *")


def build_context(
    payload: Mapping[str, Any], *, incident_id: int, notification_id: int, change: str, base_url: str
) -> dict[str, Any]:
    """Build what templates are rendered with.

    Args:
        payload: See :func:`headrace.ledger.incidents.build_payload`.
        base_url: Of Airflow's UI.

    Returns:
        ``incident``, ``change``, ``dedup_key`` (the same for every change of one incident), ``idempotency_key`` (the
        same for every try of one notification) and ``message_host``, the right side of message ids. No text in it
        holds a line break or another control character, so that none can end a mail's header.
    """
    url = f"{base_url.rstrip('/')}/headrace/incidents/{incident_id}"
    incident = {
        **{name: value for name, value in payload.items() if name not in ("incident_id", "partition_keys")},
        "id": incident_id,
        "change": change,
        "url": url,
        # A dataset that was checked as a whole has one partition, without a name.
        "partitions": [key for key in payload.get("partition_keys", ()) if key],
    }
    return {
        "incident": put_on_one_line(incident),
        "change": change,
        "dedup_key": f"headrace-incident-{incident_id}",
        "idempotency_key": f"headrace-notification-{notification_id}",
        "message_host": urlsplit(base_url).hostname or "headrace",
    }


def put_on_one_line(value: Any) -> Any:
    """Replace line breaks and control characters by a space, in every text of a JSON value."""
    return _map_texts(value, lambda text: _BREAKS.sub(" ", text).strip())


def escape_for_slack(value: Any) -> Any:
    """Escape what Slack would read as a link, a mention or a channel, in every text of a JSON value."""
    return _map_texts(value, lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def build_default_arguments(ancestry: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Build the arguments of a known notifier: those that a route gives, and ours for what it leaves out.

    Args:
        ancestry: Names of the notifier's class and of the classes that it is derived from.
        given: The route's arguments.
    """
    arguments = dict(given)
    if MAIL in ancestry:
        arguments.setdefault("subject", _read("mail_subject.txt"))
        arguments.setdefault("html_content", _read("mail.html"))
        headers = {
            "Message-ID": "<{{ idempotency_key }}@{{ message_host }}>",
            "References": "<{{ dedup_key }}@{{ message_host }}>",
        }
        arguments["custom_headers"] = _merge_headers(headers, given.get("custom_headers"))
    elif WEBHOOK in ancestry:
        arguments["headers"] = _merge_headers({"Idempotency-Key": "{{ idempotency_key }}"}, given.get("headers"))
    elif PAGERDUTY in ancestry:
        for name, template in _PAGERDUTY_EVENT.items():
            arguments.setdefault(name, template)
    elif is_slack(ancestry) and "blocks" not in given:
        arguments.setdefault("text", _read("slack.txt"))
    return arguments


def is_slack(ancestry: Sequence[str]) -> bool:
    return any(name.startswith(SLACK) for name in ancestry)


def sends_whole_payload(ancestry: Sequence[str], given: Mapping[str, Any]) -> bool:
    """Return whether a webhook gets the whole context as JSON: where the route says no content of its own."""
    return WEBHOOK in ancestry and not {"json", "data"} & set(given)


def _merge_headers(ours: Mapping[str, str], given: Any) -> dict[str, Any]:
    given = given if isinstance(given, Mapping) else {}
    names = {str(name).lower() for name in given}
    return {**{name: value for name, value in ours.items() if name.lower() not in names}, **given}


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8").strip()


def _map_texts(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_map_texts(key, change): _map_texts(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(each, change) for each in value]
    return value


_PAGERDUTY_EVENT: dict[str, Any] = {
    "summary": "{{ incident.title | truncate(1000) }}",
    "severity": "{{ incident.severity }}",
    "source": "{{ incident.dataset }}",
    "action": "{{ 'resolve' if change == 'resolved' else 'trigger' }}",
    "dedup_key": "{{ dedup_key }}",
    "links": [{"href": "{{ incident.url }}", "text": "The incident in Headrace"}],
}
