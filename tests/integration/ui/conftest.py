"""Airflow's own app with the inbox mounted, its metadata database, its users, and a ledger with incidents."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

# Before anything imports airflow; the tests of another folder may have been first.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="headrace-test-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

import pytest
from starlette.testclient import TestClient

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.queries import list_results
from headrace.ledger.recording import record_results
from headrace.ledger.views import TaskTry

DAG_ID = "flights"
ROLES = ("viewer", "user", "op", "admin")


@dataclass(frozen=True)
class Stack:
    """The app that Airflow's api-server serves, and whom it knows."""

    app: Any
    passwords: dict[str, str]

    def client(self, **options: Any) -> TestClient:
        options = {"raise_server_exceptions": False, "follow_redirects": False} | options
        return TestClient(self.app, **options)

    def log_in(self, user: str) -> str:
        """Return a token of Airflow's, for that user's password."""
        body = {"username": user, "password": self.passwords[user]}
        answer = self.client().post("/auth/token", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["access_token"])


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Airflow's app on a database of its own, with SimpleAuthManager and one user a role."""
    folder = tmp_path_factory.mktemp("airflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{role}:{role}" for role in ROLES))
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(folder / "passwords.json"))
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "False")
        patch.setenv("AIRFLOW__API__SECRET_KEY", "a secret of the tests")
        patch.setenv(
            "AIRFLOW__API_AUTH__JWT_SECRET", "another secret of the tests, long enough for an HMAC with SHA-512"
        )
        from airflow.api_fastapi.app import create_app, purge_cached_app
        from airflow.utils import db

        db.initdb()
        purge_cached_app()
        app = create_app()
        yield Stack(app, json.loads((folder / "passwords.json").read_text()))
        purge_cached_app()


@pytest.fixture(scope="session")
def tokens(stack: Stack) -> dict[str, str]:
    return {role: stack.log_in(role) for role in ROLES}


@pytest.fixture
def bearer(stack: Stack, tokens: dict[str, str]) -> Callable[[str], TestClient]:
    """A client of the REST API, by role."""
    return lambda role: stack.client(headers={"Authorization": f"Bearer {tokens[role]}"})


@pytest.fixture
def browser(stack: Stack, tokens: dict[str, str]) -> Callable[[str], TestClient]:
    """A client that has logged in and has the cookie of the session, by role."""
    return lambda role: stack.client(cookies={"_token": tokens[role]})


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of one's own, so that the inbox opens the ledger of this test."""
    from headrace.ui import dependencies

    monkeypatch.setattr(dependencies, "RETRY_SECONDS", 0)
    (tmp_path / "project" / "dags").mkdir(parents=True)
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path / "project"))
    monkeypatch.setenv("AIRFLOW__HEADRACE__STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("AIRFLOW__HEADRACE__LEDGER_CONN_ID", raising=False)
    dependencies.forget_ledger()
    yield tmp_path / "state"
    dependencies.forget_ledger()


@pytest.fixture
def ledger(state_dir: Path) -> Iterator[Ledger]:
    with open_ledger(state_dir / "ledger" / "ledger.sqlite") as opened:
        yield opened


FAILED = CheckResult(
    tool="gx",
    dataset="raw.weather",
    partition_key="2013-02",
    check="expect_column_values_to_be_between",
    column="wind_speed",
    severity=Severity.CRITICAL,
    status=Status.FAILED,
    message="1 of 2,010 rows has wind_speed above 200 mph (1,048.36 at EWR, 12 Feb 08:00Z)",
    observed=1048.36,
    expected={"max": 200},
    failed_rows=1,
    total_rows=2010,
    sample=({"origin": "EWR", "wind_speed": 1048.36},),
    check_id="wind-speed",
)


@pytest.fixture
def fail(ledger: Ledger) -> Callable[..., int]:
    """Record a failing check as a task does; return its incident."""

    runs = count(1)

    def record(dag_id: str = DAG_ID, run_id: str | None = None, task_id: str = "gate", **changes: Any) -> int:
        task = TaskTry(dag_id, run_id or f"manual__{next(runs)}", task_id)
        result = replace(FAILED, **changes)
        record_results(ledger, task, [result], now=datetime.now(UTC))
        (found,) = list_results(ledger, dag_id=task.dag_id, run_id=task.run_id, task_id=task.task_id)
        assert found.incident_id is not None
        return found.incident_id

    return record
