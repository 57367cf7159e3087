"""Opening a ledger: new, old, of a newer Headrace, and one that cannot be used."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from ledger_book import Book, result
from sqlalchemy import inspect, text

from headrace.exceptions import ConfigurationError, LedgerError, LedgerVersionError
from headrace.ledger import database
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.migrate import build_config, migrate
from headrace.ledger.schema import HEAD, VERSION_TABLE, metadata
from headrace.ledger.views import TaskTry

VERSIONS = [each.revision for each in ScriptDirectory.from_config(build_config()).walk_revisions()]


def test_the_tables_are_those_of_the_schema(ledger: Ledger) -> None:
    with ledger.connect() as connection:
        # An index that only the other database gets is marked so in the schema.
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "include_object": lambda item, *_: item.info.get("dialect", ledger.dialect) == ledger.dialect,
            },
        )
        assert compare_metadata(context, metadata) == []
    ledger.check()


def test_head_is_the_newest_migration() -> None:
    assert VERSIONS[0] == HEAD
    assert sorted(VERSIONS, reverse=True) == VERSIONS  # they are compared as strings


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ledger_of_any_version_is_brought_up_to_date_with_nothing_lost(
    url: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as old:
        old.setattr(database, "HEAD", version)
        old.setattr("headrace.ledger.migrate.migrate", lambda connection: migrate(connection, version))
        with open_ledger(url) as ledger:
            tables = _fill(ledger)
    with open_ledger(url) as ledger:
        ledger.check()
        with ledger.connect() as connection:
            assert {name: _read(connection, name, like) for name, like in tables.items()} == tables
        book = Book(ledger)
        book.record(result(status="passed"))
        assert book.incident().state == "resolved"


def _fill(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """Write a row of everything that the first version knows, as it was written then."""
    statements = (Path(__file__).with_name("first_version.sql")).read_text().split(";\n")
    with ledger.begin() as connection:
        for statement in statements:
            if statement.strip():
                connection.execute(text(statement))
        if ledger.dialect == "postgresql":
            there = set(inspect(connection).get_table_names())
            for name in (name for name, of in metadata.tables.items() if "id" in of.c and name in there):
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), 100)"))
    with ledger.connect() as connection:
        names = [name for name in inspect(connection).get_table_names() if name != VERSION_TABLE]
        return {name: rows for name in names if (rows := _read(connection, name))}


def _read(connection: Any, name: str, like: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Read a table whole; the columns of ``like`` only, where it is given."""
    rows = connection.execute(text(f"SELECT * FROM {name} ORDER BY 1, 2")).mappings()
    return [{column: row[column] for column in (like[0] if like else row)} for row in rows]


def test_a_ledger_of_a_newer_headrace_is_refused_and_left_alone(url: str) -> None:
    with open_ledger(url) as ledger, ledger.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(LedgerVersionError, match="version 9999, and this Headrace knows them up to") as caught:
        open_ledger(url)
    assert not caught.value.retryable


def test_a_ledger_of_an_older_headrace_is_said_to_be_one(url: str) -> None:
    with open_ledger(url) as ledger:
        with ledger.begin() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'"))
        with pytest.raises(LedgerVersionError, match=r"version 0001, .* an older Headrace wrote it"):
            ledger.check()


def test_a_task_does_not_import_alembic_when_there_is_nothing_to_migrate(url: str) -> None:
    open_ledger(url).dispose()
    script = (
        "import sys; from headrace.ledger.database import open_ledger\n"
        f"open_ledger({url!r}).dispose(); sys.exit('alembic' in sys.modules or 'airflow' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "plugins")}
    assert subprocess.run([sys.executable, "-c", script], env=environment).returncode == 0


def test_a_migration_that_fails_leaves_the_tables_as_they_were(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: Any) -> None:
        migrate(connection)
        raise LedgerError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("headrace.ledger.migrate.migrate", fail)
        with pytest.raises(LedgerError, match="the disk is full"):
            open_ledger(url)
    with open_ledger(url) as ledger:
        ledger.check()
        assert Book(ledger).rows("incident") == []


def test_sqlite_is_durable_waits_and_is_private(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger" / "ledger.sqlite") as ledger, ledger.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    assert stat.S_IMODE((tmp_path / "ledger").stat().st_mode) == 0o700


def test_a_locked_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.1)
    path = tmp_path / "ledger.sqlite"
    with open_ledger(path) as ledger, open_ledger(path) as other, other.begin():
        with pytest.raises(LedgerError, match="another process has been writing to it for too long") as caught:
            Book(ledger).record(result())
        assert caught.value.retryable
        assert Book(ledger).rows("incident") == []  # readers go on


def test_a_locked_postgres(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 1)
    url = postgres.create_database()
    with open_ledger(url) as ledger, open_ledger(url) as other, other.begin():
        with pytest.raises(LedgerError, match="another process has been writing to it for too long"):
            Book(ledger).record(result())
        assert Book(ledger).rows("incident") == []


@pytest.mark.parametrize("content", [b"this is no database, " * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite.* (damaged|not a SQLite database)"):
        open_ledger(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be made"):
        open_ledger(tmp_path / "file" / "ledger" / "ledger.sqlite")


def test_a_database_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(LedgerError, match=r"Postgres database flights at 127\.0\.0\.1:1\) cannot be reached") as caught:
        open_ledger("postgresql://headrace:hunter2%21@127.0.0.1:1/flights")
    assert "hunter2" not in repr(caught.value.attrs()) + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.retryable


def test_a_wrong_password_is_not_told(postgres: Any) -> None:
    url = postgres.url("nowhere").replace("headrace@", "headrace:hunter2@")
    with pytest.raises(LedgerError, match="cannot be reached") as caught:
        open_ledger(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://u:hunter2@host/db", "no url", "sqlite://", "sqlite:///:memory:"])
def test_addresses_of_other_databases(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_ledger(url)
    assert "hunter2" not in str(caught.value)


def test_airflow_s_own_word_for_postgres(postgres: Any) -> None:
    url = postgres.create_database().replace("postgresql+psycopg://", "postgres://")
    with open_ledger(url) as ledger:
        assert ledger.dialect == "postgresql"


def test_a_forked_child_makes_its_own_connection(ledger: Ledger) -> None:
    book = Book(ledger)
    book.record(result())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            book.record(result(key="2013-03"), task=TaskTry("flights", "of_the_child", "gate"))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    book.record(result(key="2013-04"))
    assert book.incident().occurrences == 3
