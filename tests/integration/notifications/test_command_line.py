"""``headrace notifier`` and ``headrace notifications``, as people run them."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from .conftest import Desk, Hooks, hook_route, mail_route

pytestmark = pytest.mark.parametrize("desk", ["sqlite"], indirect=True)


@pytest.fixture
def headrace(desk: Desk, tmp_path: Path) -> Any:
    environment = {
        **os.environ,
        **desk.environment,
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(tmp_path),
        "AIRFLOW__HEADRACE__NOTIFICATIONS_FILE": str(desk.file),
    }

    def run(*arguments: str) -> tuple[int, Any, str]:
        command = [sys.executable, "-c", "from headrace.cli.app import main; main()", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr

    return run


def test_what_could_not_be_told_is_listed_and_tried_again(desk: Desk, hooks: Hooks, headrace: Any) -> None:
    desk.write_routes(hook_route())
    hooks.status = 503
    incident = desk.open_incident()
    desk.enqueue(incident, "opened", datetime.now(UTC))
    code, said, _ = headrace("notifier", "--once", "--json")
    assert code == 1
    assert "503" in said["error"]
    code, said, _ = headrace("notifications", "list", "--json")
    assert code == 0
    (row,) = said["notifications"]
    assert (row["incident_id"], row["state"], row["attempts"]) == (incident, "pending", 1)
    hooks.status = 200
    code, said, _ = headrace("notifications", "retry", str(row["id"]), "--json")
    assert (code, said) == (0, {"retried": [row["id"]]})
    code, said, _ = headrace("notifier", "--once", "--json")
    assert code == 0
    assert said["error"] == ""
    assert headrace("notifications", "list", "--json")[1] == {"notifications": [], "problems": []}
    assert headrace("notifications", "retry", str(row["id"]), "--json")[0] == 1


def test_routes_are_checked_down_to_the_notifiers_arguments(desk: Desk, headrace: Any) -> None:
    code, said, _ = headrace("notifications", "routes", "--json")
    assert (code, said["exists"], said["problems"]) == (0, False, [])
    desk.write_routes(
        mail_route(),
        mail_route("no-to", arguments={}),
        hook_route("no-class", notifier="airflow.providers.http.notifications.Nobody"),
        hook_route("no-key", colour="red"),
    )
    code, said, _ = headrace("notifications", "routes", "--json")
    assert code == 3
    assert [route["name"] for route in said["routes"]] == ["mail", "no-to", "no-class", "no-key"]
    problems = "\n".join(said["problems"])
    assert f"{desk.file}: route no-to: arguments: TypeError" in problems
    assert f"{desk.file}: route no-class: notifier: " in problems
    assert f"{desk.file}: route no-key: colour: is not known here" in problems
    assert "route mail" not in problems


def test_an_example_is_sent_by_one_route(desk: Desk, hooks: Hooks, headrace: Any) -> None:
    desk.write_routes(hook_route(when={"severity": ["critical"]}), mail_route())
    assert headrace("notifications", "test", "hook", "--json")[:2] == (0, {"route": "hook", "delivered": True})
    ((_, _, document),) = hooks.received
    assert "nothing is wrong" in document["incident"]["title"]
    code, _, error = headrace("notifications", "test", "mail")
    assert code == 3
    assert "route mail did not deliver" in error
    code, _, error = headrace("notifications", "test", "nobody")
    assert code == 3
    assert "there is no route 'nobody'; known are hook, mail" in error
