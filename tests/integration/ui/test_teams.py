"""A DAG that the user may not read: what it recorded is not there, in lists and counts and beside other incidents."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from model_book import MODEL, register
from starlette.testclient import TestClient

from headrace.contracts.lineage import Dataset, Lineage
from headrace.ledger.database import Ledger
from headrace.ledger.lineage import sync_lineage
from headrace.ledger.quarantine import QuarantinedSet, record_quarantine
from headrace.ledger.training import record_training
from headrace.ledger.views import TaskTry
from headrace.settings import load_settings

from .conftest import DAG_ID, FAILED

BASE = "/headrace/api/v1"
SECRET = "payments"


@pytest.fixture(autouse=True, scope="module")
def team(stack: Any) -> Iterator[None]:
    """A DAG of a team of Airflow's, of which only admins are."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.team import Team, dag_bundle_team_association_table
    from airflow.utils.session import create_session
    from sqlalchemy import delete, insert

    with create_session() as session:
        session.add_all([Team(name="red"), DagBundleModel(name="red-bundle")])
        session.flush()
        session.add(DagModel(dag_id=SECRET, bundle_name="red-bundle"))
        session.execute(insert(dag_bundle_team_association_table).values(dag_bundle_name="red-bundle", team_name="red"))
    yield
    with create_session() as session:
        session.execute(delete(DagModel).where(DagModel.dag_id == SECRET))
        session.execute(delete(DagBundleModel).where(DagBundleModel.name == "red-bundle"))
        session.execute(delete(Team).where(Team.name == "red"))


@pytest.fixture
def chain(ledger: Ledger) -> None:
    """A dataset of everybody's that is made from the hidden DAG's."""
    datasets = tuple(Dataset(name=name, kind="model") for name in ("raw.payments", "marts.flights"))
    sync_lineage(ledger, Lineage("test", "1", datasets, (("raw.payments", "marts.flights"),)))


def test_lists_and_counts_leave_it_out(bearer: Callable[[str], TestClient], fail: Callable[..., int]) -> None:
    secret = fail(dag_id=SECRET, dataset="raw.payments")
    open_to_all = fail()

    def see(role: str) -> tuple[Any, ...]:
        client = bearer(role)
        page = client.get(f"{BASE}/incidents").json()
        return (
            sorted(row["id"] for row in page["rows"]),
            page["total"],
            page["counts"]["open"],
            client.get(f"{BASE}/overview").json()["counts"]["open"],
            len(client.get(f"{BASE}/verdicts?dataset=raw.payments&partition_key=2013-02").json()["verdicts"]),
        )

    assert see("admin") == ([secret, open_to_all], 2, 2, 2, 1)
    assert see("viewer") == ([open_to_all], 1, 1, 1, 0)
    assert see("op") == ([open_to_all], 1, 1, 1, 0)


def test_a_user_who_may_read_no_dag_sees_nothing(bearer: Callable[[str], TestClient], fail: Callable[..., int]) -> None:
    fail(dag_id=SECRET)
    assert bearer("viewer").get(f"{BASE}/incidents").json()["rows"] == []


def test_it_is_answered_as_if_it_were_not_there(bearer: Callable[[str], TestClient], fail: Callable[..., int]) -> None:
    secret = fail(dag_id=SECRET)
    client = bearer("op")
    for path in (
        f"incidents/{secret}",
        f"incidents/{secret}/results",
        f"results?dag_id={SECRET}&run_id=manual__1",
        f"verdicts?dag_id={SECRET}",
    ):
        assert client.get(f"{BASE}/{path}").status_code == 404, path
        assert bearer("admin").get(f"{BASE}/{path}").status_code == 200, path
    body = {"text": "hello"}
    unknown = client.post(f"{BASE}/incidents/{secret + 1}/comment", json=body)
    hidden = client.post(f"{BASE}/incidents/{secret}/comment", json=body)
    assert (hidden.status_code, unknown.status_code) == (404, 404)
    assert hidden.json()["detail"].replace(str(secret), "?") == unknown.json()["detail"].replace(str(secret + 1), "?")
    bulk = client.post(f"{BASE}/incidents/bulk", json={"action": "comment", "ids": [secret], **body})
    assert [found["status"] for found in bulk.json()["results"]] == [404]


def test_a_check_that_a_hidden_dag_shares_is_not_decided_on(
    bearer: Callable[[str], TestClient], fail: Callable[..., int]
) -> None:
    """A waiver would count for the hidden DAG too."""
    incident_id = fail(dag_id=SECRET)
    assert fail() == incident_id
    assert len(bearer("admin").get(f"{BASE}/incidents/{incident_id}").json()["results"]) == 2
    assert len(bearer("op").get(f"{BASE}/incidents/{incident_id}").json()["results"]) == 1
    answer = bearer("op").post(f"{BASE}/incidents/{incident_id}/acknowledge", json={})
    assert answer.status_code == 403
    assert SECRET not in answer.text
    assert bearer("admin").post(f"{BASE}/incidents/{incident_id}/acknowledge", json={}).status_code == 200


def test_beside_another_incident_it_is_left_out(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], chain: None
) -> None:
    cause = fail(dag_id=SECRET, dataset="raw.payments")
    consequence = fail(dataset="marts.flights")

    def see(role: str) -> tuple[Any, ...]:
        detail = bearer(role).get(f"{BASE}/incidents/{consequence}").json()
        return (
            detail["cause"] and detail["cause"]["id"],
            sorted(id_ for node in detail["graph"]["nodes"] for id_ in node["incident_ids"]),
            sorted(node["name"] for node in detail["graph"]["nodes"]),
        )

    names = ["marts.flights", "raw.payments"]
    assert see("admin") == (cause, [cause, consequence], names)
    assert see("viewer") == (None, [consequence], names)


def test_a_consequence_of_a_hidden_incident_is_listed_by_itself(
    bearer: Callable[[str], TestClient], fail: Callable[..., int], chain: None
) -> None:
    """Who may not see the cause would else not find out that anything fails."""
    cause, consequence = fail(dag_id=SECRET, dataset="raw.payments"), fail(dataset="marts.flights")

    def see(role: str) -> tuple[list[int], int, int]:
        page = bearer(role).get(f"{BASE}/incidents").json()
        counts = bearer(role).get(f"{BASE}/overview").json()["counts"]
        return [row["id"] for row in page["rows"]], page["counts"]["open"], counts["open"]

    assert see("admin") == ([cause], 1, 1)
    assert see("viewer") == ([consequence], 1, 1)


def test_numbers_of_hidden_incidents_and_runs_are_neither_named_nor_counted(
    bearer: Callable[[str], TestClient],
    browser: Callable[[str], TestClient],
    fail: Callable[..., int],
    ledger: Ledger,
    chain: None,
) -> None:
    cause, consequence = fail(dag_id=SECRET, dataset="raw.payments"), fail(dataset="marts.flights")
    own = fail(dataset="raw.own")  # also made to fail by the hidden DAG, which was stopped by it as well
    fail(dag_id=SECRET, dataset="raw.own", run_id="hidden-run")
    fail(dataset="raw.own")
    for pipeline, dag_id in (("hidden_model", SECRET), ("model", DAG_ID)):
        record_training(
            ledger,
            pipeline,
            dag_id,
            "run",
            "2013-02",
            trained_on={"raw.own": ["2013-02"]},
            blessed=True,
            pushed_to=None,
        )

    def see(role: str) -> tuple[Any, ...]:
        client = bearer(role)
        detail = client.get(f"{BASE}/incidents/{consequence}").json()
        grouped = [event["detail"] for event in detail["events"] if event["kind"] == "grouped"]
        rows = {row["id"]: row for row in client.get(f"{BASE}/incidents?consequences=true").json()["rows"]}
        reached = client.get(f"{BASE}/incidents/{own}").json()
        return (
            detail["row"]["caused_by"],
            [each["caused_by"] for each in detail["partitions"]],
            [(each["after"], each["caused_by"]) for each in grouped],
            rows[consequence]["caused_by"],
            (rows[own]["blocked_runs"], rows[own]["models"]),
            (reached["row"]["blocked_runs"], len(reached["blast"]["dag_runs"])),
            (reached["row"]["models"], len(reached["blast"]["models"])),
        )

    assert see("admin") == (cause, [cause], [(cause, cause)], cause, (3, 2), (3, 3), (2, 2))
    assert see("viewer") == (None, [None], [(None, None)], None, (2, 1), (2, 2), (1, 1))
    pages = [f"/headrace/incidents/{consequence}", "/headrace/incidents?consequences=1", f"/headrace/incidents/{own}"]
    shown = {role: "".join(browser(role).get(path).text for path in pages) for role in ("admin", "viewer")}
    for secret in (f'/incidents/{cause}"', "hidden-run", "hidden_model"):
        assert secret in shown["admin"], secret
        assert secret not in shown["viewer"], secret


def test_consequences_of_a_hidden_dag_are_not_counted(
    bearer: Callable[[str], TestClient],
    browser: Callable[[str], TestClient],
    fail: Callable[..., int],
    ledger: Ledger,
) -> None:
    datasets = tuple(Dataset(name=name, kind="model") for name in ("raw.flights", "marts.payments"))
    sync_lineage(ledger, Lineage("test", "1", datasets, (("raw.flights", "marts.payments"),)))
    cause, hidden = fail(dataset="raw.flights"), fail(dag_id=SECRET, dataset="marts.payments")

    def see(role: str) -> tuple[Any, ...]:
        (row,) = bearer(role).get(f"{BASE}/incidents").json()["rows"]
        detail = bearer(role).get(f"{BASE}/incidents/{cause}").json()
        return row["consequences"], detail["row"]["consequences"], [each["id"] for each in detail["consequences"]]

    assert see("admin") == (1, 1, [hidden])
    assert see("viewer") == (0, 0, [])
    assert "1 consequence" in browser("admin").get("/headrace/incidents").text
    assert "1 consequence" not in browser("viewer").get("/headrace/incidents").text
    nested = f"/headrace/incidents/{cause}/consequences"
    assert f'data-id="{hidden}"' in browser("admin").get(nested).text
    assert f'data-id="{hidden}"' not in browser("viewer").get(nested).text


def test_what_a_hidden_dag_set_aside_is_not_there(
    bearer: Callable[[str], TestClient],
    browser: Callable[[str], TestClient],
    fail: Callable[..., int],
    ledger: Ledger,
) -> None:
    fail(dag_id=SECRET, run_id="set-aside", dataset="raw.payments")
    held = [{"row_id": "1", "row": {"iban": "DE00 1234"}}]
    task, result = TaskTry(SECRET, "set-aside", "gate"), replace(FAILED, dataset="raw.payments")
    record_quarantine(
        ledger, task, [QuarantinedSet("raw.payments", "raw.payments", "2013-02", result, 1, 9, "no", held)]
    )
    (row,) = bearer("admin").get(f"{BASE}/quarantine").json()["quarantine"]
    assert bearer("viewer").get(f"{BASE}/quarantine").json()["quarantine"] == []
    for path in (f"{BASE}/quarantine/{row['id']}", f"/headrace/quarantine/{row['id']}"):
        assert "DE00 1234" in browser("admin").get(path).text
        hidden = browser("viewer").get(path)
        assert hidden.status_code == 404
        assert "payments" not in hidden.text
    assert "raw.payments" in browser("admin").get("/headrace/quarantine").text
    assert "raw.payments" not in browser("viewer").get("/headrace/quarantine").text
    body = {"reason": "it is fine", "row_ids": None}
    assert bearer("op").post(f"{BASE}/quarantine/{row['id']}/release", json=body).status_code == 404


def test_a_model_of_a_hidden_dag_is_neither_listed_nor_shown(
    ledger: Ledger, browser: Callable[[str], TestClient]
) -> None:
    register(ledger, load_settings(), 1, dag_id=SECRET)
    assert MODEL in browser("admin").get("/headrace/models").text
    assert MODEL not in browser("viewer").get("/headrace/models").text
    for path in (MODEL, f"{MODEL}/compare?a=1&b=1"):
        assert browser("admin").get(f"/headrace/models/{path}").status_code == 200
        assert browser("viewer").get(f"/headrace/models/{path}").status_code == 404
