"""Reading over REST: what is given, in what form, and what is answered for what is not there or not valid."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.contracts.check_result import Severity

BASE = "/headrace/api/v1"


@pytest.fixture
def get(bearer: Callable[[str], TestClient], ledger: Any) -> Callable[..., tuple[int, Any]]:
    client = bearer("viewer")

    def ask(path: str, **params: Any) -> tuple[int, Any]:
        answer = client.get(f"{BASE}/{path}", params=params)
        return answer.status_code, answer.json()

    return ask


def test_an_empty_inbox(get: Callable[..., tuple[int, Any]]) -> None:
    code, page = get("incidents")
    assert (code, page["rows"], page["total"], page["next"]) == (200, [], 0, None)
    assert get("overview")[1]["oldest_open"] is None
    assert get("quarantine") == (200, {"quarantine": []})
    assert get("verdicts", dataset="raw.weather") == (200, {"verdicts": []})


def test_the_list_is_paged_by_a_cursor(get: Callable[..., tuple[int, Any]], fail: Callable[..., int]) -> None:
    ids = [fail(check_id=f"check-{number}") for number in range(5)]
    seen: list[int] = []
    cursor = None
    for _ in range(3):
        _, page = get("incidents", sort="newest", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [row["id"] for row in page["rows"]]
        cursor = page["next"]
    assert (sorted(seen), cursor, page["total"]) == (sorted(ids), None, 5)


def test_the_list_is_filtered(get: Callable[..., tuple[int, Any]], fail: Callable[..., int]) -> None:
    bad = fail()
    mild = fail(check_id="mild", dataset="raw.planes", tool="dbt", severity=Severity.WARNING, partition_key="2013-01")

    def ids(**params: Any) -> list[int]:
        code, page = get("incidents", **params)
        assert code == 200, page
        return [row["id"] for row in page["rows"]]

    assert ids() == [bad, mild]
    assert ids(severity="warning") == [mild]
    assert ids(severity=["warning", "critical"]) == [bad, mild]
    assert ids(dataset="raw.weather") == [bad]
    assert ids(tool="dbt") == [mild]
    assert ids(partition_key="2013-01") == [mild]
    assert ids(state="resolved") == []
    assert ids(text="WIND_SPEED weather") == [bad]
    assert ids(text="no such word") == []


def test_an_incident_tells_everything(get: Callable[..., tuple[int, Any]], fail: Callable[..., int]) -> None:
    incident_id = fail()
    code, detail = get(f"incidents/{incident_id}")
    assert code == 200
    assert detail["row"]["title"].endswith("(1,048.36 at EWR, 12 Feb 08:00Z)")
    assert detail["result"]["observed"] == 1048.36
    assert detail["result"]["sample"] == [{"origin": "EWR", "wind_speed": 1048.36}]
    assert detail["result"]["task"] == {
        "dag_id": "flights", "run_id": "manual__1", "task_id": "gate", "map_index": -1, "try_number": 1,
        "instance": None,
    }  # fmt: skip
    assert [found["partition_key"] for found in detail["partitions"]] == ["2013-02"]
    assert detail["row"]["opened_at"].endswith(("Z", "+00:00"))
    code, found = get(f"incidents/{incident_id}/results")
    assert [result["id"] for result in found["results"]] == [detail["result"]["id"]]
    _, verdicts = get("verdicts", dataset="raw.weather", partition_key="2013-02")
    assert [verdict["decision"] for verdict in verdicts["verdicts"]] == ["block"]
    assert get("verdicts", dag_id="flights")[1] == verdicts
    _, results = get("results", dag_id="flights", run_id="manual__1", task_id="gate", map_index=-1)
    assert [result["incident_id"] for result in results["results"]] == [incident_id]
    assert get("overview")[1]["counts"]["open"] == 1


NOT_NUMBERS = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("value", [*NOT_NUMBERS, "\0", "\ud800", "x" * 100_000, "<img src=x onerror=alert(1)>", 2**70])
def test_values_that_are_no_json_are_given_all_the_same(
    get: Callable[..., tuple[int, Any]], fail: Callable[..., int], value: Any
) -> None:
    incident_id = fail(observed=value, expected={"max": value}, sample=({"wind_speed": value},))
    assert get(f"incidents/{incident_id}")[0] == 200
    assert get("results", dag_id="flights", run_id="manual__1")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "incidents/999",
        "incidents/999/results",
        "quarantine/999",
        f"incidents/{2**63 - 1}",
        "nothing",
    ],
)
def test_what_is_not_there_is_404(get: Callable[..., tuple[int, Any]], path: str) -> None:
    code, said = get(path)
    assert (code, set(said)) == (404, {"detail"})


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("incidents", {"limit": 0}, "limit"),
        ("incidents", {"limit": "many"}, "limit"),
        ("incidents", {"state": "new"}, "state.0"),
        ("incidents", {"sort": "random"}, "sort"),
        ("incidents", {"text": "a\0b"}, "text"),
        ("incidents", {"partition_key": "x" * 101}, "partition_key"),
        ("incidents/0", {}, "incident_id"),
        ("incidents/one", {}, "incident_id"),
        (f"incidents/{2**63}", {}, "incident_id"),
        ("results", {"dag_id": "flights"}, "run_id"),
        ("results", {"dag_id": "flights", "run_id": "1", "map_index": 2**40}, "map_index"),
    ],
)
def test_what_is_not_valid_is_422_and_names_the_field(
    get: Callable[..., tuple[int, Any]], path: str, params: dict[str, Any], field: str
) -> None:
    code, said = get(path, **params)
    assert (code, [found["field"] for found in said["errors"]]) == (422, [field])
    assert field in said["detail"]


def test_a_cursor_that_is_none_is_422(get: Callable[..., tuple[int, Any]]) -> None:
    code, said = get("incidents", cursor="x")
    assert code == 422
    assert "cursor" in said["detail"]


def test_verdicts_need_a_dataset_or_a_dag(get: Callable[..., tuple[int, Any]]) -> None:
    assert get("verdicts")[0] == 422
    assert get("verdicts", dataset="raw.weather", dag_id="flights")[0] == 422
