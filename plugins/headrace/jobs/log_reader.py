"""Reading a log line by line while it is written, in little memory however long it is; either interpreter."""

import os
from collections.abc import Callable
from typing import IO

CHUNK_BYTES = 1 << 20
MOST_BYTES = 4 << 20  # a task passes on some 3,000 lines a second
TAIL_BYTES = 64 << 10


class LogReader:
    """Hands on the first 4 MB of a log as they are written, and its last 64 KB.

    Args:
        file: The log, opened for reading bytes; it has a name.
        write_line: Takes each line, without its end.
    """

    def __init__(self, file: IO[bytes], write_line: Callable[[str], None]) -> None:
        self._file = file
        self._write_line = write_line
        self._rest = b""

    def read_more(self) -> bool:
        """Hand on what was written since; returns whether there may be more."""
        chunk = self._file.read(min(CHUNK_BYTES, MOST_BYTES - self._file.tell()))
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._write(lines)
        if len(self._rest) >= CHUNK_BYTES:  # no line that a person reads
            self._write_rest()
        if chunk and self._file.tell() == MOST_BYTES:
            self._write_rest()
            self._write_line(f"… {MOST_BYTES >> 20} MB; of the rest only the end is shown; all is in {self._file.name}")
        return bool(chunk)

    def finish(self) -> None:
        """Hand on what is left once nobody writes any more."""
        tail = os.fstat(self._file.fileno()).st_size - TAIL_BYTES
        if tail > self._file.tell() == MOST_BYTES:
            self._file.seek(tail)
        *lines, self._rest = (self._rest + self._file.read(TAIL_BYTES)).split(b"\n")
        self._write(lines)
        self._write_rest()

    def _write(self, lines: list[bytes]) -> None:
        for line in lines:
            self._write_line(line.decode(errors="replace").rstrip("\r"))

    def _write_rest(self) -> None:
        if self._rest:
            self._write([self._rest])
        self._rest = b""
