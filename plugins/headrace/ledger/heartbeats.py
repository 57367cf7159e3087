"""Signs of life of what must be running; orchestration interpreter."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from headrace.ledger.database import Ledger
from headrace.ledger.schema import heartbeat

NOTIFIER = "notifier"


def record_heartbeat(ledger: Ledger, component: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Record that a component is alive; ``detail`` is JSON-safe and small."""
    values = {"at": now, "detail": dict(detail)}
    with ledger.begin() as connection:
        done = connection.execute(update(heartbeat).where(heartbeat.c.component == component).values(values))
        if not done.rowcount:
            connection.execute(insert(heartbeat).values(component=component, **values))


def load_heartbeat_detail(ledger: Ledger, component: str) -> Mapping[str, Any]:
    """Return what a component said with its last sign of life; empty where it never gave one."""
    with ledger.connect() as connection:
        detail = connection.execute(select(heartbeat.c.detail).where(heartbeat.c.component == component)).scalar()
    return dict(detail or {})
