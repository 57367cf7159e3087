"""The routes' file: what is taken, and how what is wrong is told."""

from pathlib import Path

import pytest

from headrace.notifications.parse_routes import load_routes, parse_routes
from headrace.notifications.routes import BrokenRoute, Route

WHOLE = """
routes:
- name: on-call
  notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier
  when: {severity: [critical, warning], owner: "anna*", tier: [gold], dataset: ["raw_*"], change: [opened]}
  arguments: {to: a@example.com}
  timeout: 30
  quiet_hours: {from: 22:00, to: '07:00', time_zone: Europe/Zurich, days: [sat, sun], except: []}
"""


def parse_one(text: str) -> Route | BrokenRoute:
    (route,) = parse_routes(f"routes:\n- name: x\n  notifier: a.B\n  {text}\n", "f.yaml").routes.values()
    return route


def test_a_whole_route() -> None:
    routes = parse_routes(WHOLE, "f.yaml")
    assert routes.problems == []
    route = routes.routes["on-call"]
    assert isinstance(route, Route)
    assert route.when.owner == ("anna*",)
    assert route.timeout == 30
    assert route.quiet_hours is not None
    assert (route.quiet_hours.start, route.quiet_hours.end) == (22 * 60, 7 * 60)  # unquoted, YAML makes a number of it
    assert route.quiet_hours.days == {5, 6}
    assert route.quiet_hours.exempt == frozenset()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour: red", "colour: is not known here"),
        ("when: {colour: red}", "when.colour: is not known here"),
        ("when: [opened]", "when: must be a mapping"),
        ("when: {severity: [fatal]}", "when.severity: 'fatal' is none of critical, warning, info"),
        ("when: {change: closed}", "when.change: 'closed' is none of"),
        ("when: {owner: []}", "when.owner: [] is not a text"),
        ("when: {owner: [7]}", "when.owner: [7] is not a text"),
        ("when: {dataset: 'raw_[ab'}", "when.dataset: 'raw_[ab' is not a glob"),
        ("arguments: [a]", "arguments: must be a mapping"),
        ("timeout: 0", "timeout: 0 is not a number of seconds"),
        ("timeout: true", "timeout: True is not a number of seconds"),
        ("quiet_hours: {from: '22:00', to: '07:00'}", "quiet_hours.time_zone: is missing"),
        ("quiet_hours: {from: '25:00', to: '07:00', time_zone: UTC}", "quiet_hours.from: '25:00' is not a time"),
        ("quiet_hours: {from: '22:00', to: 7, time_zone: Mars/Base}", "quiet_hours.time_zone: 'Mars/Base'"),
        ("quiet_hours: {from: 22:00, to: 7:00, time_zone: ../../etc/passwd}", "quiet_hours.time_zone: '../../etc"),
        ("quiet_hours: {from: 22:00, to: 7:00, time_zone: UTC, days: [8]}", "quiet_hours.days: [8]"),
        ("quiet_hours: {from: 22:00, to: 7:00, time_zone: UTC, except: [x]}", "quiet_hours.except: 'x' is none of"),
    ],
)
def test_what_is_wrong_is_told_by_file_route_and_key(text: str, said: str) -> None:
    route = parse_one(text)
    assert isinstance(route, BrokenRoute)
    assert route.problem.startswith(f"f.yaml: route x: {said}")


@pytest.mark.parametrize("notifier", ["SmtpNotifier", "os; rm -rf", "a..B", "7"])
def test_a_notifier_is_an_import_path(notifier: str) -> None:
    routes = parse_routes(f"routes: [{{name: x, notifier: '{notifier}'}}]", "f.yaml")
    assert "f.yaml: route x: notifier: must be the import path" in routes.problems[0]
    assert not routes.held


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold one key, 'routes'"),
        ("routes: {}", "must hold one key, 'routes'"),
        ("routes: []\nmore: 1", "must hold one key, 'routes'"),
        ("routes: [", "is not YAML"),
        ("routes: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("routes:\n- name: x\n  name: y\n  notifier: a.B", "'name' stands twice"),
        ("routes:\n- {notifier: a.B}", "route 1: name"),
        ("routes:\n- {name: 'a b', notifier: a.B}", "route 1: name"),
        ("routes:\n- {name: x, notifier: a.B}\n- {name: x, notifier: a.C}", "route x: name: stands twice"),
    ],
)
def test_a_file_of_which_not_every_route_has_a_name_is_held(text: str, said: str) -> None:
    routes = parse_routes(text, "f.yaml")
    assert routes.held
    assert said in routes.problems[0]


def test_one_broken_route_leaves_the_others() -> None:
    routes = parse_routes(WHOLE + "- {name: broken, notifier: a.B, colour: red}\n", "f.yaml")
    assert isinstance(routes.routes["on-call"], Route)
    assert isinstance(routes.routes["broken"], BrokenRoute)
    assert not routes.held


def test_no_file_is_no_routes_and_an_unreadable_one_is_a_problem(tmp_path: Path) -> None:
    assert load_routes(tmp_path / "notifications.yaml").problems == ()
    (tmp_path / "notifications.yaml").write_bytes(b"\xff\xfe\xff")
    assert load_routes(tmp_path / "notifications.yaml").held
    assert load_routes(tmp_path).held
