"""Gives the tasks of dbt's nodes their ends, in the triggerer; orchestration interpreter.

The triggerer is where Airflow ends tasks that hold no worker, and its main process has Airflow's database. A trigger
for each task would do the same at a price that grows with the square of their number (docs/adr/0016). Every triggerer
does it; who comes second finds the task ended.
"""

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from headrace.airflow.dbt_reports import BUILD_OPERATOR, KEY_PREFIX

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

BUSY_SECONDS, IDLE_SECONDS, TROUBLE_SECONDS = 0.2, 1.0, 5.0


@hookimpl
def on_starting(component: Any) -> None:
    """Start giving where a triggerer starts. A job is announced before it knows its kind."""
    if type(component).__module__ == "airflow.jobs.job":
        threading.Thread(target=_run, args=(component,), name="headrace-dbt-states", daemon=True).start()


def _run(job: Any) -> None:
    pause = threading.Event()
    pause.wait(IDLE_SECONDS)
    if job.job_type != "TriggererJob":
        return
    giver = NodeStates()
    while True:
        try:
            seconds = BUSY_SECONDS if giver.give_ends() else IDLE_SECONDS
        except Exception:  # the database may be away for a while; what was told stays there
            log.exception("The ends of dbt's tasks could not be given; trying again")
            seconds = TROUBLE_SECONDS
        pause.wait(seconds)


class NodeStates:
    """Reads what running dbt processes tell, and ends their nodes' tasks."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], str] = {}

    def give_ends(self) -> bool:
        """Give the tasks their ends that were told since the last call; returns whether a dbt process is running."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        running = select(TaskInstance).where(TaskInstance.state == "running", TaskInstance.operator == BUILD_OPERATOR)
        with create_session() as session:
            producers = [
                (ti.dag_id, ti.run_id, ti.task_id, str(ti.id), ti.try_number) for ti in session.scalars(running)
            ]
        self._seen = {key: seen for key, seen in self._seen.items() if key in {each[3:] for each in producers}}
        for dag_id, run_id, task_id, instance, try_number in producers:
            for key, value in self._load_told(dag_id, run_id, task_id, self._seen.get((instance, try_number), "")):
                if value.get("try_number") == try_number:  # else of the try before, which Airflow is about to forget
                    with create_session() as session:
                        give(session, dag_id, run_id, value["ends"])
                    self._seen[instance, try_number] = key
        return bool(producers)

    def _load_told(self, dag_id: str, run_id: str, task_id: str, after: str) -> list[tuple[str, dict[str, Any]]]:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        told = (
            select(XComModel.key, XComModel.value)
            .where(XComModel.dag_id == dag_id, XComModel.run_id == run_id, XComModel.task_id == task_id)
            .where(XComModel.key.startswith(KEY_PREFIX), XComModel.key > after)
            .order_by(XComModel.key)
        )
        with create_session() as session:
            return [(str(key), XComModel.deserialize_value(_Row(value))) for key, value in session.execute(told)]


class _Row:
    def __init__(self, value: Any) -> None:
        self.value = value


def give(session: "Session", dag_id: str, run_id: str, ends: list[dict[str, Any]]) -> None:
    """End the tasks of one message that have no end yet; a task that has one, or that runs by itself, keeps it."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import or_, select

    told = {end["task_id"]: end for end in ends}
    waiting = select(TaskInstance).where(
        TaskInstance.dag_id == dag_id,
        TaskInstance.run_id == run_id,
        TaskInstance.task_id.in_(told),
        or_(TaskInstance.state.is_(None), TaskInstance.state == "up_for_reschedule"),
    )
    for task_instance in session.scalars(with_row_locks(waiting, session, of=TaskInstance)).all():
        _end(session, task_instance, told[task_instance.task_id])


def _end(session: "Session", task_instance: "TaskInstance", end: dict[str, Any]) -> None:
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent
    from airflow.utils.net import get_hostname
    from airflow.utils.state import TaskInstanceState

    from headrace.airflow.dbt_logs import write_log

    if task_instance.state is None:
        task_instance.try_number += 1
    now = datetime.now(UTC)
    task_instance.hostname = get_hostname()  # type: ignore[no-untyped-call]
    task_instance.start_date = datetime.fromisoformat(end["started"]) if end["started"] else now
    task_instance.end_date = datetime.fromisoformat(end["ended"]) if end["ended"] else now
    write_log(task_instance, end)
    if end["failed"]:
        handle_event_submit(TaskFailedEvent(), task_instance=task_instance, session=session)  # it knows of retries
    elif end["calls_back"]:
        handle_event_submit(TaskSuccessEvent(), task_instance=task_instance, session=session)
    else:
        task_instance.state = TaskInstanceState.SUCCESS
        task_instance.set_duration()
