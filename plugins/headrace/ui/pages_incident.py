"""The page of one incident; api-server."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from headrace.exceptions import UnknownDatasetError
from headrace.ledger import queries
from headrace.ledger.database import Ledger
from headrace.ledger.impact import Impact
from headrace.ledger.views import GraphNode, IncidentDetail, QuarantineRow, ResultRow
from headrace.quality.incidents import PartitionState
from headrace.ui.api_read import RowId, require_readable
from headrace.ui.charts import draw_series
from headrace.ui.charts_distributions import draw_statistics
from headrace.ui.charts_graph import draw_graph
from headrace.ui.dependencies import LedgerDep
from headrace.ui.formatting import list_columns, show_expected
from headrace.ui.formatting_events import describe_timeline
from headrace.ui.pages_links import Links
from headrace.ui.pages_render import render
from headrace.ui.security import Access, Reading
from headrace.ui.visible import load_detail
from headrace.ui.visible_lineage import find_impact_of

router = APIRouter(include_in_schema=False)

_SHOWN_QUARANTINES = 5


@router.get("/incidents/{incident_id}")
def show_incident(request: Request, incident_id: RowId, access: Reading, ledger: LedgerDep) -> HTMLResponse:
    """Show one incident."""
    require_readable(incident_id, access, ledger)
    detail = load_detail(ledger, incident_id, access)
    links = Links(request)
    may_act = all(access.may_act(dag_id) for dag_id in queries.incident_dag_ids(ledger, incident_id))
    waiting = {each.partition_key for each in detail.quarantine if each.state == "held"}  # not yet on their way back
    aside = [each.partition_key for each in detail.partitions if each.state == PartitionState.QUARANTINED]
    held = [key for key in aside if key in waiting]
    failing = [each.partition_key for each in detail.partitions if each.state == PartitionState.FAILING]
    unsettled = [each.partition_key for each in detail.partitions if each.partition_key in {*aside, *failing}]
    shown_partition = max(unsettled or [each.partition_key for each in detail.partitions], default=None)
    explained = _explain_result(detail.result)
    statistics, more = draw_statistics(detail.statistics, detail.row.column)
    return render(
        request,
        "incident.html",
        access,
        detail=detail,
        may_act=may_act,
        **explained,
        more_unsettled=max(0, detail.row.failing_partitions - len(unsettled)),
        series=draw_series(
            detail.series,
            "" if explained["counts_rows"] else detail.unit or "",
            current=detail.result.partition_key if detail.result else None,
        ),
        has_bounds=any(point.low is not None or point.high is not None for point in detail.series),
        statistics=statistics,
        statistics_more=more,
        statistics_baseline=(detail.statistics.get("baseline") or {}).get("partition_key"),
        graph=draw_graph(detail.graph, detail.row.dataset, lambda node: _link_node(node, incident_id, links)),
        shown_partition=shown_partition,
        impact=_find_impact(ledger, access, detail, shown_partition, unsettled),
        quarantine=_load_rows(ledger, detail.quarantine),
        timeline=describe_timeline(detail.events),
        docs=links.docs(detail.docs),
        data_docs=links.data_docs(detail.row.tool),
        unsettled=unsettled,
        held=held,
        decisions=_list_decisions(detail, unsettled, held),
        rerun_says=None,
        people=[name for name in (detail.row.assignee, detail.row.owner) if name],
    )


@router.get("/incidents/{incident_id}/consequences")
def show_consequences(request: Request, incident_id: RowId, access: Reading, ledger: LedgerDep) -> HTMLResponse:
    """Return the rows that the list shows under an incident; not a page of its own."""
    require_readable(incident_id, access, ledger)
    unresolved = [row for row in load_detail(ledger, incident_id, access).consequences if row.state != "resolved"]
    return render(request, "consequences.html", access, rows=unresolved, may_act=False)


def _find_impact(
    ledger: Ledger, access: Access, detail: IncidentDetail, shown: str | None, unsettled: Sequence[str]
) -> Impact | None:
    """Return what the incident's partitions reach, as ``headrace impact --partition`` says of each."""
    if shown is None:
        return None
    try:
        return find_impact_of(ledger, access.filter_dag_ids(ledger), detail.row.dataset, shown, also=unsettled)
    except UnknownDatasetError:
        return None  # a check may speak of what no run recorded


def _list_decisions(detail: IncidentDetail, unsettled: Sequence[str], held: Sequence[str]) -> list[Any]:
    """Return the dialogs of a decision on partitions: name, heading, explanation, ``(partition, where it re-runs)``."""
    newest: dict[str, str] = {}
    for result in detail.results:
        newest.setdefault(result.partition_key, f"{result.task.task_id} in {result.task.run_id}")
    waive = (
        "The failure no longer counts on these partitions: what it blocked may go on. It holds until other data is "
        "landed, and everybody sees who waived it and why."
    )
    release = "Rows that were set aside go back to where they were taken from, and count as accepted."
    return [
        ("waive", "Waive", waive, [(key, newest.get(key, "")) for key in unsettled]),
        ("release", "Release", release, [(key, newest.get(key, "")) for key in held]),
    ]


def _load_rows(ledger: Ledger, quarantines: Sequence[QuarantineRow]) -> list[QuarantineRow]:
    shown = sorted(quarantines, key=lambda each: (each.state not in ("held", "releasing"), -each.id))
    shown = shown[:_SHOWN_QUARANTINES]
    return [replace(each, sample=queries.load_quarantine(ledger, each.id).sample) for each in shown]


def _explain_result(result: ResultRow | None) -> dict[str, Any]:
    """Return what the page says of the newest failure; without one only that none is kept."""
    if result is None:
        return {"columns": [], "hits": [], "expected": [], "counts_rows": False}
    return {
        "columns": list_columns(result.sample),
        "hits": (result.column or "").split(", "),
        "expected": show_expected(result.expected),
        "counts_rows": result.failed_rows is not None and result.observed in (None, result.failed_rows),
    }


def _link_node(node: GraphNode, incident_id: int, links: Links) -> str | None:
    other = [each for each in node.incident_ids if each != incident_id]
    if len(other) == 1 and incident_id not in node.incident_ids:
        return links.incident(other[0])
    return links.incidents(dataset=node.name, state="all")
