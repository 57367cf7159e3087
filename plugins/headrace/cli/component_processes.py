"""Airflow's components as processes: forked from a parent that has imported Airflow, or started fresh."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from headrace.exceptions import ConfigurationError
from headrace.jobs.processes import is_alive, process_start_time

PARENT_MODULE = "headrace.airflow.component_parent"
AIRFLOW, EVERY_COMPONENT, TASKS = "airflow", "components", "tasks"
"""What the parent imports first, next and last; each needs those before it."""
FORK_SECONDS = 180
"""How long the parent may import before it forks; what it imports last takes seconds."""
TELL_SECONDS = 30
"""How long a process may be gone before its exit code is given up; the parent may be busy with an import."""
UNKNOWN_CODE = -1


class ComponentProcess(Protocol):
    """What there is to know of a component's process; ``subprocess.Popen`` is one."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended."""


class ComponentParent:
    """The process that has imported Airflow, as ``headrace up`` sees it.

    Args:
        environment: Its own and that of every component.
        log: File that its output is appended to.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(FORK_SECONDS)
        self._received = b""
        self._answers: dict[str, int | None] = {}
        self._codes: dict[int, int] = {}
        self.log = log
        with log.open("ab") as file, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PARENT_MODULE, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def fork(
        self, name: str, module: str, arguments: Sequence[str], log: Path, needs: str = EVERY_COMPONENT
    ) -> "ForkedComponent | None":
        """Have a component forked; blocks until the imports of the stage that it needs are there.

        Returns:
            None where the parent refuses, which its log explains: the component is to be started by itself.

        Raises:
            ConfigurationError: The parent has ended, or does not answer.
        """
        request = {"name": name, "module": module, "arguments": list(arguments), "log": str(log), "needs": needs}
        self._answers.pop(name, None)
        try:
            self._channel.sendall(json.dumps(request).encode() + b"\n")
            while name not in self._answers:
                self._read()
        except OSError as error:
            raise ConfigurationError(
                f"The process that forks Airflow's components could not start {name} ({error}): see {self.log}, or "
                f"set AIRFLOW__HEADRACE__PRELOAD=off to start each by itself."
            ) from None
        pid = self._answers[name]
        return None if pid is None else ForkedComponent(self, pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def read_code(self, pid: int) -> int | None:
        """Return the exit code of a process that it has forked, as far as it has told."""
        self._channel.settimeout(0)
        with contextlib.suppress(OSError):
            while True:
                self._read()
        self._channel.settimeout(FORK_SECONDS)
        return self._codes.get(pid)

    def close(self) -> None:
        """End the parent; what it forked goes on."""
        self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        received = self._channel.recv(65536)
        if not received:
            raise ConnectionError("it has ended")
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "code" in message:
                self._codes[message["pid"]] = message["code"]
            else:
                self._answers[message["name"]] = message["pid"]


class ForkedComponent:
    """A component that the parent forked. Its exit code is the parent's to tell; else it stays unknown."""

    def __init__(self, parent: ComponentParent, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._parent = parent
        self._started = process_start_time(pid)

    def poll(self) -> int | None:
        if self.returncode is None:
            gone = not is_alive(self.pid, self._started or -1)
            deadline = time.monotonic() + (TELL_SECONDS if gone else 0)
            while (code := self._parent.read_code(self.pid)) is None and time.monotonic() < deadline:
                if not self._parent.is_alive():
                    code = self._parent.read_code(self.pid)  # which it told just before it ended, perhaps
                    break
                time.sleep(0.02)
            self.returncode = UNKNOWN_CODE if gone and code is None else code
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.05)
        return code
