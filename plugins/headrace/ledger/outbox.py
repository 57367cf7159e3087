"""The outbox: what people are to be told, written with the event that it tells of; orchestration interpreter."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from headrace.ledger.schema import notification
from headrace.quality.incidents import Change


def enqueue(
    connection: Connection,
    incident_id: int,
    event_id: int,
    change: Change | str,
    payload: Mapping[str, Any],
    *,
    now: datetime | None = None,
) -> None:
    """Put a notification in the outbox, in the transaction of the event that it tells of.

    It is not routed yet (``route`` is None): the notifier does that.

    Args:
        connection: A write transaction of the ledger.
        incident_id: The incident.
        event_id: The event of its timeline.
        change: Opened, escalated, reopened or resolved.
        payload: See :func:`headrace.ledger.incidents.build_payload`; JSON-safe.
    """
    enqueue_all(connection, [(incident_id, event_id, change, payload)], now=now)


def enqueue_all(
    connection: Connection,
    entries: list[tuple[int, int, Change | str, Mapping[str, Any]]],
    *,
    now: datetime | None = None,
) -> None:
    """Put several notifications in the outbox with one statement; each as :func:`enqueue` takes it."""
    now = now or datetime.now(UTC)
    rows = [
        {
            "incident_id": incident_id,
            "event_id": event_id,
            "change": Change(change).value,
            "route": None,
            "payload": dict(payload),
            "state": "pending",
            "attempts": 0,
            "due_at": now,
            "created_at": now,
        }
        for incident_id, event_id, change, payload in entries
    ]
    if rows:
        connection.execute(insert(notification), rows)
