"""Models as pages: which versions there are, how good they are, which answers, and changing that; api-server."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from headrace.contracts.deployment import CHAMPION, PREVIOUS
from headrace.exceptions import UnknownVersionError
from headrace.ledger.models import DECIDES_WHAT_ANSWERS
from headrace.ledger.query_models import (
    list_dags_of_model,
    list_deployments,
    list_models,
    list_versions,
    load_aliases,
    load_version,
)
from headrace.ledger.query_verdicts import load_decisions
from headrace.ledger.views_models import ModelVersionRow
from headrace.registry.compare import compare_versions, list_slices
from headrace.registry.servers import list_servers
from headrace.settings import load_settings
from headrace.ui.api_models import Model, may_read_all, require_readable
from headrace.ui.charts_metrics import MOST_LINES, draw_metric
from headrace.ui.dependencies import LedgerDep
from headrace.ui.pages_incidents import Text
from headrace.ui.pages_render import render
from headrace.ui.security import Reading

router = APIRouter(include_in_schema=False)
SHOWN = 100
OVERALL = "all"


@router.get("/models")
def show_models(request: Request, access: Reading, ledger: LedgerDep) -> HTMLResponse:
    """Show every model that the user may read."""
    rows = [row for row in list_models(ledger) if may_read_all(access, row.dag_ids)]
    answering = {row.model: _find(ledger, row.model, row.aliases.get(CHAMPION)) for row in rows}
    return render(request, "models.html", access, rows=rows, answering=answering)


@router.get("/models/{model}")
def show_model(request: Request, model: Model, access: Reading, ledger: LedgerDep, metric: Text = "") -> HTMLResponse:
    """Show a model's versions, how good they are by slice, and what was decided about them."""
    require_readable(model, access, ledger)
    versions = list_versions(ledger, model, limit=SHOWN)
    names = _list_metrics(versions)
    chosen = metric if metric in names else next(iter(names), "")
    with ledger.connect() as connection:
        aliases = load_aliases(connection, model)
        places = {(each["dataset"], each["partition_key"]) for row in versions for each in row.verdicts}
        decisions = load_decisions(connection, places)
    champion, previous = _find(ledger, model, aliases.get(CHAMPION)), _find(ledger, model, aliases.get(PREVIOUS))
    deployments = list_deployments(ledger, model)
    decided = (row for row in deployments if row.action in DECIDES_WHAT_ANSWERS)
    return render(
        request,
        "model.html",
        access,
        model=model,
        versions=versions,
        champion=champion,
        previous=previous,
        since=next((row.at for row in decided if champion and row.number == champion.number), None),
        metrics=names,
        metric=chosen,
        chart=draw_metric(_gather_lines(versions, chosen), champion.number if champion else None),
        decisions=decisions,
        deployments=deployments,
        servers=list_servers(load_settings(), model),
        may_act=all(access.may_act(dag_id) for dag_id in list_dags_of_model(ledger, model)),
    )


@router.get("/models/{model}/compare")
def compare(
    request: Request,
    model: Model,
    access: Reading,
    ledger: LedgerDep,
    a: Annotated[int, Query(ge=1, le=2**31 - 1)],
    b: Annotated[int, Query(ge=1, le=2**31 - 1)],
) -> HTMLResponse:
    """Show two versions side by side, and in what they differ."""
    require_readable(model, access, ledger)
    one, other = load_version(ledger, model, a), load_version(ledger, model, b)
    differences = compare_versions(one, other)
    return render(request, "compare.html", access, model=model, one=one, other=other, differences=differences)


def _find(ledger: Any, model: str, number: int | None) -> ModelVersionRow | None:
    if number is None:
        return None
    try:
        return load_version(ledger, model, number)
    except UnknownVersionError:
        return None


def _list_metrics(versions: Sequence[ModelVersionRow]) -> list[str]:
    """Return the metrics that say how good a version is; counts do not."""
    names = dict.fromkeys(name for row in versions for name in row.metrics.get("overall", {}))
    return [name for name in names if "count" not in name]


def _gather_lines(versions: Sequence[ModelVersionRow], metric: str) -> dict[str, Mapping[int, float]]:
    """Return the metric of all examples, and of the slices with the most of them, by version."""
    lines: dict[str, dict[int, float]] = {OVERALL: {}}
    sizes: dict[str, float] = {}
    for row in versions:
        _add(lines[OVERALL], row.number, row.metrics.get("overall", {}).get(metric))
        for name, metrics in list_slices(row).items():
            sizes[name] = max(sizes.get(name, 0.0), float(metrics.get("example_count") or 0.0))
            _add(lines.setdefault(name, {}), row.number, metrics.get(metric))
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[: MOST_LINES - 1]
    return {name: lines[name] for name in (OVERALL, *largest)}


def _add(line: dict[int, float], number: int, value: Any) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        line[number] = float(value)
