"""The warm TFX runtime beside an Airflow that a command starts."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping

from headrace.cli.compile import find_pipelines
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.processes import kill_marked
from headrace.jobs.runtime import RuntimeClient
from headrace.jobs.runtime_place import RuntimeUnavailableError
from headrace.jobs.supervise import MARK
from headrace.settings import Settings, load_tfx_runtime_settings

END_SECONDS = 5
GRACE_SECONDS = 1


class StackRuntime:
    """Starts the runtime ahead of the first node, and stops it with Airflow; one that ran before is left alone.

    It serves every project of this user: nodes of another project that it runs then go on, and the next starts anew.

    Args:
        settings: The project's.
        environment: That of this Airflow's tasks, which decides what runtime they will ask for.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        worker_environment = build_worker_environment(settings.state_dir, environment)
        self._client = RuntimeClient(settings.tfx_python, worker_environment)
        self._runs_dir = (settings.state_dir / "runs").resolve()
        self._wanted = load_tfx_runtime_settings().enabled and settings.tfx_python.exists()
        self._wanted = self._wanted and bool(find_pipelines(settings))
        self._ran_before = self._find_process() is not None

    def warm_up(self, say: Callable[[str], None]) -> None:
        """Let it import TFX while it has nothing else to do; a failure is said, and is none of Airflow's."""
        if self._wanted:
            try:
                self._client.start_in_background()
            except RuntimeUnavailableError as error:
                say(f"TFX nodes will run in fresh processes: the TFX runtime cannot be used: {error}")

    def end(self) -> None:
        """Stop it, unless it ran before; one that does not answer, as it may while it imports, is killed.

        A node of this project that it began as Airflow ended is ended too.
        """
        pid = self._find_process()
        if self._ran_before or pid is None:
            return
        deadline = time.monotonic()
        with contextlib.suppress(RuntimeUnavailableError):
            deadline += END_SECONDS if self._client.stop() is not None else 0
        while self._find_process() == pid:
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        with contextlib.suppress(RuntimeUnavailableError):
            for attempt, folder in self._client.find_nodes().items():
                if folder.is_relative_to(self._runs_dir):
                    kill_marked(MARK, attempt, GRACE_SECONDS)

    def _find_process(self) -> int | None:
        with contextlib.suppress(RuntimeUnavailableError):
            return self._client.read_process()
        return None
