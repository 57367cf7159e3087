"""Models over REST: which versions there are and which answers, and deciding so; api-server.

Who may is judged by the DAGs whose runs pushed the model's versions: reading them, and acting on all of them. An answer
waits at most some seconds for servers: 202 says that the decision stands and not every server follows yet.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response, status
from starlette.concurrency import run_in_threadpool

from headrace.exceptions import DeploymentError, UnknownDatasetError
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import (
    list_dags_of_model,
    list_deployments,
    list_models,
    list_versions,
    load_version,
)
from headrace.ledger.taints import list_dags_reached
from headrace.ledger.views_models import ModelVersionRow
from headrace.registry import deploy
from headrace.registry.quarantine import quarantine_and_roll_back
from headrace.settings import load_settings
from headrace.ui import datamodels_models as bodies
from headrace.ui.api_read import PROBLEMS
from headrace.ui.datamodels import Plain, Problem
from headrace.ui.datamodels_models import DeploymentDone, Models, PartitionQuarantined, ServerSaid, Versions
from headrace.ui.dependencies import LedgerDep
from headrace.ui.security import Access, Acting, Reading

WAIT_SECONDS = 5.0
"""How long a request waits for servers: an api-server has few threads for this."""
_ACTING: dict[int | str, dict[str, Any]] = {
    202: {"model": DeploymentDone, "description": "Decided, and not every server follows yet"},
    409: {"model": Problem, "description": "Refused: the version may not answer, or the champion is another by now"},
    415: {"model": Problem, "description": "The body is not JSON"},
}
router = APIRouter(tags=["Models"], responses=PROBLEMS)

Model = Annotated[str, Path(min_length=1, max_length=500), Plain]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/models")
def list_all(access: Reading, ledger: LedgerDep) -> Models:
    """List the models that the user may read, with the versions that answer."""
    return Models(models=[row for row in list_models(ledger) if may_read_all(access, row.dag_ids)])


@router.get("/models/{model}")
def show_model(model: Model, access: Reading, ledger: LedgerDep) -> Versions:
    """Show a model's versions and what was decided about them, newest first."""
    require_readable(model, access, ledger)
    return Versions(versions=list_versions(ledger, model), deployments=list_deployments(ledger, model))


@router.get("/models/{model}/versions/{number}")
def show_version(model: Model, number: Number, access: Reading, ledger: LedgerDep) -> ModelVersionRow:
    """Show everything that is known of a version."""
    require_readable(model, access, ledger)
    return load_version(ledger, model, number)


def may_read_all(access: Access, dag_ids: Any) -> bool:
    """Return whether a user may read every DAG that pushed a model."""
    return bool(dag_ids) and all(access.may_read(dag_id) for dag_id in dag_ids)


def require_readable(model: str, access: Access, ledger: Ledger) -> None:
    """Answer 404 where there is no such model, or none whose DAGs the user may all read."""
    dag_ids = list_dags_of_model(ledger, model)
    if not dag_ids:
        access.require_read(None, f"model {model}")
    for dag_id in dag_ids:
        access.require_read(dag_id, f"model {model}")


def may_deploy(model: Model, access: Acting, ledger: LedgerDep) -> Access:
    """Let who may clear task instances of the model's DAGs decide about it."""
    require_readable(model, access, ledger)
    access.require_act(list_dags_of_model(ledger, model))
    return access


Deploying = Annotated[Access, Depends(may_deploy)]


@router.post("/models/{model}/promote", responses=_ACTING)
async def promote(
    response: Response, model: Model, body: bodies.Promote, access: Deploying, ledger: LedgerDep
) -> DeploymentDone:
    """Let a version answer; the champion becomes previous."""
    return await _decide(
        response, ledger, model, deploy.promote, model, body.version, access.actor, body.reason,
        expected_champion=_expect(body.expected_champion), wait=WAIT_SECONDS,
    )  # fmt: skip


@router.post("/models/{model}/rollback", responses=_ACTING)
async def rollback(
    response: Response, model: Model, body: bodies.Rollback, access: Deploying, ledger: LedgerDep
) -> DeploymentDone:
    """Let the version before answer, block the one that does, and open its incident."""
    return await _decide(
        response, ledger, model, deploy.rollback, model, access.actor, body.reason, to=body.to,
        expected_champion=_expect(body.expected_champion), wait=WAIT_SECONDS,
    )  # fmt: skip


@router.post("/models/{model}/challenger", responses=_ACTING)
async def challenge(
    response: Response, model: Model, body: bodies.Challenge, access: Deploying, ledger: LedgerDep
) -> DeploymentDone:
    """Let a version answer as the challenger, beside the champion."""
    words = (model, body.version, access.actor, body.reason)
    return await _decide(response, ledger, model, deploy.set_challenger, *words)


@router.post("/models/{model}/unblock", responses=_ACTING)
async def unblock(
    response: Response, model: Model, body: bodies.Unblock, access: Deploying, ledger: LedgerDep
) -> DeploymentDone:
    """Let a version that was rolled back or refused be promoted again; it does not answer by that."""
    words = (model, body.version, access.actor, body.reason)
    return await _decide(response, ledger, model, deploy.unblock, *words)


def may_quarantine(body: bodies.QuarantinePartition, access: Acting, ledger: LedgerDep) -> Access:
    """Let who may clear task instances of the dataset's DAG, and of every model trained on the partition, do it."""
    try:
        dag_ids = list_dags_reached(ledger, body.dataset, body.partition_key)
    except UnknownDatasetError:  # its own message names others
        dag_ids = []
    if not any(access.may_read(dag_id) for dag_id in dag_ids):
        access.require_read(None, f"dataset {body.dataset}")
    access.require_act(dag_ids)
    return access


@router.post("/partitions/quarantine", responses=_ACTING)
def quarantine_partition(
    body: bodies.QuarantinePartition, access: Annotated[Access, Depends(may_quarantine)], ledger: LedgerDep
) -> PartitionQuarantined:
    """Block a partition that turned out bad, mark the versions trained on it, and roll back those that answer."""
    done = quarantine_and_roll_back(
        ledger, load_settings(), body.dataset, body.partition_key, access.actor, body.reason, wait=WAIT_SECONDS
    )
    return PartitionQuarantined(
        incident_id=done.incident_id, versions=list(done.versions), rolled_back=list(done.rolled_back),
        still_answering=list(done.still_answering),
    )  # fmt: skip


async def _decide(
    response: Response, ledger: Ledger, model: str, doing: Callable[..., deploy.Deployed], *words: Any, **more: Any
) -> DeploymentDone:
    """Decide in a thread; where servers do not follow in time, the decision stands and the answer is 202."""
    try:
        done = await run_in_threadpool(doing, ledger, load_settings(), *words, **more)
    except DeploymentError as error:
        response.status_code = status.HTTP_202_ACCEPTED
        (newest,) = await run_in_threadpool(list_deployments, ledger, model, limit=1)
        return DeploymentDone(deployment=newest, detail=error.message)
    servers = [
        ServerSaid(address=each.address, number=each.number, ready=each.ready, error=each.error)
        for each in done.servers
    ]
    return DeploymentDone(deployment=done.deployment, servers=servers)


def _expect(number: int | None) -> Any:
    return deploy.ANY if number is None else number or None
