"""An api-server that is killed: what it answered is recorded once, and what it did not get to can still be done."""

import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from threading import Event

import httpx
import pytest
from ledger_book import Book

from headrace.ledger.database import open_ledger
from headrace.ledger.quarantine import QuarantinedSet, record_quarantine
from headrace.ledger.recording import record_results
from headrace.ledger.views import TaskTry

from .api_server import ADMIN, Server
from .conftest import FAILED

API = "headrace/api/v1/incidents"
DAG_FILE = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("flights", schedule=None):
    land, gate, train = (EmptyOperator(task_id=name) for name in ("land", "gate", "train"))
    land >> gate >> train
"""
BLOCKED = {"land": "success", "gate": "failed", "train": "upstream_failed"}
CLEARED = {"land": "success", "gate": None, "train": None}
DECISION = {"partition_keys": ["2013-02"], "reason": "the sensor was broken that day"}
ASIDE = {"failed_rows": 1, "quarantined_rows": 1, "total_rows": 2010}
KILLS = 3
MOST_ANSWERS = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("killed"), workers=1)
    (found.folder / "dags" / "flights.py").write_text(DAG_FILE)
    found.airflow("db", "migrate")
    found.airflow("dags", "reserialize")  # as the dag-processor makes it known
    try:
        found.start()
        yield found
    finally:
        found.kill()


@pytest.fixture
def book(server: Server) -> Iterator[Book]:
    with open_ledger(server.ledger_path) as ledger:
        yield Book(ledger)


def start_blocked_run(server: Server, run_id: str) -> None:
    """Make a run that failed at its gate."""
    body = {"dag_run_id": run_id, "logical_date": None}
    assert server.act("api/v2/dags/flights/dagRuns", **body).status_code == 200
    with closing(sqlite3.connect(server.metadata_path, timeout=60)) as metadata, metadata:
        for task_id, state in BLOCKED.items():
            where = "WHERE run_id = ? AND task_id = ?"
            metadata.execute(f"UPDATE task_instance SET state = ? {where}", (state, run_id, task_id))
        metadata.execute("UPDATE dag_run SET state = 'failed' WHERE run_id = ?", (run_id,))


def read_states(server: Server, run_id: str) -> dict[str, str | None]:
    with closing(sqlite3.connect(server.metadata_path, timeout=60)) as metadata:
        return dict(metadata.execute("SELECT task_id, state FROM task_instance WHERE run_id = ?", (run_id,)))


def fail(book: Book, run_id: str, check_id: str, **aside: int) -> int:
    """Record a failing check of the run's gate, which may set its rows aside; return its incident."""
    task, result = TaskTry("flights", run_id, "gate"), replace(FAILED, check_id=check_id, **aside)
    (incident_id,) = record_results(book.ledger, task, [result]).opened
    if aside:
        held = QuarantinedSet("raw.weather", "raw.weather", "2013-02", result, 1, 2010, "too windy")
        record_quarantine(book.ledger, task, [held])
    return incident_id


def wait_for(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def press(server: Server, incident_id: int, action: str) -> httpx.Response:
    """Do what the page's button does."""
    page = server.ask("GET", f"headrace/incidents/{incident_id}").text
    found = re.search(r'<meta name="csrf" content="([^"]+)"', page)
    assert found, page[:2000]
    headers = {"X-Headrace-CSRF": found[1], "Origin": server.address, "Sec-Fetch-Site": "same-origin"}
    return server.ask("POST", f"{API}/{incident_id}/{action}", json={}, headers=headers)


@pytest.mark.parametrize(
    ("action", "aside", "decided", "told"),
    [
        ("waive", {}, ["opened", "waived", "resolved"], ["opened", "resolved"]),
        ("release", ASIDE, ["opened", "release_requested"], ["opened"]),
    ],
    ids=["waive", "release"],
)
def test_killed_between_the_decision_and_the_clearing_of_its_tasks(
    server: Server, book: Book, action: str, aside: Mapping[str, int], decided: list[str], told: list[str]
) -> None:
    run_id = f"manual__{action}"
    start_blocked_run(server, run_id)
    incident_id = fail(book, run_id, action, **aside)
    with ThreadPoolExecutor(1) as pool, closing(sqlite3.connect(server.metadata_path, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")  # Airflow can clear nothing meanwhile
        asked = pool.submit(server.act, f"{API}/{incident_id}/{action}", **DECISION)
        wait_for(lambda: book.happened(incident_id) == decided, "nothing was decided")
        server.kill()
        assert isinstance(asked.exception(), httpx.TransportError)
        lock.execute("ROLLBACK")
    server.start()

    def list_told() -> list[str]:
        return [row.change for row in book.rows("notification", incident_id=incident_id)]

    assert (book.happened(incident_id), list_told()) == (decided, told)
    by_person = [row for row in book.rows("incident_event", incident_id=incident_id) if row.actor != "headrace"]
    assert {row.actor for row in by_person} == {ADMIN}
    assert by_person[0].detail["reason"] == DECISION["reason"]
    assert read_states(server, run_id) == BLOCKED

    again = server.act(f"{API}/{incident_id}/{action}", **DECISION)  # it is not decided twice
    assert (again.status_code, book.happened(incident_id)) == (409, decided)
    pending = {"dag_id": "flights", "run_id": run_id, "task_id": "gate", "map_index": -1}
    assert server.ask("GET", f"{API}/{incident_id}").json()["pending"] == [pending]
    assert 'id="run-again"' in server.ask("GET", f"headrace/incidents/{incident_id}").text
    answer = press(server, incident_id, "rerun")
    assert answer.status_code == 200, answer.text
    assert answer.json()["reruns"] == [{**pending, "state": "cleared", "cleared": 2, "detail": None}]
    assert read_states(server, run_id) == CLEARED
    assert book.happened(incident_id) == [*decided, "rerun_requested", "cleared"]
    assert list_told() == told
    assert 'id="run-again"' not in server.ask("GET", f"headrace/incidents/{incident_id}").text
    assert press(server, incident_id, "rerun").status_code == 409  # once is enough


class Client:
    """Goes on acting on incidents, and knows what became of each request by the text that it sent."""

    def __init__(self, server: Server, number: int, incident_ids: list[int]) -> None:
        self._server, self._number, self._ids = server, number, incident_ids
        self._random = random.Random(number)
        self.became: dict[str, str] = {}
        self.asked: dict[str, tuple[int, str]] = {}

    def go_on(self, stop: Event) -> None:
        kinds = {"acknowledge": "comment", "resolve": "reason", "reopen": "reason", "comment": "text"}
        while not stop.is_set():
            action, field = self._random.choice(list(kinds.items()))
            incident_id = self._random.choice(self._ids)
            text = f"{self._number}-{len(self.became)}"
            self.asked[text] = incident_id, action
            try:
                answer = self._server.act(f"{API}/{incident_id}/{action}", **{field: text})
            except httpx.ConnectError:
                self.became[text] = "not sent"
                stop.wait(0.3)
            except httpx.TransportError:
                self.became[text] = "unanswered"
            else:
                self.became[text] = str(answer.status_code)


KINDS = {"acknowledge": "acknowledged", "resolve": "resolved", "reopen": "reopened", "comment": "commented"}


def test_killed_again_and_again_while_people_act(server: Server, book: Book) -> None:
    ids = [fail(book, f"manual__{number}", f"stream {number}") for number in range(3)]
    clients, stop = [Client(server, number, ids) for number in range(4)], Event()

    def count_done() -> int:
        return sum(list(client.became.values()).count("200") for client in clients)

    with ThreadPoolExecutor(len(clients)) as pool:
        working = [pool.submit(client.go_on, stop) for client in clients]
        try:
            for _ in range(KILLS):
                enough = count_done() + random.randint(1, MOST_ANSWERS)
                wait_for(lambda enough=enough: count_done() >= enough, "nothing is answered")  # type: ignore[misc]
                server.kill()
                server.start()
            enough = count_done() + MOST_ANSWERS
            wait_for(lambda: count_done() >= enough, "nothing is answered any more")
        finally:
            stop.set()
        for each in working:
            each.result()
    became = {text: what for client in clients for text, what in client.became.items()}
    asked = {text: what for client in clients for text, what in client.asked.items()}
    assert set(became.values()) <= {"200", "409", "not sent", "unanswered"}, Counter(became.values())
    assert "unanswered" in became.values()

    events = [row for row in book.rows("incident_event") if row.incident_id in ids]
    texts = {row.id: next(filter(None, map(row.detail.get, ("comment", "reason", "text"))), None) for row in events}
    by_people = [row for row in events if row.actor == ADMIN]
    found = Counter(texts[row.id] for row in by_people)
    assert {texts[row.id]: (row.incident_id, row.kind) for row in by_people} == {
        text: (incident_id, KINDS[action]) for text, (incident_id, action) in asked.items() if text in found
    }
    assert {text for text, what in became.items() if what == "200"} <= set(found)
    assert set(found) <= {text for text, what in became.items() if what in ("200", "unanswered")}
    assert set(found.values()) == {1}
    for incident_id in ids:
        state = "open"
        for row in by_people:
            if row.incident_id == incident_id and "after" in row.detail:
                assert row.detail["before"] == state
                state = row.detail["after"]
        assert book.incident(incident_id).state == state
    told = [(row.id, row.kind) for row in events if row.kind in ("opened", "resolved", "reopened")]
    outbox = [(row.event_id, row.change) for row in book.rows("notification") if row.incident_id in ids]
    assert sorted(outbox) == sorted(told)
