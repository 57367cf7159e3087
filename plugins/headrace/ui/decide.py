"""Records a decision, runs again what it takes effect in, and tells the timeline how that went; api-server."""

import logging
from collections.abc import Mapping, Sequence

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from headrace.exceptions import HeadraceError
from headrace.ledger import actions, queries
from headrace.ledger.actions import Rerun
from headrace.ledger.dag_ids import map_incidents_to_dags
from headrace.ledger.database import Ledger
from headrace.ui import datamodels as bodies
from headrace.ui.datamodels import BulkItem, Done, RerunOutcome
from headrace.ui.errors import find_status
from headrace.ui.reruns import leave, run_again
from headrace.ui.security import Access

SYSTEM = "headrace"

log = logging.getLogger(__name__)


async def decide(request: Request, access: Access, ledger: Ledger, incident_id: int, body: bodies.AnyAction) -> Done:
    """Act on one incident; the user's permission was checked.

    Raises:
        UnknownIncidentError, InvalidActionError, LedgerError: Nothing was recorded.
    """
    wanted = await run_in_threadpool(_record, ledger, incident_id, access.actor, body)
    outcomes = await run_and_tell(request, access, ledger, {incident_id: wanted}, getattr(body, "rerun", True))
    return build_done(incident_id, outcomes[incident_id])


async def decide_on_each(request: Request, access: Access, ledger: Ledger, body: bodies.Bulk) -> list[BulkItem]:
    """Act on each incident as far as the user may; tasks that several of them wait for run again once."""
    ids = list(dict.fromkeys(body.ids))
    failures: dict[int, BulkItem] = {}
    wanted: dict[int | None, list[Rerun]] = {}
    for incident_id in ids:
        try:
            wanted[incident_id] = await run_in_threadpool(_check_and_record, access, ledger, incident_id, body)
        except HTTPException as error:
            failures[incident_id] = BulkItem(id=incident_id, status=error.status_code, detail=str(error.detail))
        except HeadraceError as error:
            failures[incident_id] = BulkItem(id=incident_id, status=find_status(error), detail=str(error))
    outcomes = await run_and_tell(request, access, ledger, wanted, getattr(body, "rerun", True))
    return [failures.get(id_) or BulkItem(status=200, **build_done(id_, outcomes[id_]).model_dump()) for id_ in ids]


async def run_and_tell(
    request: Request, access: Access, ledger: Ledger, wanted: Mapping[int | None, Sequence[Rerun]], rerun: bool
) -> dict[int | None, list[RerunOutcome]]:
    """Run again what decisions want, and write how it went into the timelines.

    Args:
        request, access, ledger: Of the user who decided.
        wanted: Incident to what must run again for it; None: a quarantine without an incident.
        rerun: False: nothing is run again.
    """
    together = [task for tasks in wanted.values() for task in tasks]
    done = await run_again(request, access, together) if rerun else leave(together)
    by_task = {_key(outcome): outcome for outcome in done}
    outcomes = {id_: [by_task[_key(task)] for task in dict.fromkeys(tasks)] for id_, tasks in wanted.items()}
    if rerun and together:
        await run_in_threadpool(_tell, ledger, outcomes)
    return outcomes


def _key(task: Rerun | RerunOutcome) -> tuple[str, str, str, int]:
    return task.dag_id, task.run_id, task.task_id, task.map_index


def _check_and_record(access: Access, ledger: Ledger, incident_id: int, body: bodies.Bulk) -> list[Rerun]:
    access.require_read(map_incidents_to_dags(ledger, [incident_id]).get(incident_id), f"incident {incident_id}")
    access.require_act(queries.incident_dag_ids(ledger, incident_id))
    return _record(ledger, incident_id, access.actor, body)


def _record(ledger: Ledger, incident_id: int, actor: str, body: bodies.AnyAction) -> list[Rerun]:
    """Record what somebody decided, and return what must run again for it."""
    match body:
        case bodies.Acknowledge():
            actions.acknowledge(ledger, incident_id, actor, comment=body.comment)
        case bodies.Assign():
            actions.assign(ledger, incident_id, actor, assignee=body.assignee)
        case bodies.Snooze():
            actions.snooze(ledger, incident_id, actor, until=body.until)
        case bodies.Unsnooze():
            actions.unsnooze(ledger, incident_id, actor)
        case bodies.Resolve():
            actions.resolve(ledger, incident_id, actor, reason=body.reason)
        case bodies.Reopen():
            actions.reopen(ledger, incident_id, actor, reason=body.reason)
        case bodies.Comment():
            actions.comment(ledger, incident_id, actor, text=body.text)
        case bodies.Waive():
            return actions.waive(ledger, incident_id, actor, partition_keys=body.partition_keys, reason=body.reason)
        case bodies.RunAgain():
            return actions.rerun(ledger, incident_id, actor)
        case bodies.Release():
            return actions.release(ledger, incident_id, actor, partition_keys=body.partition_keys, reason=body.reason)
    return []


def _tell(ledger: Ledger, outcomes: Mapping[int | None, Sequence[RerunOutcome]]) -> None:
    for incident_id, of_incident in outcomes.items():
        if incident_id is None:
            continue
        for outcome in of_incident:
            try:
                if outcome.state == "cleared":
                    actions.tell_cleared(ledger, incident_id, Rerun(*_key(outcome)), outcome.cleared)
                else:
                    actions.comment(ledger, incident_id, SYSTEM, text=_describe_failure(outcome))
            except HeadraceError as error:
                # The decision is recorded and the answer says how it went: that must not look like a failure.
                log.warning("Could not write into the timeline of incident %d: %s", incident_id, error)


def _describe_failure(outcome: RerunOutcome) -> str:
    return f"Could not clear {outcome.task_id} of the run {outcome.run_id} of {outcome.dag_id}: {outcome.detail}"


def build_done(id_: int, outcomes: Sequence[RerunOutcome]) -> Done:
    failures = [outcome.detail for outcome in outcomes if outcome.state == "failed" and outcome.detail]
    return Done(id=id_, reruns=list(outcomes), detail=" ".join(failures) or None)
