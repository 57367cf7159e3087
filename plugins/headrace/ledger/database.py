"""Opening the ledger, on SQLite or Postgres, with its tables as this version wants them; orchestration interpreter."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, inspect, make_url, select, table, text
from sqlalchemy import column as sql_column

from headrace.contracts.files import make_private_folder
from headrace.exceptions import ConfigurationError, LedgerError, LedgerVersionError
from headrace.ledger.failures import describe_failure, describe_place
from headrace.ledger.schema import HEAD, VERSION_TABLE

WRITER_LOCK = 0x4845_4144_5241_4345  # "HEADRACE"
WAIT_SECONDS = 30
_WRITES = "headrace_writes"
_version = table(VERSION_TABLE, sql_column("version_num"))


class Ledger:
    """An open ledger; safe to share between threads.

    One process writes at a time, on either database: what is decided from what was read cannot be overtaken.

    Attributes:
        engine: SQLAlchemy's.
        place: What it is and where, for messages; never with a password.
    """

    def __init__(self, engine: Engine, place: str) -> None:
        self.engine = engine
        self.place = place
        self._writer = engine.execution_options(**{_WRITES: True})

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return str(self.engine.dialect.name)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Begin a write transaction: committed when the ``with`` block ends, rolled back when it raises.

        Raises:
            LedgerError: The ledger cannot be written now; nothing was.
        """
        with self._plain_errors("write"), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Begin a read transaction.

        Raises:
            LedgerError: The ledger cannot be read now.
        """
        with self._plain_errors("read"), self.engine.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raise unless the ledger can be read and is of this version.

        Raises:
            LedgerError: It cannot, or is not.
        """
        with self.connect() as connection:
            version = _load_version(connection)
        if version != HEAD:
            raise LedgerVersionError(_describe_version(self.place, version))

    def dispose(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    @contextmanager
    def _plain_errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (exc.DBAPIError, exc.TimeoutError) as error:
            # Not chained: drivers quote what they were given.
            raise LedgerError(describe_failure(error, self.place, doing, self.engine.url)) from None


def open_ledger(url: str | URL | Path, *, create: bool = True) -> Ledger:
    """Open the ledger; make or migrate its tables first where they are not of this version.

    Args:
        url: A SQLite file, or a database URL of SQLite or Postgres (``postgres://`` is understood too).
        create: Make a SQLite file that is not there: an empty one must not stand in for one that was moved away.

    Raises:
        LedgerError: It cannot be reached, read or written, is of a newer version, or is not there and not made.
        ConfigurationError: The URL is none, or of another database.
    """
    address = _parse_url(url)
    if not create and address.get_backend_name() == "sqlite":
        _require_file(address)
    ledger = Ledger(_create_engine(address), describe_place(address))
    try:
        _bring_up_to_date(ledger)
    except BaseException:
        ledger.dispose()
        raise
    return ledger


def connect_ledger(url: str | URL | Path) -> Ledger:
    """Open the ledger as it is, whatever its tables are: to look at it, not to use it.

    Raises:
        ConfigurationError: The URL is none, or of another database.
    """
    address = _parse_url(url)
    return Ledger(_create_engine(address), describe_place(address))


def _require_file(address: URL) -> None:
    place = describe_place(address)
    try:
        Path(str(address.database)).stat()
    except (FileNotFoundError, NotADirectoryError):
        raise LedgerError(
            f"{place} does not exist: no task has recorded anything yet, or it was moved away. Put it back where it "
            "was; a new one is made by 'headrace up', or by the first task that records."
        ) from None
    except OSError as error:
        raise LedgerError(f"{place} cannot be opened: {error.strerror}. Check the folder's owner.") from None


def _parse_url(url: str | URL | Path) -> URL:
    if isinstance(url, Path):
        return URL.create("sqlite+pysqlite", database=str(url.absolute()))
    try:
        # Airflow's connections say postgres://, which SQLAlchemy does not know.
        address = make_url(url.replace("postgres://", "postgresql://", 1) if isinstance(url, str) else url)
    except exc.ArgumentError:
        raise ConfigurationError("The ledger's address is not a database URL, for example postgresql://...") from None
    backend = address.get_backend_name()
    if backend == "postgresql":
        return address.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and address.database and address.database != ":memory:":
        return address.set(drivername="sqlite+pysqlite", database=str(Path(address.database).absolute()))
    raise ConfigurationError(f"The ledger is kept in a SQLite file or in Postgres, not in {describe_place(address)}")


def _create_engine(address: URL) -> Engine:
    options: dict[str, Any] = {"hide_parameters": True}
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, connect_args={"timeout": WAIT_SECONDS}, **options)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        # Short statements only: to compile one takes Postgres longer than to run it.
        settings = f"-c lock_timeout={WAIT_SECONDS}s -c timezone=UTC -c jit=off"
        connect_args = {"connect_timeout": 10, "options": settings, "application_name": "headrace"}
        engine = create_engine(address, connect_args=connect_args, pool_pre_ping=True, **options)
        event.listen(engine, "begin", _begin_postgres)
    event.listen(engine, "connect", _note_process)
    event.listen(engine, "checkout", _refuse_other_process)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late to read before writing
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "cache_size = -16000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")


def _begin_postgres(connection: Connection) -> None:
    if connection.get_execution_options().get(_WRITES):
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})


def _note_process(_: Any, record: Any) -> None:
    record.info["pid"] = os.getpid()


def _refuse_other_process(_: Any, record: Any, proxy: Any) -> None:
    """Keep a forked child from a connection of its parent's: it makes its own."""
    if record.info["pid"] != os.getpid():
        record.dbapi_connection = proxy.dbapi_connection = None
        raise exc.DisconnectionError("the connection is another process's")


def _bring_up_to_date(ledger: Ledger) -> None:
    path = Path(str(ledger.engine.url.database)) if ledger.dialect == "sqlite" else None
    if path is None or path.is_file():
        with ledger.connect() as connection:
            version = _load_version(connection)
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise LedgerVersionError(_describe_version(ledger.place, version))
    with _alone(ledger, path), ledger.begin() as connection:
        version = _load_version(connection)
        if version is not None and version > HEAD:
            raise LedgerVersionError(_describe_version(ledger.place, version))
        if version != HEAD:
            from headrace.ledger.migrate import migrate

            migrate(connection)


@contextmanager
def _alone(ledger: Ledger, path: Path | None) -> Iterator[None]:
    """Hold a new SQLite file to oneself while it gets its journal mode, which no waiting guards."""
    if path is None:
        yield
        return
    try:
        if not path.parent.is_dir():
            make_private_folder(path.parent)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LedgerError(f"{ledger.place} cannot be made: {error.strerror}. Check the folder's owner.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ledger._plain_errors("write"), ledger.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.execute("PRAGMA journal_mode = WAL")
        yield
    finally:
        os.close(lock)


def _load_version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.execute(select(_version.c.version_num)).scalar()
    return str(version) if version is not None else None


def _describe_version(place: str, version: str | None) -> str:
    if version is None:
        return f"{place} has no tables of a ledger."
    if version < HEAD:
        return (
            f"{place} has tables of version {version}, and this Headrace's are of version {HEAD}: an older Headrace "
            "wrote it. Start 'headrace up', or run a task that records: either brings it up to date."
        )
    return (
        f"{place} has tables of version {version}, and this Headrace knows them up to {HEAD}: it was written by a "
        "newer Headrace. Install that one here too; nothing was changed."
    )
