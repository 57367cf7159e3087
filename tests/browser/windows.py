"""A browser window of one user."""

from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_server import AirflowServer
from playwright.sync_api import BrowserContext, Page

DESKTOP, PHONE = (1360, 900), (375, 800)


@dataclass
class Visit:
    """A browser window of one user; it notes what no page of ours may do."""

    context: BrowserContext
    page: Page
    server: AirflowServer
    wrong: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        self.page.goto(f"{self.server.url}{path}")
        return self.page

    def open(self, title: str, state: str = "all") -> Page:
        """Open the incident whose sentence contains a text."""
        self.go(f"/headrace/incidents?consequences=1&state={state}")
        self.page.get_by_role("link", name=title).first.click()
        self.page.wait_for_url("**/incidents/*")
        return self.page


Visitor = Callable[..., Visit]
Own = Callable[..., str]
