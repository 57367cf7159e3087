"""Gives the tasks of dbt's nodes their ends, in the triggerer; orchestration interpreter.

The triggerer is where Airflow ends tasks that hold no worker, and its main process has Airflow's database. A trigger
for each task would do the same at a price that grows with the square of their number (docs/adr/0016). Every triggerer
does it; who comes second finds the task ended.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from headrace.airflow.dbt_logs import name_log, write_log
from headrace.airflow.dbt_reports import BUILD_OPERATOR, KEY_PREFIX, OPEN_STATES

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

BUSY_SECONDS, IDLE_SECONDS, TROUBLE_SECONDS = 0.2, 1.0, 5.0
UNTYPED_SECONDS = 0.1


@dataclass(frozen=True)
class _Producer:
    """A task that runs dbt."""

    dag_id: str
    run_id: str
    task_id: str
    instance: str
    try_number: int


@hookimpl
def on_starting(component: Any) -> None:
    """Start giving where a triggerer starts. A job is announced before it knows its kind."""
    if type(component).__module__ == "airflow.jobs.job":
        threading.Thread(target=_run, args=(component,), name="headrace-dbt-states", daemon=True).start()


def _run(job: Any) -> None:
    pause = threading.Event()
    while job.job_type is None:  # other plugins' listeners, and the database, may take their time
        pause.wait(UNTYPED_SECONDS)
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
        self._seen: dict[_Producer, str] = {}
        self._troubled: set[_Producer] = set()

    def give_ends(self) -> bool:
        """Give the tasks their ends that were told since the last call; returns whether a dbt process is running."""
        producers = _list_producers()
        self._seen = {each: seen for each, seen in self._seen.items() if each in producers}
        self._troubled &= producers
        for producer in producers:
            try:
                self._give_ends_of(producer)
                self._troubled.discard(producer)
            except Exception:  # of one message: the other processes' are good, and this one's are tried again
                if producer not in self._troubled:
                    log.exception("What %s of %s told cannot be given", producer.task_id, producer.run_id)
                self._troubled.add(producer)
        return bool(producers)

    def _give_ends_of(self, producer: _Producer) -> None:
        from airflow.utils.session import create_session

        for key, value in _load_told(producer, after=self._seen.get(producer, "")):
            if value["try_number"] != producer.try_number:
                continue  # of the try before, which Airflow is about to forget
            with create_session() as session:
                ended = give(session, producer.dag_id, producer.run_id, value["ends"])
            self._seen[producer] = key
            for task_instance, name, end in ended:  # not while the tasks' rows are locked
                write_log(task_instance, name, end)


def _list_producers() -> set[_Producer]:
    from airflow.models.taskinstance import TaskInstance as TI  # noqa: N817 - Airflow's own short name
    from airflow.utils.session import create_session
    from sqlalchemy import select

    running = select(TI.dag_id, TI.run_id, TI.task_id, TI.id, TI.try_number).where(
        TI.state == "running", TI.operator == BUILD_OPERATOR, TI.map_index == -1
    )
    with create_session() as session:
        return {_Producer(dag, run, task, str(id_), number) for dag, run, task, id_, number in session.execute(running)}


def _load_told(producer: _Producer, after: str) -> list[tuple[str, dict[str, Any]]]:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    told = (
        select(XComModel.key, XComModel.value)
        .where(XComModel.dag_id == producer.dag_id, XComModel.run_id == producer.run_id)
        .where(XComModel.task_id == producer.task_id, XComModel.map_index == -1)
        .where(XComModel.key.startswith(KEY_PREFIX), XComModel.key > after)
        .order_by(XComModel.key)
    )
    with create_session() as session:
        return [(str(key), XComModel.deserialize_value(_Row(value))) for key, value in session.execute(told)]


class _Row:
    def __init__(self, value: Any) -> None:
        self.value = value


def give(
    session: "Session", dag_id: str, run_id: str, ends: list[dict[str, Any]]
) -> "list[tuple[TaskInstance, str, dict[str, Any]]]":
    """End the tasks of one message that have no end yet; a task that has one, or that runs by itself, keeps it.

    Returns:
        The tasks, the names of their logs, and what is to be written there.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import or_, select

    told = {end["task_id"]: end for end in ends}
    waiting = select(TaskInstance).where(
        TaskInstance.dag_id == dag_id,
        TaskInstance.run_id == run_id,
        TaskInstance.task_id.in_(told),
        TaskInstance.map_index == -1,
        or_(*(TaskInstance.state.is_(None) if state is None else TaskInstance.state == state for state in OPEN_STATES)),
    )
    found = session.scalars(with_row_locks(waiting, session, of=TaskInstance)).all()
    return [(each, _end(session, each, told[each.task_id]), told[each.task_id]) for each in found]


def _end(session: "Session", task_instance: "TaskInstance", end: dict[str, Any]) -> str:
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent
    from airflow.utils.net import get_hostname
    from airflow.utils.state import TaskInstanceState

    if task_instance.state is None:
        task_instance.try_number += 1
    name = name_log(task_instance)
    now = datetime.now(UTC)
    task_instance.hostname = get_hostname()  # type: ignore[no-untyped-call]
    task_instance.start_date = datetime.fromisoformat(end["started"]) if end["started"] else now
    task_instance.end_date = datetime.fromisoformat(end["ended"]) if end["ended"] else now
    if end["failed"]:
        handle_event_submit(TaskFailedEvent(), task_instance=task_instance, session=session)  # it knows of retries
    elif end["calls_back"]:
        handle_event_submit(TaskSuccessEvent(), task_instance=task_instance, session=session)
    else:
        task_instance.state = TaskInstanceState.SUCCESS
        task_instance.set_duration()
    return name
