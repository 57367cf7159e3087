"""Which model servers run, and with which version they answer; orchestration interpreter."""

import http.client
import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from headrace.contracts.deployment import CHAMPION
from headrace.contracts.files import ContractError
from headrace.contracts.model_server import SERVERS_FOLDER, STALE_SECONDS, ServerRecord
from headrace.settings import Settings, load_serving_settings

ASK_SECONDS = 5.0
POLL_SECONDS = 0.05
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Servers are asked directly, whatever proxy the environment names."""


@dataclass(frozen=True)
class ServerState:
    """What one server says of a model.

    Attributes:
        address: Where it answers.
        number: The version that its champion is; None where it says none.
        ready: It answers with the version that is wanted.
        error: Why it cannot load that version; None where it can, or has not said.
    """

    address: str
    number: int | None = None
    ready: bool = False
    error: str | None = None


def list_servers(settings: Settings, model: str | None = None) -> list[ServerRecord]:
    """List the servers that run, or those of them that serve a model.

    A server that was killed leaves its record: one of this machine whose process is gone, and one that has not been
    written for ten seconds, do not count.
    """
    found = []
    for path in sorted((settings.serving_dir / SERVERS_FOLDER).glob("*.json")):
        try:
            record = ServerRecord.load(path)
        except ContractError:
            continue  # it ended just now, or is of another version, which says nothing to us
        if time.time() - record.at > STALE_SECONDS or not _may_run(record):
            continue
        if model is None or not record.models or model in record.models:
            found.append(record)
    return found


def wait_until_serving(settings: Settings, model: str, number: int, seconds: float) -> list[ServerState]:
    """Wait until every server answers for a model with a version, or one says that it cannot load it.

    Args:
        settings: Where servers register themselves.
        model: The model.
        number: Its champion's number.
        seconds: How long to wait; 0: ask once.

    Returns:
        What each server said last; empty where none runs.
    """
    give_up = time.monotonic() + seconds
    while True:
        servers = list_servers(settings, model)
        if not servers:
            return []
        with ThreadPoolExecutor(min(len(servers), 16)) as pool:
            states = list(pool.map(lambda server: ask_server(server.address, model, number), servers))
        if all(state.ready for state in states) or any(state.error for state in states):
            return states
        if time.monotonic() >= give_up:
            return states
        time.sleep(POLL_SECONDS)


def ask_server(address: str, model: str, number: int) -> ServerState:
    """Ask one server with which version its champion answers, and of what is wrong with the one that is wanted."""
    base = f"{address}/v1/models/{quote(model, safe='')}"
    champion = _find_status(_get(f"{base}/labels/{CHAMPION}"))
    now = _read_number(champion)
    if now == number and champion.get("state") == "AVAILABLE":
        return ServerState(address, now, ready=True)
    wanted = _find_status(_get(f"{base}/versions/{number}"))
    status = wanted.get("status") or {}
    if _read_number(wanted) == number and status.get("error_code") not in (None, "OK"):
        return ServerState(address, now, error=str(status.get("error_message") or status["error_code"]))
    return ServerState(address, now)


def _get(url: str) -> Any:
    """Return the JSON that a server answers; None where it does not answer, or not with that."""
    try:
        token = load_serving_settings().token
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with _DIRECT.open(urllib.request.Request(url, headers=headers), timeout=ASK_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()  # a version that it does not know yet is 404
        return None
    except (OSError, ValueError, http.client.HTTPException):
        return None  # it is starting, ending or busy: it is asked again


def _find_status(answer: Any) -> dict[str, Any]:
    statuses: Sequence[Any] = answer.get("model_version_status", ()) if isinstance(answer, dict) else ()
    return next((each for each in statuses if isinstance(each, dict)), {})


def _read_number(status: dict[str, Any]) -> int | None:
    version = str(status.get("version", ""))
    return int(version) if version.isdecimal() else None


def _may_run(record: ServerRecord) -> bool:
    """Whether its process runs, as far as this machine can tell."""
    if record.host != socket.gethostname():
        return True
    try:
        os.kill(record.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
