"""A real Postgres server of the tests' own: private folder and socket, no port, gone when the tests are."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

REQUIRED = "HEADRACE_REQUIRE_POSTGRES"
_SERVER_USER = "postgres"
_FAST = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=64MB"]


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
        as_user = [f"--reuid={_SERVER_USER}", f"--regid={_SERVER_USER}", "--init-groups"]
    data, log = folder / "data", folder / "log"
    environment = {"PATH": os.environ["PATH"]}
    made = subprocess.run(
        [*_set_privileges(as_user), str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "headrace", "-E",
         "UTF8", "--no-sync"], cwd=folder, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr or made.stdout
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", *([] if durable else _FAST)]
    try:
        with log.open("w") as output:
            # It ends with this process, also when that is killed.
            command = [*_set_privileges([*as_user, "--pdeathsig=INT"]), str(binaries / "postgres")]
            postgres = subprocess.Popen(
                [*command, "-D", str(data), *options],
                cwd=folder, stdout=output, stderr=output, env=environment,
            )  # fmt: skip
        server = PostgresServer(folder, "headrace")
        try:
            _wait(server, postgres, log)
            yield server
        finally:
            postgres.send_signal(signal.SIGQUIT)  # Postgres' word for stopping at once
            postgres.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _set_privileges(options: list[str]) -> list[str]:
    return ["setpriv", *options, "--"] if options and shutil.which("setpriv") else []


def _wait(server: PostgresServer, process: "subprocess.Popen[bytes]", log: Path, seconds: float = 120) -> None:
    engine, end = create_engine(server.url()), time.monotonic() + seconds
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            assert process.poll() is None and time.monotonic() < end, f"Postgres did not start: {log.read_text()}"  # noqa: PT018
            time.sleep(0.1)
        else:
            engine.dispose()
            return
