"""``headrace runtime``: the process that has imported TFX, in forks of which nodes run."""

import contextlib
import os
import signal
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import typer
from rich.console import Console
from rich.table import Table

from headrace.cli.exit_codes import ExitCode
from headrace.cli.options import Json, ProjectDir, make_console, print_json, show_time
from headrace.contracts.runtime import NodeStatus, RuntimeStatus
from headrace.exceptions import HeadraceError
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.processes import kill_marked
from headrace.jobs.runtime import RuntimeClient
from headrace.jobs.runtime_place import RuntimeUnavailableError
from headrace.jobs.supervise import MARK
from headrace.settings import Settings, load_settings

GRACE_SECONDS = 2

app = typer.Typer(
    help="The process that has imported TFX, so that nodes start at once.\n\n"
    "There is one for each user and TFX interpreter. The first node starts it, or 'headrace up'; it ends after half an "
    "hour without a node (tfx_runtime_idle_minutes), and is replaced when Headrace or the TFX environment "
    "changes. Where it cannot be used, a node imports TFX itself, and its log says why.",
    no_args_is_help=True,
)


@app.command()
def status(project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Say whether it runs, and which nodes it runs.

    Exit code 0: it runs; 3: it does not, which is no fault; 1: it does not answer.
    """
    client, console = _find(load_settings(project_dir)), make_console(False)
    try:
        found = client.read_status()
        starting = client.read_process() if found is None else None
    except RuntimeUnavailableError as error:
        what_to_do = "where one hangs, 'headrace runtime stop --now' ends it; until then, nodes import TFX themselves"
        raise HeadraceError(f"The TFX runtime cannot be used: {error}; {what_to_do}.") from error
    if as_json:
        state = "running" if found else "absent" if starting is None else "starting"
        nodes = [_name_node(node) | asdict(node) for node in found.nodes] if found else []
        print_json({"state": state, **(asdict(found) if found else {"pid": starting}), "nodes": nodes})
    elif found is None:
        console.print("not running" if starting is None else f"starting: process {starting} imports TFX")
    else:
        _print(console, found)
    raise typer.Exit(ExitCode.OK if found else ExitCode.NOT_SET_UP)


@app.command()
def start(project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Start it and wait until it is ready, so that the first node need not."""
    settings, console = load_settings(project_dir), make_console(as_json)
    started = time.monotonic()
    try:
        with console.status("importing TFX"):
            is_new = _find(settings).ensure_running()
    except RuntimeUnavailableError as error:
        raise HeadraceError(f"The TFX runtime cannot be started: {error}.") from error
    if as_json:
        print_json({"started": is_new, "seconds": time.monotonic() - started})
    else:
        console.print(f"ready after {time.monotonic() - started:.1f} s" if is_new else "it ran already")


@app.command()
def stop(
    now: Annotated[bool, typer.Option("--now", help="End the nodes that it runs, too.")] = False,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Let it start no more nodes and end. What it runs goes on, and its result is taken as ever.

    Its nodes are also those of a runtime that was stopped before, was killed, or hangs. One that does not listen is
    killed; one that listens and does not answer is killed with --now.
    """
    client, console = _find(load_settings(project_dir)), make_console(as_json)
    pid, killed = _read_process(client), False
    try:
        answers = client.stop() is not None
    except RuntimeUnavailableError as error:
        if not now or pid is None:
            raise HeadraceError(f"The TFX runtime cannot be stopped: {error}. --now kills it.") from error
        answers = False
    if not answers and pid is not None and _read_process(client) == pid:
        # It hangs, or imports TFX still: what it has forked does not need it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        killed = True
    running = client.find_nodes()
    if now:
        for attempt in running:
            kill_marked(MARK, attempt, GRACE_SECONDS)
    nodes = [" ".join(_name_folder(folder).values()) for folder in running.values()]
    if as_json:
        print_json({"pid": pid, "killed": killed, "nodes": nodes})
    else:
        what = "it does not run" if pid is None else f"process {pid}: {'killed' if killed else 'stopped'}"
        rest = f"; {'ended' if now else 'these go on'}: {', '.join(nodes)}" if nodes else ""
        console.print(f"{what}{rest}", highlight=False, markup=False)


def _find(settings: Settings) -> RuntimeClient:
    return RuntimeClient(settings.tfx_python, build_worker_environment(settings.state_dir))


def _read_process(client: RuntimeClient) -> int | None:
    try:
        return client.read_process()
    except RuntimeUnavailableError as error:
        raise HeadraceError(f"The TFX runtime cannot be used: {error}.") from error


def _print(console: Console, found: RuntimeStatus) -> None:
    since = show_time(datetime.fromtimestamp(found.started_at, UTC))
    memory = f"{found.memory_bytes / 1e9:.2f} GB"
    console.print(f"running since {since}: process {found.pid}, Headrace {found.version}, {memory}", highlight=False)
    console.print(f"ends itself after {found.idle_seconds / 60:.0f} minutes without a node", highlight=False)
    if not found.is_current:
        console.print("the next node replaces it: Headrace or its TFX environment has changed since it started")
    if found.nodes:
        table = Table("DAG", "run", "task", "seconds", "memory", "process")
        for node in found.nodes:
            memory = f"{node.memory_bytes / 1e9:.2f} GB"
            table.add_row(*_name_node(node).values(), f"{node.seconds:.0f}", memory, str(node.pid))
        console.print(table)


def _name_node(node: NodeStatus) -> dict[str, Any]:
    return _name_folder(Path(node.folder))


def _name_folder(folder: Path) -> dict[str, Any]:
    """Return whose job folder ``…/runs/<dag>/<run>/<task>`` is."""
    dag_id, run_id, task_id = (["", "", *map(unquote, folder.parts)])[-3:]
    return {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
