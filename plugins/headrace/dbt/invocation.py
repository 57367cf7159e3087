"""One invocation of dbt in this process, its nodes told as they end; orchestration interpreter.

dbt itself is imported when it is run, and only then: it takes seconds.
"""

import gc
import json
import logging
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from headrace.contracts.files import replace_file
from headrace.exceptions import DbtRunError

log = logging.getLogger(__name__)

PARTIAL_PARSE_FILE = "partial_parse.msgpack"
PARSED_FOLDER = "parsed"
KEPT_PARSES = 5
LONGEST_LINE, MOST_LINES = 2_000, 50


@dataclass(frozen=True)
class NodeEnd:
    """How one node of an invocation ended.

    Attributes:
        unique_id: dbt's id.
        status: dbt's word for it: ``success``, ``error``, ``skipped``, ``pass``, ``warn``, ``fail``, …
        message: What dbt says of it.
        failures: Of a test, how many rows failed it.
        started: When, as ISO 8601 in UTC; empty where dbt never began with it.
        ended: When.
        lines: Level and text of what dbt logged of it, oldest first.
    """

    unique_id: str
    status: str
    message: str = ""
    failures: int = 0
    started: str = ""
    ended: str = ""
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Invocation:
    """A command of dbt on one project.

    Attributes:
        command: ``build``, ``test``, ``compile``, ``ls`` or ``parse``.
        project_dir: The dbt project.
        profiles: The compiled profile; beside it lies what dbt had parsed.
        target: A folder for what dbt writes, of this invocation alone.
        variables: dbt variables.
        select: dbt selection; empty: everything.
        exclude: dbt selection to leave out.
        options: Other options.
    """

    command: str
    project_dir: Path
    profiles: Path
    target: Path
    variables: Mapping[str, Any] = field(default_factory=dict)
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    options: Sequence[str] = ()

    def arguments(self) -> list[str]:
        """Build dbt's command line."""
        where = {"project-dir": self.project_dir, "profiles-dir": self.profiles.parent, "target-path": self.target}
        return [
            *("--no-use-colors", "--no-send-anonymous-usage-stats", "--no-version-check"),
            *("--log-level-file", "none", "--log-path", str(self.target / "logs")),
            self.command,
            *(part for name, folder in where.items() for part in (f"--{name}", str(folder))),
            *("--vars", json.dumps(dict(self.variables))),
            *(["--select", *self.select] if self.select else []),
            *(["--exclude", *self.exclude] if self.exclude else []),
            *self.options,
        ]

    @property
    def parse_file(self) -> Path:
        """What dbt had parsed with these variables, for with others it parses everything again."""
        said = json.dumps(dict(self.variables), sort_keys=True)
        return self.profiles.parent / PARSED_FOLDER / f"{sha256(said.encode()).hexdigest()[:16]}.msgpack"


def run_dbt(invocation: Invocation, on_node_end: Callable[[NodeEnd], None] = lambda _: None) -> bool:
    """Run dbt, which writes what it logs to standard output.

    Args:
        invocation: What to run.
        on_node_end: Called as each node ends, in dbt's own threads, one call at a time; it must not take long.

    Returns:
        Whether every node succeeded, as dbt sees it.

    Raises:
        DbtRunError: dbt ended before it had a result, for example because the project cannot be parsed.
    """
    return bool(_invoke(invocation, [_NodeEvents(on_node_end)]).success)


def list_nodes(invocation: Invocation) -> list[str]:
    """Return the ids of the nodes that dbt selects.

    Args:
        invocation: Of the command ``ls``.

    Raises:
        DbtRunError: dbt cannot tell, for example because the project cannot be parsed.
    """
    done = _invoke(replace(invocation, options=[*invocation.options, "--output", "json", "--output-keys", "unique_id"]))
    return sorted(str(json.loads(line)["unique_id"]) for line in done.result or ())


def _invoke(invocation: Invocation, callbacks: Sequence[Callable[[Any], None]] = ()) -> Any:
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    invocation.target.mkdir(parents=True, exist_ok=True)
    _take_parse(invocation)
    try:
        done = dbtRunner(callbacks=list(callbacks)).invoke(invocation.arguments())
    finally:
        # Their semaphores outlive a task's process, which ends without Python's own end, and are reported in its log.
        reset_adapters()  # type: ignore[no-untyped-call]
        _close_duckdb()
        gc.collect()
    if done.exception is not None:
        raise DbtRunError(f"dbt {invocation.command} ended without a result: {done.exception}") from done.exception
    _keep_parse(invocation)
    return done


def _close_duckdb() -> None:
    """Close the warehouse's file, which dbt's adapter holds for as long as the process lives."""
    if adapter := sys.modules.get("dbt.adapters.duckdb.connections"):
        adapter.DuckDBConnectionManager.close_all_connections()


class _NodeEvents:
    """dbt's callback: gathers what is logged of each node until its end."""

    def __init__(self, on_node_end: Callable[[NodeEnd], None]) -> None:
        self._on_node_end = on_node_end
        self._lines: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._begun: Counter[str] = Counter()
        self._lock = Lock()

    def __call__(self, event: Any) -> None:
        node = getattr(event.data, "node_info", None)
        if node is None or not node.unique_id:
            return
        with self._lock:
            if event.info.name == "NodeStart":
                self._begun[node.unique_id] += 1
            elif event.info.name == "NodeFinished":
                self._begun[node.unique_id] -= 1
                if self._begun[node.unique_id] <= 0:  # else a batch of a model, which dbt calls by the model's id
                    self._on_node_end(self._end(event, node))
            elif event.info.level != "debug":
                lines = self._lines[node.unique_id]
                lines.append((str(event.info.level), str(event.info.msg)[:LONGEST_LINE]))
                del lines[:-MOST_LINES]

    def _end(self, event: Any, node: Any) -> NodeEnd:
        result = event.data.run_result
        return NodeEnd(
            unique_id=node.unique_id,
            status=str(node.node_status),
            message=str(result.message or ""),
            failures=int(result.num_failures or 0),
            started=_as_utc(node.node_started_at),
            ended=_as_utc(node.node_finished_at),
            lines=tuple(self._lines.pop(node.unique_id, ())),
        )


def _as_utc(moment: str) -> str:
    """Return a moment as dbt writes it, in UTC and without saying so, with its zone."""
    return moment if not moment or moment.endswith(("Z", "+00:00")) else f"{moment}+00:00"


def _take_parse(invocation: Invocation) -> None:
    """Begin with what dbt had parsed, so that it parses only what has changed since."""
    for known in (invocation.parse_file, invocation.profiles.parent / PARTIAL_PARSE_FILE):
        with suppress(OSError):  # there is none, or another dbt removes it at this moment
            shutil.copyfile(known, invocation.target / PARTIAL_PARSE_FILE)
            return


def _keep_parse(invocation: Invocation) -> None:
    """Keep what dbt has parsed; where that cannot be done, the next run is slower, and this one as good as it is."""
    written = invocation.target / PARTIAL_PARSE_FILE
    known = invocation.parse_file
    try:
        if not written.is_file():
            return
        known.parent.mkdir(exist_ok=True)
        replace_file(known, written.read_bytes())
        oldest_first = sorted(known.parent.glob("*.msgpack"), key=lambda file: file.stat().st_mtime)
        for file in oldest_first[:-KEPT_PARSES]:
            file.unlink(missing_ok=True)
    except OSError as error:
        log.warning("What dbt has parsed is not kept in %s: %s", known.parent, error)
