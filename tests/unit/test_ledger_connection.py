"""Where the ledger is, read without airflow."""

import json
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from headrace.exceptions import ConfigurationError
from headrace.ledger_connection import build_postgres_url, parse_connection, resolve_ledger_url
from headrace.settings import load_settings

SECRET = "p@ss/w:rd é"


@pytest.fixture
def conn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__HEADRACE__LEDGER_CONN_ID", "Ledger")
    return monkeypatch


def test_without_a_connection_it_is_a_file(conn: pytest.MonkeyPatch, tmp_path: Path) -> None:
    conn.delenv("AIRFLOW__HEADRACE__LEDGER_CONN_ID")
    url = resolve_ledger_url(load_settings())
    assert (url.drivername, url.database) == ("sqlite", str(tmp_path / ".headrace/ledger/ledger.sqlite"))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_every_way_to_write_postgres_is_psycopg_3(conn: pytest.MonkeyPatch, scheme: str) -> None:
    text = f"{scheme}://me:p%40ss%2Fw%3Ard%20%C3%A9@Db.example.com:5433/led%20ger?sslmode=require&cursor=dictcursor"
    conn.setenv("AIRFLOW_CONN_LEDGER", text)
    url = resolve_ledger_url(load_settings())
    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg", "me", SECRET)
    assert (url.host, url.port, url.database) == ("Db.example.com", 5433, "led ger")
    assert dict(url.query) == {"sslmode": "require"}, "what only Airflow's hook knows stays out"
    assert "w:rd" not in f"{url} {url!r}"


def test_json_and_extras_are_read(conn: pytest.MonkeyPatch) -> None:
    fields = {"conn_type": "postgres", "host": "db", "login": "me", "password": SECRET, "port": "5432", "schema": "l"}
    conn.setenv("AIRFLOW_CONN_LEDGER", json.dumps({**fields, "extra": {"connect_timeout": 5, "options": None}}))
    url = resolve_ledger_url(load_settings())
    assert (url.password, url.port, dict(url.query)) == (SECRET, 5432, {"connect_timeout": "5"})
    conn.setenv("AIRFLOW_CONN_LEDGER", "postgres://db/l?__extra__=%7B%22sslmode%22%3A%20%22disable%22%7D")
    assert dict(resolve_ledger_url(load_settings()).query) == {"sslmode": "disable"}


def test_a_folder_of_sockets_keeps_its_capitals_and_survives_being_text(conn: pytest.MonkeyPatch) -> None:
    conn.setenv("AIRFLOW_CONN_LEDGER", "postgres://me@%2Ftmp%2FpgXy:5433/ledger")
    url = make_url(resolve_ledger_url(load_settings()).render_as_string(hide_password=False))
    assert (url.host, url.port, dict(url.query)) == (None, 5433, {"host": "/tmp/pgXy"})


@pytest.mark.parametrize(
    "text",
    [
        f"me:{SECRET}",
        "postgres://me:w%3Ard@db:w:rd/l",
        "{" + SECRET,
        json.dumps({"password": SECRET}),
        json.dumps({"conn_type": "postgres", "port": SECRET}),
        f"postgres://me@db/l?__extra__={SECRET}",
    ],
)
def test_what_cannot_be_read_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="AIRFLOW_CONN_LEDGER is neither a URI nor JSON") as caught:
        parse_connection("Ledger", text)
    chain = f"{caught.value} {caught.value.__cause__} {caught.value.attrs()}"
    assert "w:rd" not in chain
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_another_database_is_refused() -> None:
    parts = parse_connection("ledger", "mysql://me:secret@db/l")
    assert "secret" not in repr(parts)
    with pytest.raises(ConfigurationError, match=r"'ledger' is of type 'mysql': it must be of type 'postgres'"):
        build_postgres_url(parts)
