"""Who may read and who may act: nobody, a viewer, a user, an admin, by Airflow's own auth manager and tokens."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

BASE = "/headrace/api/v1"

BODIES = {
    "acknowledge": {},
    "assign": {"assignee": "anna"},
    "snooze": {"until": "2999-01-01T00:00:00Z"},
    "unsnooze": {},
    "resolve": {"reason": "known"},
    "reopen": {"reason": "still there"},
    "comment": {"text": "looking"},
    "waive": {"partition_keys": ["2013-02"], "reason": "known", "rerun": False},
    "release": {"partition_keys": ["2013-02"], "reason": "known", "rerun": False},
    "rerun": {},
}


def find_routes() -> list[APIRoute]:
    from headrace.ui.app import build_app

    return build_app().routes


def find_calls(dependant: Dependant) -> Iterator[Callable[..., object] | None]:
    yield dependant.call
    for nested in dependant.dependencies:
        yield from find_calls(nested)


def fill(path: str) -> str:
    filled = path.replace("{path:path}", "inbox.css")
    for name in ("incident_id", "quarantine_id", "number"):
        filled = filled.replace(f"{{{name}}}", "1")
    while "{" in filled:
        start, end = filled.index("{"), filled.index("}")
        filled = filled[:start] + "x" + filled[end + 1 :]
    return f"/headrace{filled}"


def test_every_route_names_the_access_it_needs() -> None:
    from headrace.ui.security import act_access, read_access

    routes = find_routes()
    assert len(routes) > 20
    for route in routes:
        assert isinstance(route, APIRoute), f"{route} is not checked by anything"
        calls = list(find_calls(route.dependant))
        assert read_access in calls, route.path
        if route.methods != {"GET"}:
            assert act_access in calls, route.path


def test_every_action_asks_for_the_dag_of_what_it_acts_on() -> None:
    from headrace.ui.api_actions import may_decide, may_release
    from headrace.ui.api_models import may_deploy, may_quarantine

    asking = {may_decide, may_release, may_deploy, may_quarantine}
    for route in find_routes():
        assert isinstance(route, APIRoute)
        if "POST" in route.methods and not route.path.endswith("/bulk"):
            assert asking & set(find_calls(route.dependant)), route.path


def test_nobody_is_let_in(stack: Any, fail: Callable[..., int]) -> None:
    fail()
    client = stack.client()
    for route in find_routes():
        assert isinstance(route, APIRoute)
        for method in route.methods:
            answer = client.request(method, fill(route.path), json=None if method == "GET" else {})
            if route.path.startswith("/api/"):
                assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"}), route.path
            else:
                assert answer.status_code == 303, route.path
                there = urlsplit(answer.headers["location"])
                assert there.path == "/api/v2/auth/login"
                assert parse_qs(there.query)["next"] == [fill(route.path)]


def test_a_page_that_is_not_there_asks_nobody_to_log_in(stack: Any) -> None:
    assert stack.client().get("/headrace/nothing").status_code == 404
    assert stack.client().get("/headrace/docs").status_code == 404
    assert stack.client().get("/headrace/openapi.json").status_code == 404


@pytest.mark.parametrize("token", ["", "x.y.z", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJBRE1JTiJ9."])
def test_a_token_that_is_not_airflows_is_refused(stack: Any, token: str) -> None:
    bearer = stack.client(headers={"Authorization": f"Bearer {token}"}).get(f"{BASE}/incidents")
    assert bearer.status_code in (401, 403)
    assert stack.client(cookies={"_token": token}).get(f"{BASE}/incidents").status_code in (401, 403)


@pytest.mark.parametrize("role", ["viewer", "user", "op", "admin"])
def test_everybody_with_a_role_reads(bearer: Callable[[str], TestClient], fail: Callable[..., int], role: str) -> None:
    incident_id = fail()
    client = bearer(role)
    for path in (
        "incidents",
        f"incidents/{incident_id}",
        f"incidents/{incident_id}/results",
        "quarantine",
        "results?dag_id=flights&run_id=manual__1",
        "verdicts?dataset=raw.weather&partition_key=2013-02",
        "verdicts?dag_id=flights",
        "overview",
        "openapi.json",
    ):
        answer = client.get(f"{BASE}/{path}")
        assert answer.status_code == 200, (path, answer.text)


@pytest.mark.parametrize("action", BODIES)
def test_a_viewer_does_not_act(bearer: Callable[[str], TestClient], fail: Callable[..., int], action: str) -> None:
    incident_id = fail()
    client = bearer("viewer")
    before = client.get(f"{BASE}/incidents/{incident_id}").json()
    answer = client.post(f"{BASE}/incidents/{incident_id}/{action}", json=BODIES[action])
    assert answer.status_code == 403
    assert "clear task instances" in answer.json()["detail"]
    assert client.get(f"{BASE}/incidents/{incident_id}").json() == before


@pytest.mark.parametrize("action", BODIES)
def test_a_viewer_does_not_act_on_many(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], action: str
) -> None:
    incident_id = fail()
    answer = bearer("viewer").post(
        f"{BASE}/incidents/bulk", json={"action": action, "ids": [incident_id], **BODIES[action]}
    )
    assert [(found["id"], found["status"]) for found in answer.json()["results"]] == [(incident_id, 403)]
    detail = bearer("viewer").get(f"{BASE}/incidents/{incident_id}").json()
    assert detail["row"]["state"] == "open"
    assert {event["actor"] for event in detail["events"]} == {"headrace"}


@pytest.mark.parametrize("role", ["user", "op", "admin"])
def test_who_may_clear_tasks_acts_in_their_own_name(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], role: str
) -> None:
    incident_id = fail()
    answer = bearer(role).post(f"{BASE}/incidents/{incident_id}/acknowledge", json={"comment": "on it"})
    assert (answer.status_code, answer.json()) == (200, {"id": incident_id, "reruns": [], "detail": None})
    detail = bearer("viewer").get(f"{BASE}/incidents/{incident_id}").json()
    assert detail["row"]["state"] == "acknowledged"
    assert detail["events"][-1]["actor"] == role


def test_the_openapi_document_describes_every_route_of_the_api(bearer: Callable[[str], TestClient]) -> None:
    document = bearer("viewer").get(f"{BASE}/openapi.json").json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routed = {
        (method, route.path)
        for route in find_routes()
        if isinstance(route, APIRoute) and route.path.startswith("/api/") and route.include_in_schema
        for method in route.methods
    }
    assert described == routed
    assert document["servers"] == [{"url": "/headrace"}]
    assert document["components"]["schemas"]["IncidentRow"]["properties"]["severity"]


@pytest.mark.parametrize(
    ("name", "actor"), [("headrace", "headrace (user)"), ("Headrace ", "Headrace  (user)"), ("anna", "anna")]
)
def test_nobody_passes_for_the_ledger_itself(name: str, actor: str) -> None:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    from headrace.ui.security import Access

    assert Access(SimpleAuthManagerUser(username=name, role="admin")).actor == actor
