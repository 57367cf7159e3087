"""A real Postgres server of the tests' own: private folder and socket, no port, gone when the tests are."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text

REQUIRED = "HEADRACE_REQUIRE_POSTGRES"
_SERVER_USER = "postgres"
_FAST = "-c fsync=off -c full_page_writes=off -c max_connections=50 -c shared_buffers=64MB"


def find_binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3])
    return folders[-1].parent if folders else None


class PostgresServer:
    """A running server."""

    def __init__(self, folder: Path, user: str) -> None:
        self.folder = folder
        self.user = user
        self._made = 0

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://{self.user}@/{database}?host={quote(str(self.folder))}"

    def create_database(self) -> str:
        """Make an empty database and return its URL."""
        self._made += 1
        name = f"ledger_{os.getpid()}_{self._made}"
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        engine.dispose()
        return self.url(name)


@contextmanager
def run_postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Start a server and stop it at the end; listens on a unix socket only.

    Postgres refuses to run as root, so root hands its folder to the user ``postgres`` and starts it as that.

    Args:
        durable: With ``fsync``, as a production server has it; for benchmarks.
    """
    binaries = find_binaries()
    if binaries is None:
        message = "no Postgres is installed (no initdb found): the ledger's tests on Postgres do not run"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{message}, and {REQUIRED} is set", pytrace=False)
        pytest.skip(message)
    # A socket's path may have 107 bytes; pytest's folders are longer, and closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="headrace-pg-"))
    as_user: list[str] = []
    if os.getuid() == 0:
        shutil.chown(folder, _SERVER_USER)
        as_user = ["setpriv", f"--reuid={_SERVER_USER}", f"--regid={_SERVER_USER}", "--init-groups", "--"]
    data, log = folder / "data", folder / "log"
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} {'' if durable else _FAST}"

    def run(*command: str) -> None:
        done = subprocess.run(
            [*as_user, *command], cwd=folder, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
        )
        assert done.returncode == 0, f"{command[0]}: {done.stderr or done.stdout}"

    try:
        run(str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "headrace", "-E", "UTF8", "--no-sync")
        run(str(binaries / "pg_ctl"), "-D", str(data), "-l", str(log), "-o", options, "-w", "start")
        try:
            yield PostgresServer(folder, "headrace")
        finally:
            run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
