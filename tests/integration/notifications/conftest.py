"""A ledger with an outbox, a real mail server, a real web server and an Airflow home; deliveries in real processes."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set before the first import of airflow; no metadata database is made unless a test asks for one."""
    home = tmp_path_factory.mktemp("airflow")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
            patch.delenv(name)
        patch.setenv("AIRFLOW_HOME", str(home))
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{home / 'airflow.db'}")
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        patch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example:8080")
        patch.setenv("AIRFLOW__USAGE_DATA_COLLECTION__ENABLED", "False")
        patch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
        yield home


@dataclass
class Mails:
    """A mail server on loopback; ``received`` grows as mails come in."""

    received: list[EmailMessage] = field(default_factory=list)
    port: int = 0
    _controller: Controller | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.received.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"

    def start(self) -> None:
        self.port = self.port or find_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    @property
    def connection(self) -> str:
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "headrace@example.com", "retry_limit": 1}
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra})


@dataclass
class Hooks:
    """A web server on loopback; ``received`` grows with (path, headers, document) of each request."""

    received: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    status: int = 200
    hang: threading.Event | None = None
    hold: threading.Event | None = None
    """Until it is set, nothing is answered."""
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if hooks.hang is not None and self.path.startswith("/hangs"):
                    hooks.hang.wait(60)
                    return
                if hooks.hold is not None:
                    hooks.hold.wait(300)
                hooks.received.append((self.path, dict(self.headers), json.loads(body or b"null")))
                self.send_response(hooks.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.port = self.port or find_port()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def connection(self) -> str:
        return json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": self.port})

    @property
    def changes(self) -> list[tuple[int, str]]:
        return [(document["incident"]["id"], document["change"]) for _, _, document in self.received]


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mails]:
    server = Mails()
    server.start()
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", server.connection)
    yield server
    server.stop()


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooks]:
    server = Hooks()
    server.start()
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", server.connection)
    yield server
    for event in (server.hang, server.hold):
        if event is not None:
            event.set()
    server.stop()


class Clock:
    """A clock that is set by hand, forwards and backwards."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@dataclass
class Desk:
    """A ledger, a routes' file and what to do with them."""

    ledger: Any
    file: Path
    clock: Clock
    environment: dict[str, str]
    told: list[Any] = field(default_factory=list)

    def write_routes(self, *routes: dict[str, Any]) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump({"routes": list(routes)}))
        fresh.replace(self.file)

    def open_incident(self, title: str = "2013-02 raw_weather: a row is wrong", **incident: Any) -> int:
        """Record an incident as tasks do, but straight into the tables: no check has to be made to fail."""
        return write_incident(self.ledger, title, **incident)

    def enqueue(self, incident_id: int, change: str, now: datetime | None = None, **payload: Any) -> int:
        return write_event(self.ledger, incident_id, change, now or self.clock(), payload)

    def make_loop(self, owner: str = "here") -> Any:
        from headrace.airflow.notifier_loop import NotifierLoop

        base_url = "http://airflow.example:8080"
        return NotifierLoop(self.ledger, self.file, base_url, owner, clock=self.clock, tell=self.told.append)

    def drain(self, loop: Any = None, until: Callable[[], bool] = lambda: False, seconds: float = 30) -> Any:
        """Step until nothing is due and nothing runs, or ``until`` holds; returns the loop."""
        loop = loop or self.make_loop()
        deadline = time.monotonic() + seconds
        while loop.step() or not loop.is_idle:
            if until():
                break
            assert time.monotonic() < deadline, "the notifier does not come to rest"
            loop.wait(0.02)
        return loop

    def rows(self, *columns: str, delivered_to: str | None = None) -> list[Any]:
        from sqlalchemy import select

        from headrace.ledger.schema import notification

        query = select(*(notification.c[name] for name in columns)).where(notification.c.route.is_not(None))
        if delivered_to is not None:
            query = query.where(notification.c.route == delivered_to)
        with self.ledger.connect() as connection:
            rows = connection.execute(query.order_by(notification.c.id)).all()
        return [row[0] if len(columns) == 1 else tuple(row) for row in rows]


def write_incident(ledger: Any, title: str, **incident: Any) -> int:
    from sqlalchemy import insert

    from headrace.ledger import schema

    severity = incident.get("severity", "critical")
    with ledger.begin() as connection:

        def add(table: Any, **values: Any) -> int:
            return int(connection.execute(insert(table).values(**values).returning(table.c.id)).scalar_one())

        number = incident.pop("number", time.monotonic_ns())
        dataset = incident.get("dataset", "raw_weather")
        check_id = add(
            schema.check, digest=f"{number}", dataset=dataset, tool="gx", name="expect_range", column="wind", meta={}
        )
        incident_id = add(
            schema.incident,
            **{
                "check_id": check_id,
                "dataset": dataset,
                "tool": "gx",
                "dag_id": "flights",
                "search": title,
                "state": "open",
                "severity_rank": schema.severity_number[severity],
                "severity": severity,
                "title": title,
                "owner": None,
                "tier": None,
                "opened_at": NOW,
                "first_seen": NOW,
                "last_seen": NOW,
                "occurrences": 1,
                "failing_partitions": 1,
                "reopened": 0,
                "flapping": False,
                "passes_in_row": 0,
                "told": True,
                **incident,
            },
        )
        connection.execute(
            insert(schema.incident_partition).values(
                incident_id=incident_id,
                partition_key="2013-02",
                state="failing",
                failures=1,
                first_seen=NOW,
                last_seen=NOW,
            )
        )
        return incident_id


def write_event(ledger: Any, incident_id: int, change: str, now: datetime, payload: dict[str, Any]) -> int:
    """Write an event of a timeline and enqueue it, as one transaction; the payload is built as the ledger builds it."""
    from headrace.ledger.incidents import Entry, load_cases, write_timeline
    from headrace.quality.incidents import Change

    with ledger.begin() as connection:
        (case,) = load_cases(connection, incident_ids=[incident_id]).values()
        for name, value in payload.items():
            setattr(case, name, value)
        entry = Entry(case, change, change=Change(change), tell=True)
        write_timeline(connection, [entry], now)
    return incident_id


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    from sqlalchemy import make_url

    from headrace.ledger.database import open_ledger

    state = tmp_path / "state"
    address: Any = state / "ledger" / "ledger.sqlite"
    environment = {"AIRFLOW__HEADRACE__STATE_DIR": str(state)}
    if request.param == "postgres":
        address = make_url(request.getfixturevalue("postgres").create_database())
        connection = {
            "conn_type": "postgres",
            "host": address.query["host"],
            "login": address.username,
            "schema": address.database,
        }
        environment |= {
            "AIRFLOW__HEADRACE__LEDGER_CONN_ID": "ledger",
            "AIRFLOW_CONN_LEDGER": json.dumps(connection),
        }
    with open_ledger(address) as ledger:
        yield Desk(ledger, tmp_path / "notifications.yaml", clock, environment)


def mail_route(name: str = "mail", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
        "arguments": {"smtp_conn_id": "mail", "to": "on-call@example.com"},
        **more,
    }


def hook_route(name: str = "hook", path: str = "alerts", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "notifier": "airflow.providers.http.notifications.HttpNotifier",
        "arguments": {"http_conn_id": "hook", "endpoint": path},
        **more,
    }
