"""Acting over REST: what each action does, in whose name, and what is refused without anything being done."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.ledger.database import Ledger

BASE = "/headrace/api/v1"


@pytest.fixture
def act(bearer: Callable[[str], TestClient]) -> Callable[..., tuple[int, Any]]:
    client = bearer("op")

    def post(path: str, **body: Any) -> tuple[int, Any]:
        answer = client.post(f"{BASE}/{path}", json=body)
        return answer.status_code, answer.json()

    return post


@pytest.fixture
def show(bearer: Callable[[str], TestClient]) -> Callable[[int], Any]:
    return lambda incident_id: bearer("viewer").get(f"{BASE}/incidents/{incident_id}").json()


def test_an_incident_goes_through_its_states(
    act: Callable[..., tuple[int, Any]], show: Callable[[int], Any], fail: Callable[..., int]
) -> None:
    id_ = fail()
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    for action, body, state in (
        ("assign", {"assignee": "  anna "}, "open"),
        ("acknowledge", {"comment": "on it"}, "acknowledged"),
        ("snooze", {"until": until}, "snoozed"),
        ("unsnooze", {}, "open"),
        ("comment", {"text": "<b>the sensor</b>"}, "open"),
        ("resolve", {"reason": "known"}, "resolved"),
        ("reopen", {"reason": "not so"}, "open"),
        ("assign", {"assignee": None}, "open"),
    ):
        code, done = act(f"incidents/{id_}/{action}", **body)
        assert (code, done) == (200, {"id": id_, "reruns": [], "detail": None}), action
        row = show(id_)["row"]
        assert row["state"] == state, action
        assert row["assignee"] == (None if body == {"assignee": None} else "anna")
    mine = [event["kind"] for event in show(id_)["events"] if event["actor"] == "op"]
    assert mine == [
        "assigned", "acknowledged", "snoozed", "unsnoozed", "commented", "resolved", "reopened", "unassigned",
    ]  # fmt: skip


def test_what_the_state_does_not_allow_is_409(act: Callable[..., tuple[int, Any]], fail: Callable[..., int]) -> None:
    id_ = fail()
    code, said = act(f"incidents/{id_}/reopen", reason="again")
    assert (code, set(said)) == (409, {"detail"})
    assert "resolved" in said["detail"] or "open" in said["detail"]
    assert act(f"incidents/{id_}/waive", partition_keys=["2031-01"], reason="x")[0] == 409
    assert act(f"incidents/{id_}/release", partition_keys=["2013-02"], reason="x")[0] == 409


@pytest.mark.parametrize(
    ("action", "body", "fields"),
    [
        ("assign", {}, ["assignee"]),
        ("assign", {"assignee": " "}, ["assignee"]),
        ("snooze", {}, ["until"]),
        ("snooze", {"until": "2013-01-01T00:00:00Z"}, ["until"]),
        ("snooze", {"until": "2999-01-01T00:00:00"}, ["until"]),
        ("resolve", {"reason": ""}, ["reason"]),
        ("resolve", {"reason": "a\0b"}, ["reason"]),
        ("resolve", {"reason": "x" * 2001}, ["reason"]),
        ("resolve", {"reason": 5}, ["reason"]),
        ("resolve", {"reason": "known", "raeson": "x"}, ["raeson"]),
        ("comment", {"text": "\ud800"}, ["text"]),
        ("waive", {"partition_keys": [], "reason": "x"}, ["partition_keys"]),
        ("waive", {"partition_keys": ["x" * 101], "reason": "x"}, ["partition_keys.0"]),
        ("waive", {"reason": "x"}, ["partition_keys"]),
        ("release", {"partition_keys": ["2013-02"]}, ["reason"]),
    ],
)
def test_what_is_not_valid_is_422_and_nothing_is_done(
    act: Callable[..., tuple[int, Any]],
    bearer: Callable[[str], TestClient],
    show: Callable[[int], Any],
    fail: Callable[..., int],
    action: str,
    body: dict[str, Any],
    fields: list[str],
) -> None:
    id_ = fail()
    before = show(id_)
    headers = {"Content-Type": "application/json"}
    answer = bearer("op").post(f"{BASE}/incidents/{id_}/{action}", content=json.dumps(body), headers=headers)
    assert (answer.status_code, [found["field"] for found in answer.json()["errors"]]) == (422, fields)
    assert show(id_) == before


def test_a_body_that_is_no_json_is_422(bearer: Callable[[str], TestClient], fail: Callable[..., int]) -> None:
    headers = {"Content-Type": "application/json"}
    answer = bearer("op").post(f"{BASE}/incidents/{fail()}/comment", content=b"{", headers=headers)
    assert answer.status_code == 422
    assert bearer("op").post(f"{BASE}/incidents/1/comment", content=b"[]", headers=headers).status_code == 422


def test_many_at_once_each_for_itself(
    act: Callable[..., tuple[int, Any]], show: Callable[[int], Any], fail: Callable[..., int]
) -> None:
    first, second = fail(check_id="one"), fail(check_id="two")
    act(f"incidents/{second}/resolve", reason="known")
    code, done = act("incidents/bulk", action="resolve", ids=[first, second, 999, first], reason="known")
    assert code == 207
    assert [(found["id"], found["status"]) for found in done["results"]] == [(first, 200), (second, 409), (999, 404)]
    assert all(found["detail"] for found in done["results"][1:])
    assert show(first)["row"]["state"] == "resolved"


@pytest.mark.parametrize(
    "body",
    [
        {"action": "delete", "ids": [1]},
        {"ids": [1]},
        {"action": "resolve", "ids": [1]},
        {"action": "acknowledge", "ids": []},
        {"action": "acknowledge", "ids": list(range(1, 202))},
        {"action": "acknowledge", "ids": [0]},
    ],
)
def test_many_at_once_must_be_valid(act: Callable[..., tuple[int, Any]], body: dict[str, Any], ledger: Ledger) -> None:
    code, said = act("incidents/bulk", **body)
    assert (code, bool(said["errors"])) == (422, True)


@pytest.fixture
def quarantine_id(ledger: Ledger, fail: Callable[..., int]) -> int:
    from headrace.contracts.check_result import CheckResult, Severity, Status
    from headrace.ledger.recording import QuarantinedSet, record_quarantine, record_results
    from headrace.ledger.views import TaskTry

    check = CheckResult(
        tool="gx", dataset="raw.weather", partition_key="2013-02", check="between", column="wind_speed",
        severity=Severity.WARNING, status=Status.FAILED, message="2 rows are above 200 mph", failed_rows=2,
        total_rows=2010, quarantined_rows=2,
    )  # fmt: skip
    rows = [{"row_id": name, "row": {"wind_speed": 1048.36, "origin": "EWR"}} for name in ("a", "b")]
    task = TaskTry("flights", "manual__quarantine", "gate")
    record_results(ledger, task, [check])
    (id_,) = record_quarantine(
        ledger, task, [QuarantinedSet("raw.weather", "raw.weather", "2013-02", check, 2, 2010, "above 200 mph", rows)]
    )
    return id_


def test_quarantine_is_shown_and_released(
    act: Callable[..., tuple[int, Any]], bearer: Callable[[str], TestClient], quarantine_id: int
) -> None:
    viewer = bearer("viewer")
    listed = viewer.get(f"{BASE}/quarantine?dataset=raw.weather&partition_key=2013-02").json()["quarantine"]
    assert [(row["id"], row["rows"], row["state"]) for row in listed] == [(quarantine_id, 2, "held")]
    shown = viewer.get(f"{BASE}/quarantine/{quarantine_id}").json()
    assert [row["row_id"] for row in shown["sample"]] == ["a", "b"]

    path = f"quarantine/{quarantine_id}/release"
    body = {"reason": "a real gust", "rerun": False}
    assert viewer.post(f"{BASE}/{path}", json=body).status_code == 403
    assert act(path, row_ids=["c"], **body)[0] == 409
    assert act(path, row_ids=[], **body)[0] == 422
    code, done = act(path, row_ids=["a"], **body)
    assert (code, done["id"], [each["state"] for each in done["reruns"]]) == (200, quarantine_id, ["not asked"])
    shown = viewer.get(f"{BASE}/quarantine/{quarantine_id}").json()
    assert (shown["state"], shown["actor"], shown["actor_reason"]) == ("releasing", "op", "a real gust")
    assert {row["row_id"]: row["state"] for row in shown["sample"]} == {"a": "releasing", "b": "held"}


def test_an_incidents_rows_are_released_by_partition(
    act: Callable[..., tuple[int, Any]], bearer: Callable[[str], TestClient], quarantine_id: int
) -> None:
    incident_id = bearer("viewer").get(f"{BASE}/quarantine/{quarantine_id}").json()["incident_id"]
    code, done = act(f"incidents/{incident_id}/release", partition_keys=["2013-02"], reason="real", rerun=False)
    assert (code, [each["task_id"] for each in done["reruns"]]) == (200, ["gate"])
    assert bearer("viewer").get(f"{BASE}/quarantine/{quarantine_id}").json()["state"] == "releasing"


def test_an_unknown_quarantine_is_404(act: Callable[..., tuple[int, Any]], ledger: Ledger) -> None:
    assert act("quarantine/999/release", reason="x")[0] == 404


def test_where_everybody_is_admin_another_site_still_cannot_act(
    stack: Any, fail: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There Airflow adds a Bearer header of its own to every request, whoever made the browser send it."""
    from airflow.api_fastapi.app import create_app

    from headrace.ui.csrf import HEADER, sign_user

    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    client = TestClient(create_app(), raise_server_exceptions=False)
    path = f"{BASE}/incidents/{fail()}/comment"
    body = {"text": "forged"}
    own = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    assert client.post(path, json=body, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post(path, json=body, headers=own).status_code == 403
    assert client.post(path, json=body, headers=own | {HEADER: sign_user("Anonymous")}).status_code == 200
    assert client.get(f"{BASE}/incidents").status_code == 200
