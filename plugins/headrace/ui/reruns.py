"""Runs again what a decision must take effect in, through Airflow's own REST API and as the user; api-server.

Airflow's API is called in process, so that its own permission check, audit log and rules for clearing apply, and no
address, port or certificate has to be known.
"""

import asyncio
import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote

import httpx
from airflow.api_fastapi.app import get_auth_manager
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from headrace.ledger.actions import Rerun
from headrace.ui.datamodels import RerunOutcome
from headrace.ui.mount import AIRFLOW_APP
from headrace.ui.security import Access

TOKEN_SECONDS = 120
WAIT_SECONDS = 60
TRIES = 3
IN_PROCESS = "http://localhost"
"""Nothing is connected to: httpx wants an address."""

log = logging.getLogger(__name__)


class ClearFailedError(Exception):
    """Airflow did not clear; the message says what to do."""


async def run_again(request: Request, access: Access, reruns: Sequence[Rerun]) -> list[RerunOutcome]:
    """Clear these tasks with all that is downstream of them in their runs, one call for each run.

    Returns:
        An outcome for each, in the order of the runs; never raises for what Airflow answers.
    """
    if not reruns:
        return []
    token = await run_in_threadpool(
        get_auth_manager().generate_jwt, access.user, expiration_time_in_seconds=TOKEN_SECONDS
    )
    outcomes: list[RerunOutcome] = []
    transport = httpx.ASGITransport(app=request.scope[AIRFLOW_APP], raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url=IN_PROCESS, headers=headers) as airflow:
        ordered = sorted(set(reruns), key=lambda rerun: (rerun.dag_id, rerun.run_id, rerun.task_id, rerun.map_index))
        for (dag_id, run_id), of_run in groupby(ordered, key=lambda rerun: (rerun.dag_id, rerun.run_id)):
            tasks = list(of_run)
            try:
                cleared = await _clear(airflow, dag_id, run_id, tasks)
            except ClearFailedError as error:
                log.warning("Could not clear %s of the run %s of %s: %s", tasks, run_id, dag_id, error)
                outcomes += [_build_outcome(task, state="failed", detail=_advise(task, str(error))) for task in tasks]
            else:
                outcomes += [_build_outcome(task, state="cleared", cleared=cleared) for task in tasks]
    return outcomes


async def _clear(airflow: httpx.AsyncClient, dag_id: str, run_id: str, tasks: Sequence[Rerun]) -> int:
    body = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": [task.task_id if task.map_index < 0 else [task.task_id, task.map_index] for task in tasks],
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    for left in reversed(range(TRIES)):
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                answer = await airflow.post(f"/api/v2/dags/{quote(dag_id, safe='')}/clearTaskInstances", json=body)
        except TimeoutError:
            raise ClearFailedError(f"Airflow did not answer in {WAIT_SECONDS} s, and may have cleared later") from None
        except httpx.HTTPError as error:
            raise ClearFailedError(f"Airflow could not be asked: {error}") from None
        if answer.status_code < 500 or not left:
            break
        await asyncio.sleep(0.5)  # Airflow on SQLite answers 500 where its database was locked
    if answer.status_code != 200:
        raise ClearFailedError(_say_why(answer))
    cleared = int(answer.json()["total_entries"])
    if not cleared:
        raise ClearFailedError("Airflow knows no such task in that run")
    return cleared


def _say_why(answer: httpx.Response) -> str:
    try:
        detail: Any = answer.json().get("detail")
    except ValueError:
        detail = None
    said = detail if isinstance(detail, str) else "no reason given; the api-server's log has it"
    return f"Airflow answered {answer.status_code}: {said[:300]}"


def leave(reruns: Sequence[Rerun]) -> list[RerunOutcome]:
    """Return the outcomes where the user wants the decision only."""
    return [_build_outcome(task, state="not asked") for task in dict.fromkeys(reruns)]


def _build_outcome(task: Rerun, **found: Any) -> RerunOutcome:
    return RerunOutcome(dag_id=task.dag_id, run_id=task.run_id, task_id=task.task_id, map_index=task.map_index, **found)


def _advise(task: Rerun, failure: str) -> str:
    return (
        f"{failure}. The decision stands. Clear the task {task.task_id} of the run {task.run_id} of {task.dag_id} with "
        "what is downstream of it, so that it takes effect, or choose Run again on the incident."
    )
