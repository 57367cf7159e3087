"""Finding what the runtimes of a place run without asking them; standard library only, either interpreter."""

import os
from pathlib import Path

from headrace.jobs.processes import PROC
from headrace.jobs.runtime_place import RuntimePlace
from headrace.jobs.supervise import LOG_FILE, MARK, MARK_PLACEHOLDER


def build_place_arguments(place: RuntimePlace) -> list[str]:
    """Return the arguments by which a runtime's command line names its place."""
    return ["--folder", str(place.folder), "--key", place.key]


def find_nodes(place: RuntimePlace) -> dict[str, Path]:
    """Find the nodes of every runtime of a place, also of one that has left it, hangs or was killed.

    A fork has the command line of the process from which it was forked, and a mark of its own.

    Returns:
        The job folder of each by its attempt; an empty path where nothing of it writes into the folder's log.
    """
    arguments = os.fsencode("\0".join(["", *build_place_arguments(place), ""]))
    found: dict[str, Path] = {}
    for process in PROC.glob("[0-9]*"):
        try:
            if arguments not in (process / "cmdline").read_bytes():
                continue
            attempt = _read_mark((process / "environ").read_bytes())
            output = (process / "fd" / "1").readlink()
        except OSError:
            continue  # it has ended, or is another user's
        if attempt not in (None, MARK_PLACEHOLDER):
            folder = output.parent if output.name.removesuffix(" (deleted)") == LOG_FILE else Path()
            found[str(attempt)] = folder if folder.parts else found.get(str(attempt), folder)
    return found


def _read_mark(environment: bytes) -> str | None:
    name = f"{MARK}=".encode()
    values = [entry.removeprefix(name) for entry in environment.split(b"\0") if entry.startswith(name)]
    return values[0].decode() if values else None
