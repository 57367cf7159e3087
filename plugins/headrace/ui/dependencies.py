"""What the routes are given: the ledger, opened once a process; api-server."""

import logging
import threading
from pathlib import Path
from typing import Annotated

from fastapi import Depends

from headrace.airflow.ledger import resolve_airflow_ledger_url
from headrace.ledger.database import Ledger, open_ledger
from headrace.settings import load_settings

log = logging.getLogger(__name__)


class _Opened:
    """The process's ledger, opened at the first request that needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._file: tuple[Path, tuple[int, int]] | None = None

    def get(self) -> Ledger:
        with self._lock:
            if self._ledger is not None and self._file_was_replaced():
                log.warning("The ledger's file was replaced or removed: opening it anew")
                self._close()
            if self._ledger is None:
                self._open()
            assert self._ledger is not None
            return self._ledger

    def close(self) -> None:
        with self._lock:
            self._close()

    def _open(self) -> None:
        url = resolve_airflow_ledger_url(load_settings())
        self._ledger = open_ledger(url)
        if url.get_backend_name() == "sqlite" and url.database:
            path = Path(url.database)
            self._file = path, _identify(path)

    def _close(self) -> None:
        if self._ledger is not None:
            self._ledger.dispose()
        self._ledger = self._file = None

    def _file_was_replaced(self) -> bool:
        if self._file is None:
            return False
        path, identity = self._file
        try:
            return _identify(path) != identity
        except FileNotFoundError:
            return True


def _identify(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


_opened = _Opened()


def get_ledger() -> Ledger:
    """Return the process's ledger.

    Raises:
        LedgerError: It cannot be opened; the next request tries again.
        ConfigurationError: Its connection is not set up.
    """
    return _opened.get()


def forget_ledger() -> None:
    """Close the process's ledger, so that the next request opens it anew."""
    _opened.close()


LedgerDep = Annotated[Ledger, Depends(get_ledger)]
