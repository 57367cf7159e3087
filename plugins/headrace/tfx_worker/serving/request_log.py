"""A sample of what was asked and answered, for later checks of skew and drift; TFX interpreter.

It never makes a request slower or fail: what there is no room for, in memory or on disk, is dropped and counted.
"""

import os
import queue
import shutil
import socket
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

_WAITING = 1_000
_FILE_BYTES = 64_000_000
_KEPT_DAYS = 14
_END = object()


class PredictionLog:
    """Writes JSON Lines into ``<folder>/<model>/<day>/<host>-<pid>-<n>.jsonl``, from a thread of its own.

    Args:
        folder: Of all models.
        share: Of the requests, 0 to 1, that are logged: always the same ones, by their id.
        on_drop: Called for each line that is dropped.
    """

    def __init__(self, folder: Path, share: float, on_drop: Callable[[], None]) -> None:
        self._folder, self._share, self._on_drop = folder, share, on_drop
        self._queue: queue.Queue[Any] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._write, name="headrace-prediction-log", daemon=True)
        if share > 0:
            self._thread.start()

    def wants(self, request_id: str) -> bool:
        number = int.from_bytes(sha256(request_id.encode()).digest()[:8], "big")
        return number < self._share * 2**64

    def add(self, line: dict[str, Any]) -> None:
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._on_drop()

    def close(self) -> None:
        if self._thread.is_alive():
            self._queue.put(_END)
            self._thread.join(5)

    def _write(self) -> None:
        numbers: dict[Path, int] = {}
        while (line := self._queue.get()) is not _END:
            try:
                folder = self._folder / line["model"] / time.strftime("%Y-%m-%d", time.gmtime())
                if folder not in numbers:
                    folder.mkdir(parents=True, exist_ok=True)
                    self._forget_old(folder.parent)
                    numbers[folder] = 0
                file = folder / f"{socket.gethostname()}-{os.getpid()}-{numbers[folder]}.jsonl"
                with file.open("ab") as opened:
                    opened.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY, default=_to_text) + b"\n")
                    numbers[folder] += opened.tell() > _FILE_BYTES
            except (OSError, TypeError, ValueError):
                self._on_drop()

    def _forget_old(self, folder: Path) -> None:
        kept = sorted(path for path in folder.iterdir() if path.is_dir())
        for old in kept[:-_KEPT_DAYS]:
            shutil.rmtree(old, ignore_errors=True)


def _to_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(type(value).__name__)
