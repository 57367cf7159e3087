"""Quiet hours, clocks that are put back, snoozes that run out."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from headrace.contracts.check_result import Severity
from headrace.ledger.schema import heartbeat, incident, incident_event
from headrace.ledger.snoozes import expire_snoozes

from .conftest import NOW, Clock, Desk, Hooks, hook_route

NIGHT = {"from": "22:00", "to": "07:00", "time_zone": "Europe/Zurich"}
EVENING = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)  # 23:30 in Zurich


def test_quiet_hours_delay_all_but_the_critical(desk: Desk, hooks: Hooks, clock: Clock) -> None:
    desk.write_routes(hook_route(quiet_hours=NIGHT))
    clock.now = EVENING
    warning, critical = desk.open_incident(severity="warning"), desk.open_incident()
    desk.enqueue(warning, "opened")
    desk.enqueue(critical, "opened")
    loop = desk.drain()
    assert hooks.changes == [(critical, "opened")]
    while clock.now < datetime(2026, 11, 25, 5, 50, tzinfo=UTC):
        desk.drain(loop)
        clock.forward(minutes=10)
    assert hooks.changes == [(critical, "opened")]
    clock.now = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)  # 07:00 in Zurich
    desk.drain(loop)
    assert hooks.changes == [(critical, "opened"), (warning, "opened")]
    assert desk.rows("attempts") == [1, 1]  # to wait is no try


def test_an_escalation_at_night_takes_the_opening_with_it(desk: Desk, hooks: Hooks, clock: Clock) -> None:
    desk.write_routes(hook_route(quiet_hours=NIGHT))
    clock.now = EVENING
    incident_id = desk.open_incident(severity="warning")
    desk.enqueue(incident_id, "opened")
    loop = desk.drain()
    assert hooks.received == []
    clock.forward(minutes=5)
    desk.enqueue(incident_id, "escalated", severity=Severity.CRITICAL)
    desk.drain(loop)
    assert hooks.changes == [(incident_id, "opened"), (incident_id, "escalated")]


def test_a_clock_that_is_put_back_delays_nothing_for_long(desk: Desk, hooks: Hooks, clock: Clock) -> None:
    desk.write_routes(hook_route())
    hooks.status = 500
    incident_id = desk.open_incident()
    desk.enqueue(incident_id, "opened")
    loop = desk.drain()
    hooks.status, hooks.received = 200, []
    clock.now = NOW - timedelta(days=2)
    second = desk.open_incident()
    desk.enqueue(second, "opened")
    desk.drain(loop)
    assert sorted(hooks.changes) == [(incident_id, "opened"), (second, "opened")]


def test_a_lease_of_a_clock_that_was_put_back_is_none(desk: Desk, hooks: Hooks, clock: Clock) -> None:
    from headrace.ledger.outbox_delivery import lease_due

    desk.write_routes(hook_route())
    incident_id = desk.open_incident()
    desk.enqueue(incident_id, "opened")
    loop = desk.make_loop("first")
    loop._load_routes()
    loop._route()

    def lease(owner: str) -> list[str]:
        found = lease_due(desk.ledger, owner, clock.now, lease=lambda _: timedelta(minutes=1), postpone=lambda *_: None)
        return [leased.lease_owner for leased in found]

    assert lease("first") == ["first"]
    assert lease("second") == []
    clock.forward(seconds=61)
    assert lease("third") == ["third"]
    clock.now = NOW - timedelta(days=2)
    assert lease("fourth") == ["fourth"]


def test_a_snooze_that_has_run_out_is_told(desk: Desk, hooks: Hooks, clock: Clock) -> None:
    desk.write_routes(hook_route())
    over = desk.open_incident(state="snoozed", snoozed_until=NOW - timedelta(minutes=1))
    later = desk.open_incident(state="snoozed", snoozed_until=NOW + timedelta(minutes=1))
    quiet = desk.open_incident(state="snoozed", snoozed_until=NOW, caused_by=over)
    desk.drain()
    assert hooks.changes == [(over, "reopened")]
    with desk.ledger.connect() as connection:
        states = {row.id: row.state for row in connection.execute(select(incident.c.id, incident.c.state))}
        kinds = list(connection.execute(select(incident_event.c.kind)).scalars())
    assert states == {over: "open", later: "snoozed", quiet: "open"}
    assert kinds == ["snooze_ended", "snooze_ended"]
    assert expire_snoozes(desk.ledger, clock.now) == []


def test_the_notifier_leaves_a_heartbeat(desk: Desk, clock: Clock) -> None:
    desk.file.write_text("routes: [{name: x, colour: red}]")
    desk.drain()
    with desk.ledger.connect() as connection:
        (row,) = connection.execute(select(heartbeat)).all()
    assert (row.component, row.at) == ("notifier", clock.now)
    assert "colour" in row.detail["problems"][0]
