"""Templates to answers; api-server. Every value is escaped, and a name that a template misspells is an error."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from headrace.ui import formatting
from headrace.ui.charts_graph import SIGNS
from headrace.ui.pages_links import Links
from headrace.ui.security import Access

FOLDER = Path(__file__).parent / "templates"
_TITLES = {403: "You may not see this", 404: "There is nothing here", 503: "The ledger cannot be read"}
_ADVICE = {
    503: "Incidents are recorded in the ledger; without it nobody can say what is open. Runs whose results cannot be "
    "recorded fail and say so, so nothing is lost. 'headrace doctor' tells what is wrong.",
}


def render(request: Request, template: str, access: Access | None, *, code: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
        request: By whose address the links are written.
        template: Its file.
        access: Of the user; None where nobody is known, on some error pages.
        code: HTTP status.
        values: What the template shows; ``may_act`` says whether actions are offered.
    """
    shared = {
        "links": Links(request),
        "now": datetime.now(UTC),
        "csrf": access.csrf_token if access else "",
        "actor": access.actor if access else "",
        "may_act": False,
        "health": [],
        "people": [],
    }
    return HTMLResponse(_load_templates().get_template(template).render({**shared, **values, "code": code}), code)


def render_error(request: Request, code: int, detail: str) -> HTMLResponse:
    """Return the page that says what went wrong; it needs neither the ledger nor a user."""
    title = _TITLES.get(code, "This did not work")
    again = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    return render(
        request, "error.html", None, code=code, title=title, detail=detail, advice=_ADVICE.get(code), again=again
    )


@cache
def _load_templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=formatting.show_overrides,
    )
    environment.filters |= {
        "exactly": lambda text: Markup(escape(text)),  # a form's value, which is sent back
        "age": formatting.show_age,
        "ago": formatting.show_ago,
        "time": formatting.show_time,
        "count": formatting.show_count,
        "cell": formatting.show_cell,
        "value": formatting.show_value,
        "partition": formatting.show_partition,
        "safe_link": formatting.safe_link,
        "columns": formatting.list_columns,
        "tool": lambda name: formatting.TOOLS.get(name, name),
        "state": lambda name: formatting.STATES.get(name, name),
        "decision": lambda name: formatting.DECISIONS.get(name, name),
        "resolution": lambda name: formatting.RESOLUTIONS.get(name, name),
        "sign": lambda decision: SIGNS.get(decision, "·"),
    }
    return environment
