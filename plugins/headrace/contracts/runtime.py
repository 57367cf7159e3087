"""What the warm TFX runtime is asked and answers: one line of JSON each way over a Unix socket; either interpreter.

Every request has ``request``, ``protocol`` and ``fingerprint``; every reply has ``reply``:

========== ======================================= =================================================================
request    further fields                          replies
========== ======================================= =================================================================
``start``  those of :class:`StartRequest`          ``started`` (``pid``); ``busy`` or ``refused`` (``why``)
``status``                                         ``status`` (those of :class:`RuntimeStatus`)
``stop``   ``pid``: of whom it is meant, or null    ``stopping`` (``folders`` of what still runs); ``refused`` (``why``)
========== ======================================= =================================================================

A runtime of another protocol or fingerprint answers ``start`` with ``refused``, its ``pid`` and ``outdated``; it
understands ``status`` and ``stop`` of every protocol.
"""

import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.contracts.files import ContractError

PROTOCOL = 1
MOST_BYTES = 1 << 20
TIMEOUT_SECONDS = 5.0
_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


@dataclass(frozen=True)
class StartRequest:
    """Run one command of the worker for a job folder.

    Attributes:
        folder: The job's folder; absolute.
        attempt: The attempt's name: 32 characters of ASCII.
        argv: What comes after ``python -m headrace.tfx_worker``.
        environment: The whole environment of the command.
        cwd: Its working directory.
        umask: Its mask of file modes.
        lease_seconds: It is ended so long after nobody watched it.
        memory_bytes: It is ended when it uses more; 0: never.
        most_nodes: The answer is ``busy`` while as many of this runtime's nodes run.
        idle_seconds: The runtime ends itself so long after its last node.
        deadline: ``time.monotonic()`` of this machine after which the request does not count: its sender has given up.
    """

    folder: str
    attempt: str
    argv: list[str]
    environment: Mapping[str, str]
    cwd: str
    umask: int
    lease_seconds: float
    memory_bytes: int
    most_nodes: int
    idle_seconds: float
    deadline: float

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "StartRequest":
        """Read it from a request.

        Raises:
            ContractError: A field is missing, or is of another type.
        """
        try:
            return cls(
                folder=str(document["folder"]),
                attempt=str(document["attempt"]),
                argv=[str(argument) for argument in document["argv"]],
                environment={str(name): str(value) for name, value in document["environment"].items()},
                cwd=str(document["cwd"]),
                umask=int(document["umask"]),
                lease_seconds=float(document["lease_seconds"]),
                memory_bytes=int(document["memory_bytes"]),
                most_nodes=int(document["most_nodes"]),
                idle_seconds=float(document["idle_seconds"]),
                deadline=float(document["deadline"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise ContractError(f"not a start request: {error!r}") from error


@dataclass(frozen=True)
class NodeStatus:
    """A node that the runtime runs: its job folder, its supervising process, seconds, and bytes of memory (PSS)."""

    folder: str
    pid: int
    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class RuntimeStatus:
    """What a runtime says of itself.

    Attributes:
        pid: Its process.
        version: Headrace's version.
        started_at: Seconds since the epoch.
        memory_bytes: Its own memory, its share of what its nodes use too (PSS).
        idle_seconds: It ends itself so long after its last node.
        is_current: Whether the asker's fingerprint is its own; if not, the next node replaces it.
        nodes: What it runs.
    """

    pid: int
    version: str
    started_at: float
    memory_bytes: int
    idle_seconds: float
    is_current: bool
    nodes: tuple[NodeStatus, ...]

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "RuntimeStatus":
        """Read it from a reply.

        Raises:
            ContractError: It is of another protocol.
        """
        try:
            known = {name: document[name] for name in cls.__dataclass_fields__}
            return cls(**{**known, "nodes": tuple(NodeStatus(**node) for node in known["nodes"])})
        except (KeyError, TypeError) as error:
            raise ContractError(f"a status of another version: {error}") from error


def send_message(connection: socket.socket, document: Mapping[str, Any]) -> None:
    """Send one document."""
    connection.sendall(json.dumps(document).encode() + b"\n")


def receive_message(connection: socket.socket) -> dict[str, Any]:
    """Receive one document.

    Raises:
        ContractError: The other side closed the connection, or sent what is no document.
        OSError: It did not answer in time.
    """
    text = b""
    while not text.endswith(b"\n"):
        chunk = connection.recv(1 << 16)
        if not chunk or len(text) > MOST_BYTES:
            raise ContractError("the connection ended within a message" if text else "the connection was closed")
        text += chunk
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:  # the second one: brackets within brackets
        raise ContractError(f"a message that is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ContractError("a message that is not an object")
    return document


def is_of_this_user(connection: socket.socket) -> bool:
    """Return whether the process at the other end runs as this user, as the kernel says."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return bool(uid == os.geteuid())
