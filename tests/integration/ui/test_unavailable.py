"""The ledger is absent, locked, replaced or newer: plain words and 503, and it works again when the ledger does."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.ledger import database

BASE = "/headrace/api/v1"


def make_ledger(state_dir: Path) -> None:
    database.open_ledger(state_dir / "ledger" / "ledger.sqlite").dispose()


def test_a_ledger_that_is_not_there_is_missed_and_not_made(
    bearer: Callable[[str], TestClient], browser: Callable[[str], TestClient], state_dir: Path
) -> None:
    answer = bearer("viewer").get(f"{BASE}/overview")
    assert (answer.status_code, "ledger.sqlite) does not exist" in answer.json()["detail"]) == (503, True)
    page = browser("viewer").get("/headrace/incidents", headers={"Accept": "text/html"})
    assert (page.status_code, "does not exist" in page.text) == (503, True)
    assert not state_dir.exists()
    make_ledger(state_dir)
    assert bearer("viewer").get(f"{BASE}/overview").status_code == 200


def test_the_place_of_the_ledger_is_no_folder(bearer: Callable[[str], TestClient], state_dir: Path) -> None:
    client = bearer("viewer")
    state_dir.write_text("in the way")
    answer = client.get(f"{BASE}/overview")
    assert answer.status_code == 503
    assert "ledger" in answer.json()["detail"]
    assert answer.headers["Retry-After"]
    state_dir.unlink()
    make_ledger(state_dir)
    assert client.get(f"{BASE}/overview").status_code == 200


def test_the_ledger_is_removed_and_its_next_task_makes_it_anew(
    bearer: Callable[[str], TestClient], state_dir: Path, fail: Callable[..., int]
) -> None:
    client = bearer("viewer")
    incident_id = fail()
    assert client.get(f"{BASE}/incidents/{incident_id}").status_code == 200
    shutil.rmtree(state_dir / "ledger")
    assert client.get(f"{BASE}/incidents").status_code == 503
    make_ledger(state_dir)
    assert client.get(f"{BASE}/incidents").json()["rows"] == []


def test_the_ledger_is_of_a_newer_headrace(
    bearer: Callable[[str], TestClient], state_dir: Path, ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.ui.dependencies import forget_ledger

    client = bearer("viewer")
    with sqlite3.connect(state_dir / "ledger" / "ledger.sqlite") as connection:
        (version,) = connection.execute("SELECT version_num FROM ledger_version").fetchone()
        connection.execute("UPDATE ledger_version SET version_num = '9999'")
    forget_ledger()
    answer = client.get(f"{BASE}/incidents")
    assert (answer.status_code, "9999" in answer.json()["detail"]) == (503, True)
    with sqlite3.connect(state_dir / "ledger" / "ledger.sqlite") as connection:
        connection.execute("UPDATE ledger_version SET version_num = ?", (version,))
    assert client.get(f"{BASE}/incidents").status_code == 200


def test_a_table_is_gone_while_the_ledger_is_open(
    bearer: Callable[[str], TestClient], state_dir: Path, ledger: Any
) -> None:
    client = bearer("viewer")
    assert client.get(f"{BASE}/incidents").status_code == 200
    with sqlite3.connect(state_dir / "ledger" / "ledger.sqlite") as connection:
        connection.execute("ALTER TABLE incident RENAME TO elsewhere")
    answer = client.get(f"{BASE}/incidents")
    assert answer.status_code == 503
    assert "SELECT" not in answer.text
    assert "Traceback" not in answer.text
    with sqlite3.connect(state_dir / "ledger" / "ledger.sqlite") as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO incident")
    assert client.get(f"{BASE}/incidents").status_code == 200


def test_a_locked_ledger_is_read_but_not_written(
    bearer: Callable[[str], TestClient], state_dir: Path, fail: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.ui.dependencies import forget_ledger

    incident_id = fail()
    client = bearer("admin")
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.2)
    forget_ledger()
    writer = sqlite3.connect(state_dir / "ledger" / "ledger.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert client.get(f"{BASE}/incidents/{incident_id}").status_code == 200
        answer = client.post(f"{BASE}/incidents/{incident_id}/comment", json={"text": "hello"})
        assert answer.status_code == 503
        assert "INSERT" not in answer.text
    finally:
        writer.execute("ROLLBACK")
        writer.close()
    assert client.post(f"{BASE}/incidents/{incident_id}/comment", json={"text": "hello"}).status_code == 200


def test_no_postgres_answers_and_its_password_is_not_told(
    bearer: Callable[[str], TestClient], state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.ui.dependencies import forget_ledger

    monkeypatch.setenv("AIRFLOW__HEADRACE__LEDGER_CONN_ID", "ledger_that_is_down")
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER_THAT_IS_DOWN", "postgres://anna:hunter2@127.0.0.1:1/ledger")
    forget_ledger()
    answer = bearer("viewer").get(f"{BASE}/incidents")
    assert answer.status_code == 503
    assert "hunter2" not in answer.text
    assert "127.0.0.1" in answer.json()["detail"]
    monkeypatch.setenv("AIRFLOW__HEADRACE__LEDGER_CONN_ID", "no_such_connection")
    assert "no_such_connection" in bearer("viewer").get(f"{BASE}/incidents").json()["detail"]


def test_a_fault_of_ours_is_told_without_its_trace(
    bearer: Callable[[str], TestClient], ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.ui import api_read

    def break_down(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a secret of the code")

    monkeypatch.setattr(api_read.queries, "load_overview", break_down)
    answer = bearer("viewer").get(f"{BASE}/overview")
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert answer.headers["Content-Security-Policy"]


def test_a_ledger_that_cannot_be_opened_is_not_tried_by_every_request(
    bearer: Callable[[str], TestClient], state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying may take 10 s on Postgres, on threads that Airflow's own pages need."""
    from headrace.ui import dependencies

    monkeypatch.setattr(dependencies, "RETRY_SECONDS", 3600)
    client = bearer("viewer")
    state_dir.write_text("in the way")
    first = client.get(f"{BASE}/overview")
    state_dir.unlink()
    make_ledger(state_dir)
    assert (first.status_code, client.get(f"{BASE}/overview").json()) == (503, first.json())
    monkeypatch.setattr(dependencies, "RETRY_SECONDS", 0)
    assert client.get(f"{BASE}/overview").status_code == 200
