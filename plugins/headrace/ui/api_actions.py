"""Acting over REST: what people decide on incidents and quarantine; api-server.

A decision is recorded in one transaction of the ledger. Only then are the tasks cleared that must run again, so that
they find it; where that fails, the decision stands, and the answer and the timeline say what to do. What was decided
and not cleared can be run again at any time.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool

from headrace.ledger import actions, queries
from headrace.ui import datamodels as bodies
from headrace.ui.api_read import PROBLEMS, RowId, require_quarantine, require_readable
from headrace.ui.datamodels import BulkDone, Done, Problem
from headrace.ui.decide import build_done, decide, decide_on_each, run_and_tell
from headrace.ui.dependencies import LedgerDep
from headrace.ui.security import Access, Acting

router = APIRouter(
    tags=["Acting"],
    responses=PROBLEMS
    | {
        409: {"model": Problem, "description": "The incident's state does not allow it"},
        415: {"model": Problem, "description": "The body is not JSON"},
    },
)


def may_decide(incident_id: RowId, access: Acting, ledger: LedgerDep) -> Access:
    """Let who may clear task instances of the incident's DAGs act on it."""
    require_readable(incident_id, access, ledger)
    access.require_act(queries.incident_dag_ids(ledger, incident_id))
    return access


def may_release(quarantine_id: RowId, access: Acting, ledger: LedgerDep) -> Access:
    """Let who may clear task instances of the DAG that set rows aside release them."""
    access.require_act([require_quarantine(quarantine_id, access, ledger)])
    return access


Deciding = Annotated[Access, Depends(may_decide)]
Releasing = Annotated[Access, Depends(may_release)]


@router.post("/incidents/{incident_id}/acknowledge")
async def acknowledge(
    request: Request, incident_id: RowId, body: bodies.Acknowledge, access: Deciding, ledger: LedgerDep
) -> Done:
    """Say that somebody looks at it: it tells nobody again while it goes on failing."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/assign")
async def assign(
    request: Request, incident_id: RowId, body: bodies.Assign, access: Deciding, ledger: LedgerDep
) -> Done:
    """Say who has it, or nobody."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/snooze")
async def snooze(
    request: Request, incident_id: RowId, body: bodies.Snooze, access: Deciding, ledger: LedgerDep
) -> Done:
    """Put it off until a time; then it is open again, if it still fails."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/unsnooze")
async def unsnooze(
    request: Request, incident_id: RowId, body: bodies.Unsnooze, access: Deciding, ledger: LedgerDep
) -> Done:
    """Open it again before its time."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/resolve")
async def resolve(
    request: Request, incident_id: RowId, body: bodies.Resolve, access: Deciding, ledger: LedgerDep
) -> Done:
    """Close it by hand; it re-opens when the check fails again."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/reopen")
async def reopen(
    request: Request, incident_id: RowId, body: bodies.Reopen, access: Deciding, ledger: LedgerDep
) -> Done:
    """Open a resolved one again."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/comment")
async def comment(
    request: Request, incident_id: RowId, body: bodies.Comment, access: Deciding, ledger: LedgerDep
) -> Done:
    """Write into its timeline."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/waive")
async def waive(request: Request, incident_id: RowId, body: bodies.Waive, access: Deciding, ledger: LedgerDep) -> Done:
    """Say that the failure does not count on these partitions, until other data lands; run again what it blocked."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/release")
async def release(
    request: Request, incident_id: RowId, body: bodies.Release, access: Deciding, ledger: LedgerDep
) -> Done:
    """Let the rows that were set aside on these partitions go on; run again what puts them back."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/{incident_id}/rerun")
async def rerun(
    request: Request, incident_id: RowId, body: bodies.RunAgain, access: Deciding, ledger: LedgerDep
) -> Done:
    """Run again what waivers and releases wait for (``pending``): it could not be cleared, or nobody got to it."""
    return await decide(request, access, ledger, incident_id, body)


@router.post("/incidents/bulk", status_code=207)
async def act_on_many(request: Request, body: bodies.Bulk, access: Acting, ledger: LedgerDep) -> BulkDone:
    """Do the same on many incidents, each for itself: a result for each says whether it was done."""
    return BulkDone(results=await decide_on_each(request, access, ledger, body))


@router.post("/quarantine/{quarantine_id}/release")
async def release_quarantine(
    request: Request, quarantine_id: RowId, body: bodies.ReleaseQuarantine, access: Releasing, ledger: LedgerDep
) -> Done:
    """Let rows go on that were set aside, all or some; run again what puts them back."""
    reruns = await run_in_threadpool(
        actions.release_quarantine, ledger, quarantine_id, access.actor, body.reason, body.row_ids
    )
    found = await run_in_threadpool(queries.load_quarantine, ledger, quarantine_id)
    outcomes = await run_and_tell(request, access, ledger, {found.incident_id: reruns}, body.rerun)
    return build_done(quarantine_id, outcomes[found.incident_id])
