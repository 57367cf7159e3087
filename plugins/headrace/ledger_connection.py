"""Where the ledger is: a SQLite file, or the Postgres that an Airflow connection names; orchestration interpreter.

Imports no airflow, so that a command line starts at once. Inside Airflow see :mod:`headrace.airflow.ledger`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy import URL

from headrace.exceptions import ConfigurationError
from headrace.settings import Settings

DRIVER = "postgresql+psycopg"
EXTRA_IN_URI = "__extra__"
ASK_SECONDS = 120
# What Airflow's own PostgresHook keeps in a connection's extra, and libpq does not know.
HOOK_EXTRAS = frozenset(
    {
        "aws_conn_id",
        "azure_conn_id",
        "cluster-identifier",
        "cursor",
        "iam",
        "redshift",
        "redshift-serverless",
        "sqlalchemy_query",
        "sqlalchemy_scheme",
        "workgroup-name",
    }
)


@dataclass(frozen=True)
class ConnectionParts:
    """An Airflow connection; what is secret in it stays out of its repr."""

    conn_id: str
    conn_type: str
    host: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    port: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def resolve_ledger_url(settings: Settings) -> URL:
    """Return where the ledger is, without importing airflow.

    A connection is looked for where a command line can: in ``AIRFLOW_CONN_<ID>``, else by asking the ``airflow``
    beside this interpreter, which knows the secrets backends and the metadata database and takes some seconds.

    Raises:
        ConfigurationError: The connection cannot be found, or is not of a Postgres.
    """
    if settings.ledger_conn_id is None:
        return build_sqlite_url(settings.ledger_path)
    text = os.environ.get(f"AIRFLOW_CONN_{settings.ledger_conn_id.upper()}")
    parts = (
        parse_connection(settings.ledger_conn_id, text) if text else ask_airflow_for_connection(settings.ledger_conn_id)
    )
    return build_postgres_url(parts)


def build_sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file."""
    return URL.create("sqlite", database=str(path))


def build_postgres_url(parts: ConnectionParts) -> URL:
    """Return the URL of a connection, always for psycopg 3; its repr hides the password.

    Raises:
        ConfigurationError: The connection is not of a Postgres.
    """
    if parts.conn_type.partition("+")[0] not in ("postgres", "postgresql"):
        raise ConfigurationError(
            f"The ledger's connection {parts.conn_id!r} is of type {parts.conn_type!r}: it must be of type 'postgres'. "
            f"Without ledger_conn_id the ledger is a SQLite file."
        )
    options = {name: str(value) for name, value in parts.extra.items() if name not in HOOK_EXTRAS and value is not None}
    is_socket = (parts.host or "").startswith("/")
    if is_socket:
        options["host"] = str(parts.host)  # the only place where a folder survives being written as text
    return URL.create(
        DRIVER,
        username=parts.login or None,
        password=parts.password or None,
        host=None if is_socket else parts.host or None,
        port=parts.port or None,
        database=parts.schema or None,
        query=options,
    )


def parse_connection(conn_id: str, text: str) -> ConnectionParts:
    """Parse a connection as Airflow reads it from the environment: a URI, or JSON.

    Raises:
        ConfigurationError: It is neither; the message does not repeat it, for it may hold a password.
    """
    wrong = (
        f"The connection {conn_id!r} in AIRFLOW_CONN_{conn_id.upper()} is neither a URI nor JSON as Airflow reads it"
    )
    try:
        if text.lstrip().startswith("{"):
            return _read_fields(conn_id, json.loads(text))
        address = urlsplit(text)
        port = address.port
        extra = dict(parse_qsl(address.query, keep_blank_values=True))
        whole = json.loads(extra.pop(EXTRA_IN_URI)) if EXTRA_IN_URI in extra else {}
        if "://" not in text or not address.scheme or not isinstance(whole, dict):
            raise ConfigurationError(wrong)
    except (ValueError, TypeError):
        raise ConfigurationError(wrong) from None  # the error behind it quotes what could not be read
    return ConnectionParts(
        conn_id=conn_id,
        conn_type=address.scheme,
        host=_read_host(address.netloc),
        login=unquote(address.username or "") or None,
        password=unquote(address.password or "") or None,
        schema=unquote(address.path.removeprefix("/")) or None,
        port=port,
        extra={**extra, **whole},
    )


def ask_airflow_for_connection(conn_id: str) -> ConnectionParts:
    """Ask ``airflow connections get``, in a process of its own.

    Raises:
        ConfigurationError: Airflow does not know the connection, or gave no answer.
    """
    command = [sys.executable, "-m", "airflow", "connections", "get", conn_id, "-o", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ASK_SECONDS)
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"'airflow connections get {conn_id}' gave no answer in {ASK_SECONDS} s: "
            f"set AIRFLOW_CONN_{conn_id.upper()}."
        ) from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigurationError(
            f"The ledger's connection {conn_id!r} (ledger_conn_id in airflow.cfg's [headrace] section) cannot be read: "
            f"{said} Make it with 'airflow connections add {conn_id} …', or set AIRFLOW_CONN_{conn_id.upper()}."
        )
    try:
        start = done.stdout.index("[")
        ((found),) = json.JSONDecoder().raw_decode(done.stdout[start:])[0]
        return _read_fields(conn_id, {**found, "extra": found.get("extra_dejson")})
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(
            f"'airflow connections get {conn_id}' answered something that is not a connection."
        ) from None


def _read_host(netloc: str) -> str | None:
    """Return the host as it is written: it may be a quoted folder of sockets, whose capitals urlsplit would lose."""
    host = netloc.rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return unquote(host) or None


def _read_fields(conn_id: str, document: Mapping[str, Any]) -> ConnectionParts:
    extra = document.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    if not isinstance(extra, dict) or not document.get("conn_type"):
        raise ValueError("not a connection")
    port = document.get("port")
    texts = {name: document.get(name) for name in ("host", "login", "password", "schema")}
    return ConnectionParts(
        conn_id=conn_id,
        conn_type=str(document["conn_type"]),
        port=int(port) if port else None,
        extra=extra,
        **{name: str(value) for name, value in texts.items() if value},
    )
