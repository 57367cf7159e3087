"""Models over REST: who may see and decide, what is refused, and what is on the record."""

from collections.abc import Callable
from typing import Any

import pytest
from model_book import MODEL, register
from starlette.testclient import TestClient

from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_deployments
from headrace.settings import load_settings

BASE = "/headrace/api/v1"
Bearer = Callable[[str], TestClient]


@pytest.fixture
def two(ledger: Ledger) -> None:
    """Two versions; the first answers."""
    from headrace.registry import deploy

    settings = load_settings()
    for number in (1, 2):
        register(ledger, settings, number, ["2013-01", "2013-02"][:number])
    deploy.promote(ledger, settings, MODEL, 1, "anna", "the first")


@pytest.fixture
def post(bearer: Bearer) -> Callable[..., tuple[int, Any]]:
    def call(path: str, role: str = "op", **body: Any) -> tuple[int, Any]:
        answer = bearer(role).post(f"{BASE}/{path}", json=body)
        return answer.status_code, answer.json()

    return call


def test_models_and_versions_are_read(two: None, bearer: Bearer) -> None:
    client = bearer("viewer")
    (model,) = client.get(f"{BASE}/models").json()["models"]
    assert (model["model"], model["versions"], model["aliases"]) == (MODEL, 2, {"champion": 1})
    shown = client.get(f"{BASE}/models/{MODEL}").json()
    assert [row["number"] for row in shown["versions"]] == [2, 1]
    assert [row["reason"] for row in shown["deployments"]] == ["the first"]
    version = client.get(f"{BASE}/models/{MODEL}/versions/2").json()
    assert version["metrics"]["overall"] == {"auc": 0.71}
    assert {each["partition_key"] for each in version["verdicts"]} == {"2013-01", "2013-02"}


def test_from_promotion_to_rollback_in_the_users_name(
    two: None, post: Callable[..., tuple[int, Any]], ledger: Ledger
) -> None:
    code, done = post(f"models/{MODEL}/challenger", version=2, reason="compare")
    assert (code, done["deployment"]["action"]) == (200, "challenger")
    code, done = post(f"models/{MODEL}/promote", version=2, reason="better", expected_champion=1)
    assert (code, done["deployment"]["number"], done["deployment"]["state"]) == (200, 2, "live")
    code, done = post(f"models/{MODEL}/rollback", reason="wrong", expected_champion=2)
    assert (code, done["deployment"]["number"], done["servers"]) == (200, 1, [])
    assert done["deployment"]["incident_id"] == 1
    code, said = post(f"models/{MODEL}/promote", version=2, reason="no")
    assert code == 409
    assert "is blocked" in said["detail"]
    assert post(f"models/{MODEL}/unblock", version=2, reason="right after all")[0] == 200
    assert {row.actor for row in list_deployments(ledger, MODEL, limit=4)} == {"op"}


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("rollback", {}, 422),
        ("rollback", {"reason": " "}, 422),
        ("rollback", {"reason": "x", "two": 1}, 422),
        ("rollback", {"reason": "x", "expected_champion": 7}, 409),
        ("rollback", {"reason": "x"}, 409),  # nothing before it
        ("rollback", {"reason": "x", "to": 9}, 404),
        ("promote", {"reason": "x"}, 422),
        ("promote", {"reason": "x", "version": 0}, 422),
        ("promote", {"reason": "a\0b", "version": 2}, 422),
        ("promote", {"reason": "x", "version": 9}, 404),
        ("promote", {"reason": "x", "version": 2, "expected_champion": 0}, 409),
        ("unblock", {"reason": "x", "version": 2}, 409),
        ("challenger", {"reason": "x", "version": 1}, 409),
    ],
)
def test_what_is_refused_changes_nothing(
    two: None, post: Callable[..., tuple[int, Any]], ledger: Ledger, path: str, body: dict[str, Any], code: int
) -> None:
    answered, said = post(f"models/{MODEL}/{path}", **body)
    assert answered == code, said
    assert said["detail"]
    assert len(list_deployments(ledger, MODEL)) == 1


def test_who_may_not_act_is_refused_and_other_names_are_not_there(
    two: None, post: Callable[..., tuple[int, Any]], bearer: Bearer, ledger: Ledger
) -> None:
    for path, body in (("promote", {"version": 2}), ("rollback", {}), ("challenger", {"version": 2}),
                       ("unblock", {"version": 2})):  # fmt: skip
        assert post(f"models/{MODEL}/{path}", "viewer", reason="x", **body)[0] == 403, path
        assert post(f"models/nobody/{path}", reason="x", **body)[0] == 404, path
    for name in ("nobody", "a%00b", "'; drop table model_version; --", "..%2f..", "é" * 200):
        assert bearer("viewer").get(f"{BASE}/models/{name}").status_code in (404, 422), name
    assert post("partitions/quarantine", "viewer", dataset="features", partition_key="2013-02", reason="x")[0] == 403
    assert len(list_deployments(ledger, MODEL)) == 1


def test_a_browser_needs_the_pages_token(two: None, browser: Bearer) -> None:
    answer = browser("admin").post(f"{BASE}/models/{MODEL}/rollback", json={"reason": "x"})
    assert answer.status_code == 403
    assert "X-Headrace-CSRF" in answer.json()["detail"]


def test_a_partition_that_turned_out_bad(two: None, post: Callable[..., tuple[int, Any]]) -> None:
    post(f"models/{MODEL}/promote", version=2, reason="better")
    place = {"dataset": "features", "partition_key": "2013-02", "reason": "sensor broken"}
    code, done = post("partitions/quarantine", **place)
    assert (code, done["versions"], done["still_answering"]) == (200, ["delays@2"], [])
    assert done["rolled_back"] == ["delays@1 answers instead of delays@2"]
    assert post("partitions/quarantine", **{**place, "dataset": "nothing"})[0] == 404
    assert post("partitions/quarantine", **{**place, "partition_key": ""})[0] == 422
