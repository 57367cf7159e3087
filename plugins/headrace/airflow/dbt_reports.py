"""How the one dbt process tells how its nodes' tasks end, by way of its XComs; orchestration interpreter.

The task that runs dbt writes them, the triggerer reads them (:mod:`headrace.airflow.dbt_states`): both reach
Airflow's database anyway, the one through the task API, the other directly. Nothing else is shared.

Under ``dag.test()`` there is no triggerer, and the task runs in the process that has the database: it reads them too.
"""

import json
import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from headrace.airflow.task_process import runs_in_dag_test
from headrace.contracts.json_safe import make_text_safe

if TYPE_CHECKING:
    from headrace.dbt.task_ends import TaskEnd

log = logging.getLogger(__name__)

KEY_PREFIX = "headrace_dbt_ends_"
BUILD_OPERATOR = "DbtBuildOperator"  # the name by which Airflow's database knows the task
FLUSH_SECONDS = 1.0  # each takes processor time from dbt
ASK_SECONDS = 0.2
PATIENCE_SECONDS = 120
FAREWELL_SECONDS = 10  # where the process fails anyway
ASKED_AT_ONCE = 200  # the question is one address, whose length is limited
LONGEST_MESSAGE = 20_000  # of one task
MESSAGE_CHARACTERS = 1_000_000  # Airflow's API and database take a message as a whole
OPEN_STATES = frozenset({None, "up_for_reschedule"})


class TaskEndReporter:
    """Tells the ends of tasks as they come, once a second, from a thread of its own.

    dbt calls from its own threads, and must not wait for Airflow's API.

    Args:
        task_instance: Of the task that runs dbt.
        run_id: Of its DAG run.
        calling_back: Tasks with a callback on success.
    """

    def __init__(self, task_instance: Any, run_id: str, calling_back: Collection[str] = ()) -> None:
        self._task_instance = task_instance
        self._run_id = run_id
        self._calling_back = calling_back
        self._waiting: list[TaskEnd] = []
        self._told: list[str] = []
        self._newest: list[str] = []
        self._count = 0
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._flush_often, name="headrace-dbt-ends", daemon=True)
        self._waited = False
        self._in_test = runs_in_dag_test()

    def __enter__(self) -> "TaskEndReporter":
        if self._in_test:
            self._stop.set()  # Airflow's stand-in for the task API takes one thread's requests only: all at the end
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None or not issubclass(kind, Exception) or self._waited:
            return
        try:  # what has ended has ended, whatever is wrong with the rest
            self.wait_until_taken(FAREWELL_SECONDS)
        except Exception as error:  # noqa: BLE001 - the task fails by what it failed by before
            log.warning("The ends of some tasks could not be told: %s", error)

    def tell(self, ends: "Sequence[TaskEnd]") -> None:
        with self._lock:
            self._waiting += ends

    def wait_until_taken(self, patience: float | None = None) -> list[str]:
        """Wait until the triggerer has given the tasks of the newest message their ends, in one piece.

        It takes one message after the other: a task of an earlier one that is open then was cleared meanwhile, and is
        Airflow's.

        Args:
            patience: Seconds; :data:`PATIENCE_SECONDS` by default.

        Returns:
            The tasks of that message if none was given, because no triggerer is running or its plugins folder lacks
            Headrace; empty: all well.
        """
        self._waited = True
        self._stop.set()
        self._thread.join()
        self._flush()
        if self._error is not None:
            raise self._error
        if self._in_test:
            _give_ends_here()
        seconds = PATIENCE_SECONDS if patience is None else patience
        deadline = time.monotonic() + (0 if self._in_test else seconds)
        while self._newest and len(self._list_open(self._newest)) == len(self._newest):
            if time.monotonic() >= deadline:
                return self._newest
            time.sleep(ASK_SECONDS)
        if cleared := self._list_open(self._told):
            log.warning("%s: cleared while dbt was running, so run once more by Airflow", ", ".join(cleared))
        return []

    def _list_open(self, task_ids: Sequence[str]) -> list[str]:
        states = load_states(self._task_instance, self._run_id, task_ids)
        return [task_id for task_id, state in states.items() if state in OPEN_STATES]

    def _flush_often(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            try:
                self._flush()
            except Exception as error:  # noqa: BLE001 - whatever it is, the task must end by it, not this thread
                self._error = error
                return

    def _flush(self) -> None:
        with self._lock:
            ends, self._waiting = self._waiting, []
        if not ends:
            return
        for told in _split([self._describe(end) for end in ends]):
            self._push({"try_number": self._task_instance.try_number, "ends": told})
            self._newest = [end["task_id"] for end in told]
            self._told += self._newest

    def _describe(self, end: "TaskEnd") -> dict[str, Any]:
        from airflow.sdk.log import redact  # type: ignore[attr-defined]  # Airflow's only public name for it

        lines = [[level, make_text_safe(redact(text))] for level, text in end.lines]
        safe = {"message": make_text_safe(redact(end.message))[:LONGEST_MESSAGE], "lines": lines}
        return {**end.to_json(), **safe, "calls_back": end.task_id in self._calling_back}

    def _push(self, value: dict[str, Any]) -> None:
        from airflow.sdk.bases.xcom import BaseXCom

        task_instance = self._task_instance
        BaseXCom._set_xcom_in_db(  # as Airflow does itself where a custom XCom backend must not come between
            key=f"{KEY_PREFIX}{self._count:06d}",
            value=value,
            dag_id=task_instance.dag_id,
            task_id=task_instance.task_id,
            run_id=self._run_id,
        )
        self._count += 1


def load_states(task_instance: Any, run_id: str, task_ids: Collection[str]) -> dict[str, str | None]:
    """Ask Airflow for the states of tasks of a run; one that the run does not have is not among them."""
    found: dict[str, str | None] = {}
    asked = list(task_ids)
    for part in (asked[at : at + ASKED_AT_ONCE] for at in range(0, len(asked), ASKED_AT_ONCE)):
        states = task_instance.get_task_states(dag_id=task_instance.dag_id, task_ids=part, run_ids=[run_id])
        of_run = states.get(run_id) or {}
        found |= {task_id: of_run[task_id] for task_id in part if task_id in of_run}
    return found


def _split(ends: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Split what is told into messages of a bounded size, unless a single task's is larger."""
    message: list[dict[str, Any]] = []
    size = 0
    for end in ends:
        length = len(json.dumps(end))
        if message and size + length > MESSAGE_CHARACTERS:
            yield message
            message, size = [], 0
        message.append(end)
        size += length
    yield message


def _give_ends_here() -> None:
    """Do what the triggerer would do."""
    from headrace.airflow.dbt_states import NodeStates

    with ThreadPoolExecutor(1) as other_thread:  # for this one's database session is dag.test()'s, in the middle of it
        other_thread.submit(NodeStates().give_ends).result()
