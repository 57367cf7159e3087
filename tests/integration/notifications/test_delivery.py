"""Notifications through Airflow's own notifiers to a real mail server and a real web server."""

import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.ledger.outbox_list import list_notifications, retry_notifications
from headrace.ledger.queries import load_overview
from headrace.notifications.backoff import MOST_ATTEMPTS

from .conftest import Clock, Desk, Hooks, Mails, hook_route, mail_route


def count_waiting(desk: Desk) -> dict[str, int]:
    """Count what is not delivered, by state."""
    return dict(Counter(each.state for each in list_notifications(desk.ledger, datetime.now(UTC))))


def test_an_opened_incident_is_mailed(desk: Desk, mails: Mails) -> None:
    desk.write_routes(mail_route())
    incident = desk.open_incident("2013-02 raw_weather: 1 of 2,010 rows has wind_speed above 200 mph", owner="anna")
    desk.enqueue(incident, "opened")
    desk.drain()
    (mail,) = mails.received
    assert mail["Subject"] == "[critical] opened: 2013-02 raw_weather: 1 of 2,010 rows has wind_speed above 200 mph"
    assert mail["To"] == "on-call@example.com"
    assert mail["From"] == "headrace@example.com"
    assert mail["References"] == f"<headrace-incident-{incident}@airflow.example>"
    html = mail.get_body(("html",)).get_content()
    assert f"http://airflow.example:8080/headrace/incidents/{incident}" in html
    assert "anna" in html
    assert desk.rows("state", "attempts") == [("delivered", 1)]


def test_what_comes_from_data_is_neither_markup_nor_a_header(desk: Desk, mails: Mails) -> None:
    desk.write_routes(
        mail_route(),
        mail_route("own", arguments={
            "smtp_conn_id": "mail", "to": "a@example.com", "subject": "{{ incident.title }}",
            "html_content": "<p>{{ incident.title }}</p>",
        }),
    )  # fmt: skip
    title = "<img src=x onerror=alert(1)>\r\nBcc: thief@example.com\u2028X-Evil: 1\x1f Zürich 😀"
    desk.enqueue(desk.open_incident(title), "opened")
    desk.drain()
    assert len(mails.received) == 2
    for mail in mails.received:
        html = mail.get_body(("html",)).get_content()
        assert "<img" not in html
        assert "&lt;img src=x onerror=alert(1)&gt;" in html
        assert mail["Bcc"] is None
        assert mail["X-Evil"] is None
        assert "Bcc: thief@example.com X-Evil: 1 Zürich 😀" in mail["Subject"]


def test_a_webhook_gets_everything_with_its_idempotency_key(desk: Desk, hooks: Hooks) -> None:
    desk.write_routes(hook_route())
    incident = desk.open_incident(severity="warning", tier="gold")
    desk.enqueue(incident, "opened")
    desk.drain()
    ((path, headers, document),) = hooks.received
    (row_id,) = desk.rows("id")
    assert path == "/alerts"
    assert headers["Idempotency-Key"] == f"headrace-notification-{row_id}" == document["idempotency_key"]
    assert document["dedup_key"] == f"headrace-incident-{incident}"
    assert document["incident"]["severity"] == "warning"
    assert document["incident"]["occurrences"] == 1  # a number, where a template would have made a text of it
    assert document["incident"]["partitions"] == ["2013-02"]


def test_a_fields_own_name_in_a_template_is_the_incidents_word(desk: Desk, hooks: Hooks) -> None:
    """Airflow puts a notifier's fields into the context, under names such as ``dedup_key`` or ``json``."""
    desk.write_routes(hook_route(arguments={
        "http_conn_id": "hook", "endpoint": "{{ change }}", "headers": {"idempotency-key": "mine"},
        "json": {"key": "{{ dedup_key }}", "change": "{{ change }}", "incident": {"id": "{{ incident.id }}"}},
    }))  # fmt: skip
    incident = desk.open_incident()
    desk.enqueue(incident, "opened")
    desk.drain()
    ((path, headers, document),) = hooks.received
    assert path == "/opened"
    assert document == {
        "key": f"headrace-incident-{incident}",
        "change": "opened",
        "incident": {"id": str(incident)},
    }
    assert [value for name, value in headers.items() if name.lower() == "idempotency-key"] == ["mine"]


def test_only_routes_that_match_are_told(desk: Desk, hooks: Hooks) -> None:
    desk.write_routes(
        hook_route("anna", "anna", when={"owner": ["anna*"], "severity": ["critical"]}),
        hook_route("bob", "bob", when={"owner": ["bob"]}),
        hook_route("nobody", "nobody", when={"owner": [""]}),
    )
    desk.enqueue(desk.open_incident(owner="anna@example.com"), "opened")
    desk.enqueue(desk.open_incident(), "opened")
    desk.enqueue(desk.open_incident(owner="anna@example.com", severity="warning"), "opened")
    desk.drain()
    assert sorted(path for path, _, _ in hooks.received) == ["/anna", "/nobody"]


def test_a_resolution_follows_the_opening_even_where_it_no_longer_matches(desk: Desk, hooks: Hooks) -> None:
    from headrace.contracts.check_result import Severity

    desk.write_routes(
        hook_route("critical", "critical", when={"severity": ["critical"]}),
        hook_route("warning", "warning", when={"severity": ["warning"]}),
        hook_route("ends", "ends", when={"change": ["resolved"]}),
    )
    incident = desk.open_incident()
    desk.enqueue(incident, "opened")
    desk.enqueue(incident, "resolved", severity=Severity.WARNING)
    desk.enqueue(incident, "resolved", severity=Severity.WARNING)
    desk.drain()
    told = [(path, document["change"]) for path, _, document in hooks.received]
    assert [change for path, change in told if path == "/critical"] == ["opened", "resolved"]
    assert [change for path, change in told if path == "/ends"] == ["resolved", "resolved"]
    assert "/warning" not in dict(told)


def test_without_routes_nothing_is_kept_for_a_route_that_comes_later(desk: Desk, hooks: Hooks) -> None:
    desk.enqueue(desk.open_incident(), "opened")
    loop = desk.drain()
    desk.write_routes(hook_route())
    second = desk.open_incident()
    desk.enqueue(second, "opened")
    desk.drain(loop)
    assert hooks.changes == [(second, "opened")]
    assert count_waiting(desk) == {}


def test_a_server_that_is_down_is_tried_again_until_it_is_up(desk: Desk, mails: Mails, clock: Clock) -> None:
    desk.write_routes(mail_route())
    mails.stop()
    desk.enqueue(desk.open_incident(), "opened")
    loop = desk.drain()
    waits = []
    for _ in range(3):
        ((state, due_at, error),) = desk.rows("state", "due_at", "last_error")
        assert state == "pending"
        assert "refused" in error
        waits.append((due_at - clock.now).total_seconds())
        clock.forward(seconds=waits[-1] - 0.01)
        assert not loop.step()
        clock.forward(seconds=0.02)
        desk.drain(loop)
    assert 4 <= waits[0] <= 5
    assert 8 <= waits[1] <= 10
    assert 16 <= waits[2] <= 20
    mails.start()
    clock.forward(minutes=5)
    desk.drain(loop)
    assert len(mails.received) == 1
    assert [delivered.attempts for delivered in desk.told] == [1, 2, 3, 4, 5]
    clock.forward(days=1)
    desk.drain(loop)
    assert len(mails.received) == 1


def test_what_fails_for_three_days_is_given_up_and_can_be_tried_again(desk: Desk, hooks: Hooks, clock: Clock) -> None:
    from sqlalchemy import update

    from headrace.ledger.schema import notification

    desk.write_routes(hook_route())
    hooks.status = 503
    incident = desk.open_incident()
    desk.enqueue(incident, "opened")
    loop = desk.drain()
    with desk.ledger.begin() as connection:
        connection.execute(update(notification).values(attempts=MOST_ATTEMPTS - 1))
    clock.forward(hours=1)
    desk.drain(loop)
    assert desk.told[-1].dead
    (row,) = list_notifications(desk.ledger, clock.now, states=["dead"])
    assert "503" in str(row.last_error)
    assert count_waiting(desk) == {"dead": 1}
    health = load_overview(desk.ledger, now=clock.now)
    assert (health.outbox_waiting, health.outbox_dead) == (0, 1)
    hooks.status = 200
    assert retry_notifications(desk.ledger, clock.now) == [row.id]
    desk.drain(loop)
    assert hooks.changes[-1] == (incident, "opened")


def test_what_was_given_up_is_not_sent_after_what_followed_it(desk: Desk, hooks: Hooks, clock: Clock) -> None:
    from sqlalchemy import update

    from headrace.ledger.schema import notification

    desk.write_routes(hook_route())
    incident = desk.open_incident()
    desk.enqueue(incident, "opened")
    loop = desk.drain()
    desk.enqueue(incident, "escalated")
    desk.drain(loop)
    with desk.ledger.begin() as connection:
        opened = notification.c.change == "opened"
        connection.execute(update(notification).where(opened & notification.c.route.is_not(None)).values(state="dead"))
    assert retry_notifications(desk.ledger, clock.now) == []


def test_a_resolution_waits_for_the_opening(desk: Desk, hooks: Hooks, clock: Clock) -> None:
    desk.write_routes(hook_route())
    hooks.status = 500
    incident, other = desk.open_incident(), desk.open_incident()
    desk.enqueue(incident, "opened")
    loop = desk.drain()
    hooks.status, hooks.received = 200, []
    desk.enqueue(incident, "resolved")
    desk.enqueue(other, "opened")
    desk.drain(loop)
    assert hooks.changes == [(other, "opened")]  # only the incident itself waits
    clock.forward(minutes=1)
    desk.drain(loop)
    assert hooks.changes[1:] == [(incident, "opened"), (incident, "resolved")]


def test_a_route_that_hangs_or_dies_holds_up_no_other(desk: Desk, hooks: Hooks, tmp_path: Path) -> None:
    hooks.hang = threading.Event()
    desk.write_routes(
        hook_route("hangs", "hangs", timeout=8),
        mail_route("misses", arguments={"smtp_conn_id": "nowhere", "to": "a@example.com"}),
        mail_route("no-class", notifier="airflow.providers.nobody.Notifier"),
        mail_route("no-notifier", notifier="json.dumps"),
        mail_route("wrong-arguments", arguments={"to": "a@example.com", "colour": "red"}),
        hook_route("template", arguments={"http_conn_id": "hook", "endpoint": "{{ incident.title.nothing.at.all }}"}),
        hook_route("good", "good"),
    )
    for _ in range(3):
        desk.enqueue(desk.open_incident(), "opened")
    loop = desk.drain(until=lambda: len(hooks.received) == 3)
    assert len(desk.rows("id", delivered_to="good")) == 3
    assert "hangs" not in {told.route for told in desk.told}  # eight seconds are not over
    desk.drain(loop, until=lambda: any(told.route == "hangs" for told in desk.told))
    errors = {told.route: told.error for told in desk.told}
    assert "not done after 8 s" in errors["hangs"]
    assert "not found" in errors["misses"]
    assert "cannot be imported" in errors["no-class"]
    assert "not a class of notifiers" in errors["no-notifier"]
    assert "colour" in errors["wrong-arguments"]
    assert "nothing" in errors["template"]
    assert errors["good"] == ""
    assert {path for path, _, _ in hooks.received} == {"/good"}
    loop.stop(0)
    assert loop.is_idle


@pytest.mark.parametrize("broken", [{"when": {"owner": ["[a"]}}, {"colour": "red"}, {"timeout": "long"}])
def test_a_broken_route_loses_nothing_once_it_is_mended(desk: Desk, hooks: Hooks, broken: dict[str, Any]) -> None:
    wanted = {"owner": ["anna"]}
    desk.write_routes(hook_route("good", "good"), hook_route("mended", "mended", **{"when": wanted, **broken}))
    mine, others = desk.open_incident(owner="anna"), desk.open_incident(owner="bob")
    desk.enqueue(mine, "opened")
    desk.enqueue(others, "opened")
    desk.enqueue(mine, "resolved")
    desk.enqueue(others, "resolved")
    loop = desk.drain()
    assert {path for path, _, _ in hooks.received} == {"/good"}
    assert count_waiting(desk) == {"held": 4}
    desk.write_routes(hook_route("good", "good"), hook_route("mended", "mended", when=wanted))
    desk.drain(loop)
    told = [
        (document["incident"]["id"], document["change"]) for path, _, document in hooks.received if path == "/mended"
    ]
    assert told == [(mine, "opened"), (mine, "resolved")]
    assert count_waiting(desk) == {}


@pytest.mark.parametrize("text", ["", "routes: [", "routes: [{notifier: a.B}]", "routes:\n- name: a\n  name: b\n"])
def test_a_file_that_cannot_be_read_holds_everything(desk: Desk, hooks: Hooks, text: str) -> None:
    desk.file.write_text(text)
    incident = desk.open_incident()
    desk.enqueue(incident, "opened")
    loop = desk.drain()
    assert loop.routes.problems
    assert desk.rows("id") == []
    desk.write_routes(hook_route())
    desk.drain(loop)
    assert hooks.changes == [(incident, "opened")]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_file_that_is_gone_holds_everything_until_it_is_back(desk: Desk, hooks: Hooks, restarted: bool) -> None:
    desk.write_routes(hook_route())
    loop = desk.drain()
    desk.file.unlink()
    incident = desk.open_incident()
    desk.enqueue(incident, "opened")
    loop = desk.drain(None if restarted else loop)
    assert count_waiting(desk) == {"pending": 1}
    assert ["was there and is gone" in problem for problem in loop.routes.problems] == [True]
    desk.write_routes(hook_route())
    desk.drain(loop)
    assert hooks.changes == [(incident, "opened")]


def test_a_file_without_routes_says_that_nobody_is_told(desk: Desk, hooks: Hooks) -> None:
    desk.write_routes(hook_route())
    loop = desk.drain()
    desk.write_routes()
    desk.enqueue(desk.open_incident(), "opened")
    desk.drain(loop)
    assert count_waiting(desk) == {}
    desk.write_routes(hook_route())
    desk.drain(loop)
    assert hooks.received == []


def test_a_mended_route_is_tried_at_once(desk: Desk, hooks: Hooks) -> None:
    desk.write_routes(hook_route(arguments={"http_conn_id": "nowhere"}))
    incident = desk.open_incident()
    desk.enqueue(incident, "opened")
    loop = desk.drain()
    assert hooks.received == []
    desk.write_routes(hook_route())
    desk.drain(loop)
    assert hooks.changes == [(incident, "opened")]
