"""The log of a task that no worker ran, as Airflow's own log readers expect it; orchestration interpreter."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.models.taskinstance import TaskInstance

log = logging.getLogger(__name__)

LOGGER = "headrace.dbt"
_uploads = ThreadPoolExecutor(1, thread_name_prefix="headrace-dbt-logs")  # a remote store may take its time


def name_log(task_instance: "TaskInstance") -> str:
    """Return where Airflow looks for the log of a task's try, below the folder of logs."""
    return _name_template()(ti=task_instance, try_number=task_instance.try_number)


def write_log(task_instance: "TaskInstance", name: str, end: dict[str, Any]) -> None:
    """Write what dbt said of a task's nodes to the log of that name; a copy goes to the remote store, if there is one.

    A log that cannot be written changes nothing in how the task ends: the dbt process's own log has the same lines.
    """
    from airflow.sdk.log import init_log_file, load_remote_log_handler

    try:
        file = init_log_file(name)
        file.write_text("".join(f"{json.dumps(line)}\n" for line in build_lines(end)), encoding="utf-8")
        if (remote := load_remote_log_handler()) is not None:
            _uploads.submit(_upload, remote, task_instance, name)
    except Exception:  # a full disk, a remote store without its connection
        log.exception("The log of %s could not be written", task_instance.task_id)


def _upload(remote: Any, task_instance: "TaskInstance", name: str) -> None:
    try:
        remote.upload(str(Path(name)), task_instance)
    except Exception:  # whatever a remote store raises
        log.exception("The log of %s could not be stored", task_instance.task_id)


def build_lines(end: dict[str, Any]) -> list[dict[str, Any]]:
    """Build the lines of a log: what dbt said, and of a failure the error, as if the task had raised it."""
    moment = end["ended"] or datetime.now(UTC).isoformat()
    lines = [_line(moment, level, text) for level, text in end["lines"]]
    if end["failed"]:
        error = {"exc_type": "DbtRunError", "exc_value": end["message"], "exc_notes": [], "syntax_error": None}
        error |= {"is_cause": False, "frames": [], "is_group": False, "exceptions": []}
        lines.append({**_line(moment, "error", "Task failed with exception"), "error_detail": [error]})
    return lines


def _line(moment: str, level: str, text: str) -> dict[str, Any]:
    return {"timestamp": moment, "level": {"warn": "warning"}.get(level, level), "event": text, "logger": LOGGER}


@cache
def _name_template() -> "Callable[..., str]":
    from airflow.utils.helpers import log_filename_template_renderer

    return log_filename_template_renderer()
