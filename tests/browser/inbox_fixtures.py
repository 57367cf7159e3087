"""A real Airflow with a seeded ledger, and a browser that looks at it."""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from airflow_server import AirflowHome, AirflowServer
from chromium import find_chromium
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright
from seed import record_own, seed_ledger
from windows import DESKTOP, Own, Visit, Visitor

from headrace.ledger.actions import resolve
from headrace.ledger.database import open_ledger
from headrace.ledger.queries import load_incident

expect.set_options(timeout=45_000)  # a machine that does much else
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> str:
    return find_chromium()


@pytest.fixture(scope="session")
def home(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    home = AirflowHome(tmp_path_factory.mktemp("inbox") / "stack")
    home.prepare()
    seed_ledger(home.ledger_path)
    return home


@pytest.fixture(scope="session")
def server(home: AirflowHome) -> Iterator[AirflowServer]:
    server = AirflowServer(home)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def prefixed(home: AirflowHome, server: AirflowServer) -> Iterator[AirflowServer]:
    """A second api-server on the same Airflow and ledger, under a path prefix."""
    prefixed = AirflowServer(home, "/team/quality")
    try:
        prefixed.start()
        yield prefixed
    finally:
        prefixed.stop()


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, server: AirflowServer) -> Iterator[Visitor]:
    """Open windows, in none of which a script fails, the CSP is violated or a stranger is asked."""
    visits: list[Visit] = []

    def open_window(
        user: str = "admin", size: tuple[int, int] = DESKTOP, dark: bool = False, at: AirflowServer | None = None
    ) -> Visit:
        where = at or server
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        context.add_cookies([{"name": "_token", "value": where.log_in(user), "url": where.origin}])
        page = context.new_page()
        page.set_default_timeout(30_000)
        seen = Visit(context, page, where)

        def note_request(request: Request) -> None:
            if not request.url.startswith((where.origin, "data:", "blob:")) or request.url.endswith("/x"):
                seen.wrong.append(f"asked {request.url}")

        page.on("request", note_request)
        page.on("pageerror", lambda error: seen.wrong.append(f"script error: {error}"))
        page.on("dialog", lambda dialog: seen.wrong.append(f"dialog: {dialog.message}"))
        page.on("console", lambda m: seen.wrong.append(m.text) if "Content Security Policy" in m.text else None)
        visits.append(seen)
        return seen

    yield open_window
    wrong = [each for seen in visits for each in seen.wrong]
    for seen in visits:
        seen.context.close()
    assert wrong == []


@pytest.fixture
def own(server: AirflowServer) -> Iterator[Own]:
    """Record incidents of a dataset of the test's own, and return its name; they are resolved after the test."""
    made: list[int] = []

    def record(count: int = 1, months: Sequence[str] = ("2013-07",), held: bool = False) -> str:
        dataset = f"own_{uuid.uuid4().hex[:8]}"
        with open_ledger(server.home.ledger_path) as ledger:
            made.extend(record_own(ledger, dataset, count, months, held=held))
        return dataset

    yield record
    with open_ledger(server.home.ledger_path) as ledger:
        for incident in made:
            if load_incident(ledger, incident).row.state != "resolved":
                resolve(ledger, incident, "the tests", "the test is over")


@pytest.fixture
def shoot(tmp_path: Path) -> Callable[[Page, str], None]:
    """Keep a screenshot in the folder that HEADRACE_SCREENSHOTS names."""
    folder = Path(os.environ.get("HEADRACE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")

    return keep
