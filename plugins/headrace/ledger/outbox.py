"""The outbox: what people are to be told, written with the event that it tells of; orchestration interpreter."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from headrace.ledger.schema import notification
from headrace.quality.incidents import Change


def enqueue_all(
    connection: Connection,
    entries: list[tuple[int, int, Change | str, Mapping[str, Any]]],
    *,
    now: datetime | None = None,
) -> None:
    """Put notifications in the outbox with one statement, in the transaction of the events that they tell of.

    They are not routed yet (``route`` is None): the notifier does that.

    Args:
        connection: A write transaction of the ledger.
        entries: Incident, event of its timeline, change, and payload: see
            :func:`headrace.ledger.incidents.build_payload`; JSON-safe.
        now: The time; by default the clock's.
    """
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
