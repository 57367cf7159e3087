"""What the notifier does again and again: route, lease, deliver, mark; orchestration."""

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from headrace.airflow.delivery import preload_notifier
from headrace.airflow.delivery_process import DeliveryProcess
from headrace.exceptions import LedgerError
from headrace.ledger.database import Ledger
from headrace.ledger.heartbeats import NOTIFIER, load_heartbeat_detail, record_heartbeat
from headrace.ledger.outbox_delivery import Leased, lease_due, mark_delivered, mark_failed, wake_routes
from headrace.ledger.outbox_routing import (
    BATCH,
    Unrouted,
    drop_unrouted,
    has_unrouted,
    load_held_routes,
    route_unrouted,
    settle_held,
)
from headrace.ledger.snoozes import expire_snoozes
from headrace.notifications.backoff import decide_backoff
from headrace.notifications.content import build_context
from headrace.notifications.parse_routes import load_routes
from headrace.notifications.routes import USUAL_TIMEOUT_SECONDS, BrokenRoute, Route, Routes, choose_routes, route_wants

MOST_DELIVERIES = 8
LEASE_MARGIN = timedelta(seconds=10)
"""How much longer a lease is than the delivery may take."""
TICK_SECONDS = 10
POLL_SECONDS = 1.0
FILE_WAS_THERE = "file_was_there"
"""Key of the heartbeat that says whether a routes' file was ever seen."""

log = logging.getLogger("headrace.notifier")


@dataclass(frozen=True)
class Delivered:
    """What became of one try; ``error`` is empty where it was delivered."""

    id: int
    incident_id: int
    change: str
    route: str
    attempts: int
    error: str
    dead: bool = False


def utc_now() -> datetime:
    return datetime.now(UTC)


class NotifierLoop:
    """One notifier; any number of them may work on one ledger.

    Attributes:
        routes: What the routes' file says now.
    """

    def __init__(
        self,
        ledger: Ledger,
        routes_file: Path,
        base_url: str,
        owner: str,
        *,
        clock: Callable[[], datetime] = utc_now,
        tell: Callable[[Delivered], None] = lambda delivered: None,
        heal: Callable[[Ledger], Iterable[str]] = lambda ledger: (),
    ) -> None:
        self.routes = Routes()
        self._ledger, self._file, self._base_url, self._owner = ledger, routes_file, base_url, owner
        self._clock, self._tell, self._heal = clock, tell, heal
        self._running: dict[str, tuple[Leased, DeliveryProcess]] = {}
        self._unmarked: list[tuple[Leased, str]] = []
        self._seen: object = None
        self._file_was_there: bool | None = None
        self._next_tick = 0.0
        self._healed: list[str] = []

    @property
    def is_idle(self) -> bool:
        return not self._running and not self._unmarked

    def step(self) -> bool:
        """Do what can be done now, without waiting for a delivery.

        Returns:
            Whether anything was done.

        Raises:
            LedgerError: The ledger cannot be read or written; what was delivered is remembered, and marked later.
        """
        self._load_routes()
        self._collect()
        marked = self._mark()
        if time.monotonic() >= self._next_tick:
            self._tick()
            self._next_tick = time.monotonic() + TICK_SECONDS
        routed = self._route()
        return bool(marked + routed + self._start())

    def wait(self, seconds: float = POLL_SECONDS) -> None:
        """Wait until a delivery has ended, or some time."""
        if self._running:
            wait([process.waitable for _, process in self._running.values()], timeout=seconds)
        else:
            time.sleep(seconds)

    def stop(self, grace_seconds: float) -> None:
        """Let deliveries end, then end them; those are tried again by the next notifier, at once."""
        deadline = time.monotonic() + grace_seconds
        while self._running and time.monotonic() < deadline:
            self.wait(0.1)
            self._collect()
        running, self._running = self._running, {}
        for _, process in running.values():
            process.kill()
        try:
            for leased, _ in running.values():
                mark_failed(self._ledger, leased, "the notifier was stopped while it delivered this", self._clock())
            self._mark()
        except LedgerError as error:
            log.error("%s", error.message)

    def _load_routes(self) -> None:
        try:
            status = self._file.stat()
            seen: object = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            seen = None
        if seen == self._seen and self._seen is not None:
            return
        first = self._seen is None
        self._seen = seen
        if self._file_was_there is None:  # another notifier may have seen it, before this one was started
            self._file_was_there = bool(load_heartbeat_detail(self._ledger, NOTIFIER).get(FILE_WAS_THERE))
        self._file_was_there |= seen is not None
        before, self.routes = self.routes, load_routes(self._file, was_there=self._file_was_there)
        if self.routes == before:
            return
        for problem in self.routes.problems:
            log.error("%s", problem)
        changed = [name for name, route in self.routes.routes.items() if before.routes.get(name) != route]
        for name in changed:
            route = self.routes.routes[name]
            if isinstance(route, Route):
                preload_notifier(route.notifier)
        if changed and not first:
            wake_routes(self._ledger, changed, self._clock())

    def _tick(self) -> None:
        now = self._clock()
        expire_snoozes(self._ledger, now)
        detail = {
            "owner": self._owner,
            "routes": len(self.routes.routes),
            "problems": list(self.routes.problems)[:20],
            FILE_WAS_THERE: bool(self._file_was_there),
        }
        record_heartbeat(self._ledger, NOTIFIER, detail, now)
        healed = list(self._heal(self._ledger))
        for done in healed:
            if done not in self._healed:  # what cannot be mended is said once
                log.warning("%s", done)
        self._healed = healed

    def _route(self) -> int:
        now, count = self._clock(), 0
        for name in load_held_routes(self._ledger):
            route = self.routes.routes.get(name)
            if not self.routes.held and not isinstance(route, BrokenRoute):
                settle_held(self._ledger, name, partial(_wants, route), now)
        if self.routes.held or not has_unrouted(self._ledger):
            return 0
        if not self.routes.routes:
            return drop_unrouted(self._ledger)
        while True:
            routed = route_unrouted(self._ledger, self._choose, now)
            count += routed
            if routed < BATCH:
                return count

    def _choose(self, unrouted: Unrouted) -> Mapping[str, str | None]:
        chosen = choose_routes(self.routes, unrouted.payload, unrouted.change, unrouted.told)
        return {name: _problem(self.routes.routes[name]) for name in chosen}

    def _start(self) -> int:
        free = MOST_DELIVERIES - len(self._running)
        if free < 1:
            return 0
        leases = lease_due(
            self._ledger,
            self._owner,
            self._clock(),
            lease=lambda name: timedelta(seconds=self._timeout(name)) + LEASE_MARGIN,
            postpone=self._postpone,
            busy=[*self._running, *(leased.route for leased, _ in self._unmarked)],
            limit=free,
        )
        for leased in leases:
            route = self.routes.routes.get(leased.route)
            if isinstance(route, Route):
                context = build_context(
                    leased.payload,
                    incident_id=leased.incident_id,
                    notification_id=leased.id,
                    change=leased.change,
                    base_url=self._base_url,
                )
                self._running[leased.route] = (leased, DeliveryProcess(route, context))
            else:
                problem = _problem(route) or f"{self._file}: there is no route {leased.route} any more"
                self._unmarked.append((leased, problem))
        return len(leases)

    def _collect(self) -> None:
        for name, (leased, process) in list(self._running.items()):
            answer = process.poll()
            if answer is not None:
                del self._running[name]
                self._unmarked.append((leased, answer))

    def _mark(self) -> int:
        count = 0
        while self._unmarked:
            leased, error = self._unmarked[0]
            now = self._clock()
            delay = decide_backoff(leased.attempts, random.random()) if error else None
            if error:
                mark_failed(self._ledger, leased, error, None if delay is None else now + delay)
            else:
                mark_delivered(self._ledger, leased, now)
            self._unmarked.pop(0)
            count += 1
            said = Delivered(
                id=leased.id,
                incident_id=leased.incident_id,
                change=leased.change,
                route=leased.route,
                attempts=leased.attempts,
                error=error,
                dead=bool(error) and delay is None,
            )
            if error:
                log.warning("notification %s by route %s, try %s: %s", leased.id, leased.route, leased.attempts, error)
            self._tell(said)
        return count

    def _timeout(self, name: str) -> float:
        route = self.routes.routes.get(name)
        return route.timeout if isinstance(route, Route) else USUAL_TIMEOUT_SECONDS

    def _postpone(self, name: str, payload: Mapping[str, Any]) -> datetime | None:
        route = self.routes.routes.get(name)
        if not isinstance(route, Route) or route.quiet_hours is None:
            return None
        return route.quiet_hours.quiet_until(str(payload.get("severity")), self._clock())


def _problem(route: Route | BrokenRoute | None) -> str | None:
    return route.problem if isinstance(route, BrokenRoute) else None


def _wants(route: Route | BrokenRoute | None, held: Unrouted) -> bool:
    return isinstance(route, Route) and route_wants(route, held.payload, held.change, held.told.get(route.name))
