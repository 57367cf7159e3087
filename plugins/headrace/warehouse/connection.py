"""Opening the DuckDB warehouse file, and saying who holds it when it cannot be opened; orchestration interpreter."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.exceptions import ConfigurationError, WarehouseLockedError
from headrace.quality.identifiers import quote_known_name

if TYPE_CHECKING:
    import duckdb

_LOCK_MESSAGE = re.compile(r"could not set lock on file", re.IGNORECASE)
_LOCK_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_OTHER_CONFIGURATION = "different configuration than existing connections"


@contextmanager
def open_warehouse(warehouse: Path, *, read_only: bool = False) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open the warehouse file for the length of a ``with`` block.

    Times are read and written in UTC, whatever the machine's time zone.

    Args:
        warehouse: The DuckDB file; created, with its folder, unless ``read_only``.
        read_only: Take a lock that other readers can share.

    Raises:
        WarehouseLockedError: Another process holds the file; the message names it when DuckDB knows it.
        ConfigurationError: ``read_only`` and there is no such file, or it is not a DuckDB file.
    """
    import duckdb

    if read_only and not warehouse.is_file():
        raise ConfigurationError(
            f"warehouse {warehouse} does not exist: land a partition first", warehouse=str(warehouse)
        )
    if not read_only:
        warehouse.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(str(warehouse), read_only=read_only)
    except (duckdb.IOException, duckdb.ConnectionException) as error:
        raise translate_open_error(warehouse, error) from error
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def qualify_schema(connection: "duckdb.DuckDBPyConnection", schema: str) -> str:
    """Return a schema's quoted name with the database in it.

    In a file ``headrace.duckdb`` DuckDB would not know which ``headrace`` is meant. A file's name may be what no
    identifier of ours may be.
    """
    (database,) = connection.execute("select current_database()").fetchone() or ("",)
    return f"{quote_known_name(str(database))}.{quote_known_name(schema)}"


def translate_open_error(warehouse: Path, error: Exception) -> WarehouseLockedError | ConfigurationError:
    """Say in plain words why the warehouse file could not be opened.

    Args:
        warehouse: The file.
        error: From DuckDB, or from SQLAlchemy around DuckDB's.
    """
    text = str(error)
    if _OTHER_CONFIGURATION in text:
        return WarehouseLockedError(
            f"warehouse {warehouse} is already open in this process, read-only or with other settings: "
            "close that connection first",
            warehouse=str(warehouse),
        )
    if not _LOCK_MESSAGE.search(text):
        return ConfigurationError(f"warehouse {warehouse} cannot be opened: {text}", warehouse=str(warehouse))
    match = _LOCK_HOLDER.search(text)
    if match is None:
        return WarehouseLockedError(
            f"warehouse {warehouse} is locked by another process, which DuckDB does not name; "
            "try again when it is done",
            warehouse=str(warehouse),
        )
    pid = int(match["pid"])
    command = _read_command(pid) or match["program"]
    return WarehouseLockedError(
        f"warehouse {warehouse} is locked by process {pid} ({command}); try again when it is done, or end it",
        warehouse=str(warehouse),
        holder_pid=pid,
        holder_command=command,
    )


def _read_command(pid: int) -> str | None:
    """Return the command line of a process; None where /proc does not show it."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    command = " ".join(part.decode(errors="replace") for part in raw.split(b"\0") if part)
    return command[:200] or None
