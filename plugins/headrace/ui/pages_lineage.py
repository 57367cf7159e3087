"""The lineage of a partition as a page: a graph, and the same as a table; api-server."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from headrace.ledger.database import Ledger
from headrace.ledger.query_places import list_held_at, list_incidents_at
from headrace.ui.charts_lineage import draw_lineage, tell_run, tell_verdict
from headrace.ui.datamodels import Key
from headrace.ui.datamodels_lineage import Direction
from headrace.ui.dependencies import LedgerDep
from headrace.ui.lineage_layout import LineageNode, Picture, fold_lineage
from headrace.ui.pages_incidents import Text
from headrace.ui.pages_links import Links
from headrace.ui.pages_render import render
from headrace.ui.security import Access, Reading
from headrace.ui.visible_lineage import list_visible_datasets, load_visible_lineage

router = APIRouter(include_in_schema=False)
MOST_LISTED = 2_000
DIRECTIONS = {"both": "Both ways", "upstream": "What it was made of", "downstream": "What was made of it"}


@router.get("/lineage")
def show_lineage(
    request: Request,
    access: Reading,
    ledger: LedgerDep,
    dataset: Text = "",
    partition_key: Annotated[Key, Query()] = "",
    direction: Direction = "both",
) -> HTMLResponse:
    """Show the lineage of a partition, or what to choose from."""
    name, key = dataset.strip(), partition_key.strip()
    asked: dict[str, Any] = {"dataset": name, "partition_key": key, "direction": direction, "directions": DIRECTIONS}
    datasets = list_visible_datasets(ledger, access)[:MOST_LISTED]
    if not name:
        return render(request, "lineage.html", access, **asked, datasets=datasets, picture=None)
    up, down = direction != "downstream", direction != "upstream"
    view = load_visible_lineage(ledger, access, name, key, upstream=up, downstream=down)
    picture = fold_lineage(view)
    links = Links(request)
    return render(
        request,
        "lineage.html",
        access,
        **asked,
        datasets=datasets,
        picture=picture,
        total=len(view.versions),
        truncated=view.truncated,
        graph=draw_lineage(picture, lambda run: links.run(run["dag_id"], run["run_id"])),
        rows=_describe_rows(ledger, access, picture),
        tell_run=tell_run,
    )


def _describe_rows(ledger: Ledger, access: Access, picture: Picture) -> list[Mapping[str, Any]]:
    """Return for each node what its row in the table, and the panel beside the graph, say; the nearest first."""
    nodes = {node.id: node for node in picture.nodes}
    dag_ids = access.filter_dag_ids(ledger)
    places = {(node.dataset, node.partition_key) for node in picture.nodes if node.members == 1}
    with ledger.connect() as connection:
        incidents = list_incidents_at(connection, places, dag_ids)
        held = list_held_at(connection, places, dag_ids)
    made: dict[str, list[LineageNode]] = defaultdict(list)
    for edge in picture.edges:
        made[edge.up].append(nodes[edge.down])
    return [
        {
            "node": node,
            "verdict": tell_verdict(node),
            "runs": _list_runs(picture, node),
            "above": [nodes[edge.up] for edge in picture.above.get(node.id, ())],
            "below": made[node.id],
            "incidents": incidents.get((node.dataset, node.partition_key), ()),
            "held": held.get((node.dataset, node.partition_key), ()),
        }
        for node in sorted(picture.nodes, key=lambda each: (each.place, each.dataset, each.partition_key))
    ]


def _list_runs(picture: Picture, node: LineageNode) -> Sequence[Mapping[str, Any]]:
    runs = {run["id"]: run for edge in picture.above.get(node.id, ()) for run in edge.runs}
    return [runs[id_] for id_ in sorted(runs, reverse=True)]
