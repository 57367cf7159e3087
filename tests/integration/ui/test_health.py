"""The line above the inbox: whether anybody is told of what is in it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.ledger.database import Ledger
from headrace.ledger.heartbeats import NOTIFIER, record_heartbeat


@pytest.mark.parametrize(
    ("detail", "said", "dot"),
    [
        ({"routes": 2, "problems": []}, "Notifications go out", ""),
        ({"routes": 0, "problems": []}, "Nobody is notified: no routes", "off"),
        ({"routes": 0, "problems": ["notifications.yaml: is not YAML"]}, "1 problem with the notifications", "bad"),
    ],
)
def test_notifications_go_out_only_where_somebody_is_told(
    browser: Callable[[str], TestClient], ledger: Ledger, detail: dict[str, Any], said: str, dot: str
) -> None:
    record_heartbeat(ledger, NOTIFIER, detail, datetime.now(UTC))
    page = browser("viewer").get("/headrace/incidents").text
    assert f'<i class="dot {dot}" aria-hidden="true"></i>{said}' in page
    assert ("Notifications go out" in page) is (dot == "")
    assert all(problem in page for problem in detail["problems"])
