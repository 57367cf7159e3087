"""The notifier as the command line runs it: a process in Airflow's environment, for only that imports airflow."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from headrace.cli.airflow_stack import HOST, NOTIFIER_MODULE, STACK_FILE, USUAL_PORT, AirflowStack
from headrace.contracts.files import ContractError, read_json
from headrace.exceptions import ConfigurationError, HeadraceError
from headrace.settings import Settings

AIRFLOW_IS_CONFIGURED = ("AIRFLOW_HOME", "AIRFLOW_CONFIG")
ANSWER_SECONDS = 700
"""Longer than the longest timeout that a route may have."""


def build_notifier_environment(settings: Settings) -> dict[str, str]:
    """Build the notifier's environment: that of the Airflow that is configured here, else of ``headrace up``."""
    project = {
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(settings.project_dir),
        "AIRFLOW__HEADRACE__STATE_DIR": str(settings.state_dir),
        "AIRFLOW__HEADRACE__NOTIFICATIONS_FILE": str(settings.notifications_file),
    }
    if any(os.environ.get(name) for name in AIRFLOW_IS_CONFIGURED):
        return {**os.environ, **project}
    try:
        port = int(str(read_json(settings.state_dir / STACK_FILE)["url"]).rpartition(":")[2])
    except (ContractError, KeyError, ValueError):
        port = USUAL_PORT
    environment = {**AirflowStack(settings, port=port).environment(), **project}
    if port == USUAL_PORT:
        environment["AIRFLOW__API__BASE_URL"] = f"http://{HOST}:{port}"
    return environment


def run_notifier(settings: Settings, arguments: Sequence[str]) -> int:
    """Become the notifier; this process is replaced, so that signals reach it."""
    command = [sys.executable, "-m", NOTIFIER_MODULE, *arguments]
    sys.stdout.flush()
    os.execve(sys.executable, command, build_notifier_environment(settings))


def ask_notifier(settings: Settings, *arguments: str) -> dict[str, Any]:
    """Run the notifier for one question and return its answer.

    Raises:
        ConfigurationError: The routes are not right.
        HeadraceError: It gave no answer.
    """
    command = [sys.executable, "-m", NOTIFIER_MODULE, *arguments]
    try:
        done = subprocess.run(
            command,
            env=build_notifier_environment(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise HeadraceError(f"The notifier gave no answer in {ANSWER_SECONDS} s.") from None
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            answer: dict[str, Any] = json.loads(line)
            return answer
    said = [line for line in done.stderr.splitlines() if line.strip()]
    reason = (
        said[-1].partition("headrace.notifier: ")[2] or said[-1] if said else f"it ended with code {done.returncode}"
    )
    raise ConfigurationError(reason)
