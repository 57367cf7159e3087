"""Reading over REST: incidents, results, verdicts, quarantine, overview; api-server.

Every route reads as who asks: what DAGs recorded that this user may not read is left out, or not there (404).
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, status

from headrace.ledger import queries
from headrace.ledger.dag_ids import find_quarantine_dag, map_incidents_to_dags
from headrace.ledger.views import IncidentDetail, IncidentFilter, IncidentPage, Overview, QuarantineRow
from headrace.ui.datamodels import Invalid, Key, Name, Plain, Problem, Quarantines, Results, Severity, State, Verdicts
from headrace.ui.dependencies import LedgerDep
from headrace.ui.security import Reading
from headrace.ui.visible import keep_verdicts, load_detail

PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "Nobody is logged in"},
    403: {"model": Problem, "description": "The user may not"},
    404: {"model": Problem, "description": "There is none, or the user may not read its DAG"},
    422: {"model": Invalid, "description": "A field is not valid"},
    503: {"model": Problem, "description": "The ledger cannot be used now"},
}

router = APIRouter(tags=["Reading"], responses=PROBLEMS)

RowId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Text = Annotated[str, Query(max_length=500), Plain]
Names = Annotated[list[Name], Query()]


@router.get("/incidents")
def list_incidents(
    access: Reading,
    ledger: LedgerDep,
    state: Annotated[list[State], Query(description="None: all states")] = ["open", "acknowledged"],  # noqa: B006
    severity: Annotated[list[Severity], Query()] = [],  # noqa: B006
    owner: Names = [],  # noqa: B006
    dataset: Names = [],  # noqa: B006
    tool: Names = [],  # noqa: B006
    assignee: Names = [],  # noqa: B006
    partition_key: Annotated[Key | None, Query()] = None,
    text: Text = "",
    consequences: Annotated[bool, Query(description="Also what is a consequence of another incident")] = False,
    sort: Literal["severity", "newest", "oldest"] = "severity",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before")] = None,
) -> IncidentPage:
    """List the inbox, a page at a time."""
    wanted = IncidentFilter(
        states=state,
        severities=severity,
        owners=owner,
        datasets=dataset,
        tools=tool,
        assignees=assignee,
        partition_key=partition_key,
        dag_ids=access.filter_dag_ids(ledger),
        text=text,
        consequences=consequences,
    )
    return queries.list_incidents(ledger, wanted, sort=sort, limit=limit, cursor=cursor)


@router.get("/incidents/{incident_id}")
def show_incident(incident_id: RowId, access: Reading, ledger: LedgerDep) -> IncidentDetail:
    """Show one incident with its timeline, partitions, results and what it reaches."""
    require_readable(incident_id, access, ledger)
    return load_detail(ledger, incident_id, access)


@router.get("/incidents/{incident_id}/results")
def list_incident_results(incident_id: RowId, access: Reading, ledger: LedgerDep) -> Results:
    """List an incident's check results, newest first, at most 50."""
    require_readable(incident_id, access, ledger)
    return Results(results=list(load_detail(ledger, incident_id, access).results))


def require_readable(incident_id: int, access: Reading, ledger: LedgerDep) -> None:
    """Answer 404 where there is no such incident, or none that the user may read."""
    access.require_read(map_incidents_to_dags(ledger, [incident_id]).get(incident_id), f"incident {incident_id}")


@router.get("/results")
def list_results(
    access: Reading,
    ledger: LedgerDep,
    dag_id: Name,
    run_id: Name,
    task_id: Name | None = None,
    map_index: Annotated[int | None, Query(ge=-1, le=2**31 - 1)] = None,
) -> Results:
    """List the check results of a DAG run or of one of its tasks, newest try first."""
    access.require_read(dag_id, f"DAG {dag_id}")
    found = queries.list_results(ledger, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
    return Results(results=found)


@router.get("/verdicts")
def list_verdicts(
    access: Reading,
    ledger: LedgerDep,
    dataset: Name | None = None,
    partition_key: Annotated[Key | None, Query(description="Empty: the dataset as a whole")] = None,
    dag_id: Name | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Verdicts:
    """List the history of a dataset's partition, or the newest verdict on each partition that a DAG checked."""
    if dag_id is not None and dataset is None:
        access.require_read(dag_id, f"DAG {dag_id}")
        return Verdicts(
            verdicts=keep_verdicts(queries.list_partition_verdicts(ledger, dag_id=dag_id, limit=limit), access)
        )
    if dataset is None or dag_id is not None:
        raise HTTPException(
            status.HTTP_422_UNPROCESSABLE_CONTENT, "Give either dataset (with partition_key) or dag_id."
        )
    history = keep_verdicts(queries.list_verdict_history(ledger, dataset, partition_key or ""), access)
    return Verdicts(verdicts=history[:limit])


@router.get("/quarantine")
def list_quarantine(
    access: Reading,
    ledger: LedgerDep,
    state: Annotated[list[Literal["held", "releasing", "released", "superseded"]], Query()] = ["held", "releasing"],  # noqa: B006
    dataset: Name | None = None,
    partition_key: Annotated[Key | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Quarantines:
    """List what was set aside, newest first."""
    found = queries.list_quarantine(
        ledger,
        states=state,
        dataset=dataset,
        partition_key=partition_key,
        dag_ids=access.filter_dag_ids(ledger),
        limit=limit,
    )
    return Quarantines(quarantine=found)


@router.get("/quarantine/{quarantine_id}")
def show_quarantine(quarantine_id: RowId, access: Reading, ledger: LedgerDep) -> QuarantineRow:
    """Show what one check of one run set aside, with the first rows."""
    require_quarantine(quarantine_id, access, ledger)
    return queries.load_quarantine(ledger, quarantine_id)


def require_quarantine(quarantine_id: int, access: Reading, ledger: LedgerDep) -> str:
    """Return the DAG that set these rows aside; 404 where there are none that the user may read."""
    dag_id = find_quarantine_dag(ledger, quarantine_id)
    access.require_read(dag_id, f"quarantine {quarantine_id}")
    assert dag_id is not None
    return dag_id


@router.get("/overview")
def show_overview(access: Reading, ledger: LedgerDep) -> Overview:
    """Show the counts, the oldest incident that nobody has acknowledged, and whether notifications go out."""
    return queries.load_overview(ledger, dag_ids=access.filter_dag_ids(ledger))


@router.get("/openapi.json", include_in_schema=False)
def show_openapi(request: Request, access: Reading) -> dict[str, Any]:
    """Return the OpenAPI document of what lies here, for who is logged in."""
    document = request.app.openapi()
    return {**document, "servers": [{"url": request.scope.get("root_path", "")}]}
