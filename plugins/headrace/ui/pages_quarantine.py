"""What is set aside, as a list and one by one; api-server."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from headrace.ledger import queries
from headrace.ui.api_read import RowId, require_quarantine
from headrace.ui.dependencies import LedgerDep
from headrace.ui.formatting import list_columns
from headrace.ui.pages_incidents import Text
from headrace.ui.pages_links import Links
from headrace.ui.pages_render import render
from headrace.ui.security import Reading

router = APIRouter(include_in_schema=False)

MOST = 200
_TABS = {
    "held": ("Held", ("held", "releasing")),
    "released": ("Released", ("released",)),
    "superseded": ("Superseded", ("superseded",)),
    "all": ("All", ()),
}
_EMPTY = {
    "held": (
        "Nothing is set aside",
        "Rows that fail a check marked with quarantine are held here until somebody decides.",
    ),
    "released": ("Nothing was released", "Rows that somebody lets go on are listed here, with who and why."),
    "superseded": ("Nothing was superseded", "Rows of a partition that was landed anew since are listed here."),
    "all": ("Nothing was ever set aside", "Rows that fail a check marked with quarantine are held here."),
}


@router.get("/quarantine")
def list_quarantine(request: Request, access: Reading, ledger: LedgerDep, state: Text = "held") -> HTMLResponse:
    """Show what was set aside, the newest first."""
    state = state if state in _TABS else "held"
    links = Links(request)
    rows = queries.list_quarantine(ledger, states=_TABS[state][1], dag_ids=access.filter_dag_ids(ledger), limit=MOST)
    tabs = [
        {"text": text, "current": name == state, "address": links.quarantines(state=None if name == "held" else name)}
        for name, (text, _) in _TABS.items()
    ]
    title, text = _EMPTY[state]
    empty = {"title": title, "text": text}
    return render(request, "quarantines.html", access, rows=rows, tabs=tabs, empty=empty, limit=MOST)


@router.get("/quarantine/{quarantine_id}")
def show_quarantine(request: Request, quarantine_id: RowId, access: Reading, ledger: LedgerDep) -> HTMLResponse:
    """Show the rows that one check of one run set aside."""
    dag_id = require_quarantine(quarantine_id, access, ledger)
    each = queries.load_quarantine(ledger, quarantine_id)
    return render(
        request,
        "quarantine.html",
        access,
        each=each,
        columns=list_columns(each.sample),
        may_act=access.may_act(dag_id),
        rerun_says=None,
    )
