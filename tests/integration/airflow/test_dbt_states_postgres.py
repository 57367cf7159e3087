"""Giving dbt's tasks their ends with Postgres as Airflow's metadata database: all that holds on SQLite, and locks."""

import os
import subprocess
import sys
from pathlib import Path

from postgres_server import PostgresServer


def test_what_holds_on_sqlite_holds_on_postgres(postgres: PostgresServer) -> None:
    """In a process of its own: Airflow has one database a process."""
    tests = Path(__file__).with_name("test_dbt_states.py")
    url = postgres.create_database()
    names = ("SQL_ALCHEMY_CONN", "SQL_ALCHEMY_CONN_ASYNC")  # by default the second wants a driver that is not installed
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        env={**os.environ, **{f"AIRFLOW__DATABASE__{name}": url for name in names}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout, done.stdout
