"""A logged-in browser acts only from the inbox's own pages; a Bearer client needs no token."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

BASE = "/headrace/api/v1"

HEADER = "X-Headrace-CSRF"
OWN = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}


def sign(user: str) -> str:
    from headrace.ui.csrf import sign_user

    return sign_user(user)


@pytest.fixture
def comment(fail: Callable[..., int]) -> Callable[..., tuple[int, str]]:
    incident_id = fail()

    def post(client: TestClient, headers: dict[str, str], **options: object) -> tuple[int, str]:
        options = options or {"json": {"text": "looking"}}
        answer = client.post(f"{BASE}/incidents/{incident_id}/comment", headers=headers, **options)
        return answer.status_code, str(answer.json().get("detail"))

    return post


def test_a_page_of_ours_acts(browser: Callable[[str], TestClient], comment: Callable[..., tuple[int, str]]) -> None:
    assert comment(browser("admin"), {HEADER: sign("admin"), **OWN}) == (200, "None")


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "missing or wrong"),
        ("", "missing or wrong"),
        ("x.y.z", "missing or wrong"),
        ("viewer", "Somebody else has logged in"),
    ],
)
def test_without_this_users_token_nothing_is_done(
    browser: Callable[[str], TestClient], comment: Callable[..., tuple[int, str]], token: str | None, said: str
) -> None:
    headers = {} if token is None else {HEADER: sign(token) if token == "viewer" else token}
    code, detail = comment(browser("admin"), {**OWN, **headers})
    assert code == 403
    assert said in detail


def test_a_changed_token_is_refused(
    browser: Callable[[str], TestClient], comment: Callable[..., tuple[int, str]]
) -> None:
    token = sign("admin")
    assert comment(browser("admin"), {HEADER: token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), **OWN})[0] == 403
    digest, stamp, signature = token.split(".")
    assert comment(browser("admin"), {HEADER: f"{digest}.{stamp[:-1]}.{signature}", **OWN})[0] == 403


def test_a_page_that_was_open_for_days_says_reload(
    browser: Callable[[str], TestClient], comment: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with monkeypatch.context() as yesterday:
        yesterday.setattr(time, "time", lambda: now - 25 * 3600)
        token = sign("admin")
    code, detail = comment(browser("admin"), {HEADER: token, **OWN})
    assert (code, "reload" in detail) == (403, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://testserver:81"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("how", ["cookie", "bearer"])
def test_another_site_is_refused_whatever_it_brings(
    browser: Callable[[str], TestClient],
    bearer: Callable[[str], TestClient],
    comment: Callable[..., tuple[int, str]],
    headers: dict[str, str],
    how: str,
) -> None:
    client = browser("admin") if how == "cookie" else bearer("admin")
    code, detail = comment(client, {HEADER: sign("admin"), **headers})
    assert code == 403
    assert "another site" in detail


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_cannot_act(
    browser: Callable[[str], TestClient], comment: Callable[..., tuple[int, str]], content_type: str
) -> None:
    headers = {HEADER: sign("admin"), "Content-Type": content_type, **OWN}
    assert comment(browser("admin"), headers, content=b'{"text": "forged"}')[0] == 415


def test_a_bearer_client_needs_no_token(
    bearer: Callable[[str], TestClient], comment: Callable[..., tuple[int, str]]
) -> None:
    assert comment(bearer("admin"), {}) == (200, "None")


def test_a_browser_needs_the_token_even_where_airflow_adds_a_bearer_header(
    bearer: Callable[[str], TestClient], comment: Callable[..., tuple[int, str]]
) -> None:
    """SimpleAuthManager adds one to every request where everybody is admin, whoever made the browser ask."""
    assert comment(bearer("admin"), OWN)[0] == 403
    assert comment(bearer("admin"), {HEADER: sign("admin"), **OWN})[0] == 200


def test_every_worker_knows_every_workers_tokens(
    stack: Any, browser: Callable[[str], TestClient], comment: Callable[..., tuple[int, str]]
) -> None:
    script = "from headrace.ui.csrf import sign_user; print(sign_user('admin'))"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    token = made.stdout.strip().splitlines()[-1]
    assert comment(browser("admin"), {HEADER: token, **OWN}) == (200, "None")


def test_every_answer_carries_the_headers(bearer: Callable[[str], TestClient], stack: Any) -> None:
    for answer in (
        bearer("viewer").get(f"{BASE}/overview"),
        bearer("viewer").get(f"{BASE}/incidents/999"),
        stack.client().get(f"{BASE}/incidents"),
        stack.client().get("/headrace/nothing"),
    ):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
