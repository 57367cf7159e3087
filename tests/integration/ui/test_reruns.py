"""A decision clears what must run again: real runs in Airflow's metadata database, cleared by its own API."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

BASE = "/headrace/api/v1"

DAG_FILE = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("flights", schedule=None):
    land, gate, train, other = (EmptyOperator(task_id=name) for name in ("land", "gate", "train", "other"))
    land >> gate >> train
    land >> other
"""


@pytest.fixture(scope="module")
def dag(stack: Any, tokens: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A DAG in the metadata database, as the dag-processor writes it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    folder = tmp_path_factory.mktemp("dags")
    (folder / "flights.py").write_text(DAG_FILE)
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    yield
    headers = {"Authorization": f"Bearer {tokens['admin']}"}
    assert stack.client(headers=headers).delete("/api/v2/dags/flights").status_code == 204


@pytest.fixture
def run_id(dag: None, bearer: Callable[[str], TestClient], request: pytest.FixtureRequest) -> str:
    """A run that failed at the gate, so that what is after it never ran."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    run_id = f"manual__{request.node.name[:60]}"
    answer = bearer("admin").post("/api/v2/dags/flights/dagRuns", json={"dag_run_id": run_id, "logical_date": None})
    assert answer.status_code == 200, answer.text
    states = {"land": "success", "gate": "failed", "train": "upstream_failed", "other": "success"}
    with create_session() as session:
        for task_id, state in states.items():
            session.execute(
                update(TaskInstance)
                .where(TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
                .values(state=state)
            )
        session.execute(update(DagRun).where(DagRun.run_id == run_id).values(state="failed"))
    return run_id


def read_states(run_id: str) -> dict[str, str | None]:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(TaskInstance.task_id, TaskInstance.state).where(TaskInstance.run_id == run_id)
        ).all()
        run = session.scalar(select(DagRun.state).where(DagRun.run_id == run_id))
        return {task_id: state and str(state) for task_id, state in found} | {"run": str(run)}


BLOCKED = {"land": "success", "gate": "failed", "train": "upstream_failed", "other": "success", "run": "failed"}
CLEARED = {"land": "success", "gate": None, "train": None, "other": "success", "run": "queued"}
WAIVER = {"partition_keys": ["2013-02"], "reason": "EWR's sensor was broken that day"}


def read_comments(client: TestClient, incident_id: int) -> list[str]:
    events = client.get(f"{BASE}/incidents/{incident_id}").json()["events"]
    return [str(event["detail"]) for event in events if event["kind"] in ("cleared", "commented")]


def test_a_waiver_clears_the_gate_and_what_is_after_it(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], run_id: str
) -> None:
    incident_id = fail(run_id=run_id)
    assert read_states(run_id) == BLOCKED
    answer = bearer("user").post(f"{BASE}/incidents/{incident_id}/waive", json=WAIVER)
    assert answer.status_code == 200, answer.text
    (outcome,) = answer.json()["reruns"]
    assert outcome == {
        "dag_id": "flights", "run_id": run_id, "task_id": "gate", "map_index": -1,
        "state": "cleared", "cleared": 2, "detail": None,
    }  # fmt: skip
    assert answer.json()["detail"] is None
    assert read_states(run_id) == CLEARED
    assert any("Cleared gate" in said for said in read_comments(bearer("viewer"), incident_id))


def test_the_waiver_is_recorded_before_the_gate_runs_again(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], run_id: str, ledger: Any
) -> None:
    from headrace.ledger.verdicts import list_waivers

    incident_id = fail(run_id=run_id)
    bearer("admin").post(f"{BASE}/incidents/{incident_id}/waive", json=WAIVER)
    assert ["admin" in said for said in list_waivers(ledger, "raw.weather", "2013-02").values()] == [True]


def test_only_recorded_where_the_user_wants_no_rerun(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], run_id: str
) -> None:
    incident_id = fail(run_id=run_id)
    answer = bearer("admin").post(f"{BASE}/incidents/{incident_id}/waive", json={**WAIVER, "rerun": False})
    assert [outcome["state"] for outcome in answer.json()["reruns"]] == ["not asked"]
    assert read_states(run_id) == BLOCKED


def test_where_airflow_does_not_clear_the_decision_stands_and_says_so(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], dag: None
) -> None:
    incident_id = fail(run_id="manual__that_was_deleted")
    answer = bearer("admin").post(f"{BASE}/incidents/{incident_id}/waive", json=WAIVER)
    assert answer.status_code == 200
    assert [outcome["state"] for outcome in answer.json()["reruns"]] == ["failed"]
    said = answer.json()["detail"]
    assert "Airflow answered 404" in said
    assert "The decision stands. Clear the task gate of the run manual__that_was_deleted of flights" in said
    detail = bearer("viewer").get(f"{BASE}/incidents/{incident_id}").json()
    assert [found["state"] for found in detail["partitions"]] == ["waived"]
    assert any("Could not clear gate" in said for said in read_comments(bearer("viewer"), incident_id))


def test_a_task_that_the_run_does_not_have_is_no_success(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], run_id: str
) -> None:
    incident_id = fail(run_id=run_id, task_id="gate_of_old")
    answer = bearer("admin").post(f"{BASE}/incidents/{incident_id}/waive", json=WAIVER)
    (outcome,) = answer.json()["reruns"]
    assert (outcome["state"], outcome["cleared"]) == ("failed", 0)
    assert read_states(run_id) == BLOCKED


def test_many_incidents_of_one_gate_clear_it_once(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], run_id: str
) -> None:
    ids = [fail(run_id=run_id, check_id="one"), fail(run_id=run_id, check_id="two", task_id="train")]
    answer = bearer("admin").post(f"{BASE}/incidents/bulk", json={"action": "waive", "ids": ids, **WAIVER})
    assert answer.status_code == 207
    found = answer.json()["results"]
    assert [(item["id"], item["status"], [each["state"] for each in item["reruns"]]) for item in found] == [
        (ids[0], 200, ["cleared"]),
        (ids[1], 200, ["cleared"]),
    ]
    assert read_states(run_id) == CLEARED


def test_a_page_of_the_browser_clears_too(
    browser: Callable[[str], TestClient], fail: Callable[..., int], run_id: str
) -> None:
    from headrace.ui.csrf import HEADER, sign_user

    incident_id = fail(run_id=run_id)
    headers = {HEADER: sign_user("user"), "Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    answer = browser("user").post(f"{BASE}/incidents/{incident_id}/waive", json=WAIVER, headers=headers)
    assert [outcome["state"] for outcome in answer.json()["reruns"]] == ["cleared"]
    assert read_states(run_id) == CLEARED


def test_airflows_audit_log_names_the_user(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], run_id: str
) -> None:
    incident_id = fail(run_id=run_id)
    bearer("op").post(f"{BASE}/incidents/{incident_id}/waive", json=WAIVER)
    logs = bearer("admin").get("/api/v2/eventLogs", params={"dag_id": "flights", "order_by": "-event_log_id"}).json()
    newest = next(entry for entry in logs["event_logs"] if entry["event"] == "post_clear_task_instances")
    assert newest["owner"] == "op"
