"""What the routes are given: the ledger, opened once a process; api-server."""

import logging
import threading
import time
from copy import copy
from pathlib import Path
from typing import Annotated

from fastapi import Depends

from headrace.airflow.ledger import resolve_airflow_ledger_url
from headrace.exceptions import HeadraceError, LedgerError
from headrace.ledger.database import Ledger, open_ledger
from headrace.settings import load_settings

log = logging.getLogger(__name__)


RETRY_SECONDS = 2.0
"""How long a failure to open is answered as it was, before it is tried again."""

WAIT_SECONDS = 5.0
"""How long a request waits for another that is opening: the threads are those of Airflow's own pages too."""


class _Opened:
    """The process's ledger, opened at the first request that needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._file: tuple[Path, tuple[int, int]] | None = None
        self._failure: tuple[float, HeadraceError] | None = None
        self._doubted = False

    def get(self) -> Ledger:
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise LedgerError("The ledger is being opened, and that takes long. Try again in a moment.")
        try:
            if self._ledger is not None and (self._file_was_replaced() or not self._is_sound(self._ledger)):
                log.warning("The ledger was replaced, removed or changed, or cannot be reached: opening it anew")
                self._close()
            return self._ledger or self._open()
        finally:
            self._lock.release()

    def doubt(self) -> None:
        self._doubted = True

    def close(self) -> None:
        with self._lock:
            self._close()
            self._failure = None

    def _open(self) -> Ledger:
        if self._failure is not None and time.monotonic() < self._failure[0] + RETRY_SECONDS:
            raise copy(self._failure[1])
        try:
            url = resolve_airflow_ledger_url(load_settings())
            ledger = open_ledger(url, create=False)
        except HeadraceError as error:
            self._failure = time.monotonic(), error
            raise
        if url.get_backend_name() == "sqlite" and url.database:
            path = Path(url.database)
            self._file = path, _identify(path)
        self._ledger, self._failure = ledger, None
        return ledger

    def _is_sound(self, ledger: Ledger) -> bool:
        if not self._doubted:
            return True
        self._doubted = False
        try:
            ledger.check()
        except LedgerError:
            return False
        return True

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
        except (FileNotFoundError, NotADirectoryError):
            return True


def _identify(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


_opened = _Opened()


def get_ledger() -> Ledger:
    """Return the process's ledger.

    Raises:
        LedgerError: It cannot be opened; after a moment, the next request tries again.
        ConfigurationError: Its connection is not set up.
    """
    return _opened.get()


def doubt_ledger() -> None:
    """Note that the ledger failed: the next request looks whether it is still the one that was opened."""
    _opened.doubt()


def forget_ledger() -> None:
    """Close the process's ledger, so that the next request opens it anew."""
    _opened.close()


LedgerDep = Annotated[Ledger, Depends(get_ledger)]
