"""What Airflow mounts: an ASGI app that imports and builds the inbox at its first request; api-server.

The plugin is imported by the scheduler, the dag-processor and every task too: they must not pay for FastAPI routes.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[..., Any], Callable[..., Any]], Awaitable[None]]

AIRFLOW_APP = "headrace.airflow_app"
"""Key of the ASGI scope under which the inbox finds the Airflow app that it is mounted on."""


class InboxApp:
    """Builds the inbox once, also when many first requests come at once; a build that fails is tried again."""

    def __init__(self) -> None:
        self._app: App | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        app = await asyncio.to_thread(self._build) if self._app is None else self._app
        await app({**scope, AIRFLOW_APP: scope.get("app")}, receive, send)

    def _build(self) -> App:
        with self._lock:
            if self._app is None:
                from headrace.ui.app import build_guarded_app

                self._app = build_guarded_app()
            return self._app
