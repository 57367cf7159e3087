"""The list of incidents; api-server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from headrace.exceptions import InvalidCursorError
from headrace.ledger import queries
from headrace.ledger.views import IncidentFilter, Overview
from headrace.ui.datamodels import Key, Plain
from headrace.ui.dependencies import LedgerDep
from headrace.ui.formatting import STATES, TOOLS, show_ago, show_count, show_time
from headrace.ui.pages_links import Links
from headrace.ui.pages_render import render
from headrace.ui.security import Reading

router = APIRouter(include_in_schema=False)

ROWS = 50
MOST_OPTIONS = 200
_ACTIVE = ("open", "acknowledged")
_TABS = {"active": ("Active", _ACTIVE), **{name: (text, (name,)) for name, text in STATES.items()}, "all": ("All", ())}
_SORTS = {"severity": "Worst first", "newest": "Newest first", "oldest": "Oldest first"}
_SEVERITIES = {"critical": "Critical", "warning": "Warning", "info": "Info"}
_NOTIFIER_LATE = timedelta(minutes=10)

Text = Annotated[str, Query(max_length=500), Plain]


@dataclass(frozen=True)
class Asked:
    """What the list was asked for, as it stands in the address; texts are empty where nothing was."""

    state: str
    severity: str
    owner: str
    dataset: str
    tool: str
    assignee: str
    partition_key: str | None
    text: str
    consequences: bool
    sort: str

    def as_query(self, **other: object) -> dict[str, object]:
        """Return the address's conditions, without those that are the default."""
        query: dict[str, object] = {**self.__dict__, **other}
        for name, default in (("state", "active"), ("sort", "severity")):
            if query[name] == default:
                query[name] = None
        query["consequences"] = "1" if query["consequences"] else None
        return query

    @property
    def narrows(self) -> bool:
        some = (self.severity, self.owner, self.dataset, self.tool, self.assignee, self.text.strip())
        return any(some) or self.partition_key is not None


@router.get("/incidents")
def list_incidents(
    request: Request,
    access: Reading,
    ledger: LedgerDep,
    state: Text = "active",
    severity: Text = "",
    owner: Text = "",
    dataset: Text = "",
    tool: Text = "",
    assignee: Text = "",
    partition_key: Key | None = None,
    text: Text = "",
    consequences: bool = False,
    sort: Text = "severity",
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> HTMLResponse:
    """Show the inbox; a state or an order that is not known is the usual one."""
    asked = Asked(
        state if state in _TABS else "active", severity if severity in _SEVERITIES else "", owner, dataset, tool,
        assignee, partition_key, text, consequences, sort if sort in _SORTS else "severity",
    )  # fmt: skip
    now = datetime.now(UTC)
    dag_ids = access.filter_dag_ids(ledger)
    wanted = _build_filter(asked, access.actor, dag_ids)
    try:
        page = queries.list_incidents(ledger, wanted, sort=asked.sort, limit=ROWS, cursor=cursor, now=now)
    except InvalidCursorError:  # of another order, or cut: the first page is what was meant
        cursor, page = None, queries.list_incidents(ledger, wanted, sort=asked.sort, limit=ROWS, now=now)
    facets = queries.list_facets(ledger, dag_ids=dag_ids)
    overview = queries.load_overview(ledger, dag_ids=dag_ids, now=now)
    links = Links(request)
    return render(
        request,
        "incidents.html",
        access,
        page=page,
        query=asked,
        tabs=_list_tabs(asked, page.counts, links),
        choices=_list_choices(asked, facets, access.actor),
        sorts=list(_SORTS.items()),
        filtered=asked.narrows,
        people=facets.get("assignees", [])[:MOST_OPTIONS],
        health=_describe_health(overview, now),
        empty=_explain_empty(asked, overview, now, links),
        may_act=any(access.may_act(dag_id) for dag_id in {row.dag_id for row in page.rows}),
        earlier=links.incidents(**asked.as_query()) if cursor else None,
        later=links.incidents(**asked.as_query(cursor=page.next)) if page.next else None,
        live="30",
    )


def _build_filter(asked: Asked, actor: str, dag_ids: Sequence[str] | None) -> IncidentFilter:
    def one(value: str) -> tuple[str, ...]:
        return (value,) if value else ()

    return IncidentFilter(
        states=_TABS[asked.state][1],
        severities=one(asked.severity),
        owners=one(asked.owner),
        datasets=one(asked.dataset),
        tools=one(asked.tool),
        assignees=one(actor if asked.assignee == "me" else asked.assignee),
        partition_key=asked.partition_key,
        dag_ids=dag_ids,
        text=asked.text,
        consequences=asked.consequences,
    )


def _list_tabs(asked: Asked, counts: Mapping[str, int], links: Links) -> list[dict[str, Any]]:
    tabs = []
    for name, (text, states) in _TABS.items():
        count = sum(counts.get(state, 0) for state in states or STATES)
        tabs.append(
            {
                "text": text,
                "count": f"{count:,}" if count <= 10_000 else "> 10,000",
                "current": name == asked.state,
                "address": links.incidents(**asked.as_query(state=name)),
            }
        )
    return tabs


def _list_choices(asked: Asked, facets: Mapping[str, Sequence[str]], actor: str) -> list[dict[str, Any]]:
    people = [("me", "Me"), *((name, name) for name in facets.get("assignees", ()) if name != actor)]
    tools = [(name, TOOLS.get(name, name)) for name in facets.get("tools", ())]
    named = [
        ("severity", "Severity", "Any severity", list(_SEVERITIES.items())),
        ("owner", "Owner", "Any owner", [(name, name) for name in facets.get("owners", ())]),
        ("dataset", "Dataset", "Any dataset", [(name, name) for name in facets.get("datasets", ())]),
        ("tool", "Tool", "Any tool", tools),
        ("assignee", "Assigned to", "Anybody", people),
    ]
    choices = []
    for name, label, any_, options in named:
        value = str(getattr(asked, name))
        shown = options[:MOST_OPTIONS]
        if value and value not in dict(shown):
            shown = [(value, value), *shown]
        choices.append({"name": name, "label": label, "any": any_, "options": shown, "value": value})
    return choices


def _describe_health(overview: Overview, now: datetime) -> list[dict[str, Any]]:
    """Say whether checks are recorded and notifications go out: an empty inbox means something only then."""
    lines: list[dict[str, Any]] = []

    def add(text: str, title: str = "", bad: bool = False, off: bool = False) -> None:
        lines.append({"text": text, "title": title, "dot": "bad" if bad else "off" if off else ""})

    if overview.last_recorded is not None:
        add(f"Last check recorded {show_ago(overview.last_recorded, now)}", show_time(overview.last_recorded))
    if overview.notifier_seen is None:
        if overview.outbox_waiting:
            add(f"{show_count(overview.outbox_waiting, 'notification')} not sent: no notifier runs", bad=True)
    elif now - overview.notifier_seen > _NOTIFIER_LATE:
        add(f"Notifier last seen {show_ago(overview.notifier_seen, now)}", bad=True)
    elif problems := overview.notifier_detail.get("problems"):
        add(f"{show_count(len(problems), 'problem')} with the notifications' routes", "\n".join(problems), bad=True)
    elif overview.notifier_detail.get("routes") == 0:
        add("Nobody is notified: no routes", "Who is told of what stands in the project's file of routes.", off=True)
    else:
        add("Notifications go out", f"{overview.outbox_waiting:,} waiting")
    if overview.outbox_dead:
        add(f"{show_count(overview.outbox_dead, 'notification')} could not be delivered", bad=True)
    return lines


def _explain_empty(asked: Asked, overview: Overview, now: datetime, links: Links) -> dict[str, Any]:
    if asked.narrows:
        title = "No incident matches"
        text = "There may be others in another state, or without these filters."
        return {"title": title, "text": text, "reset": links.incidents(state=asked.as_query()["state"])}
    if overview.last_recorded is None:
        text = "No check has been recorded yet: they appear with the first run of a gate, a dbt test or a TFX node."
        return {"title": "Nothing has been checked", "text": text, "reset": None}
    names = {"active": "open", "all": ""}
    title = f"No {names.get(asked.state, asked.state)} incidents".replace("  ", " ")
    text = f"Last check recorded {show_ago(overview.last_recorded, now)}."
    return {"title": title, "text": text, "reset": None}
