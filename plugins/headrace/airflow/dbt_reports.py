"""How the one dbt process tells how its nodes' tasks end, by way of its XComs; orchestration interpreter.

The task that runs dbt writes them, the triggerer reads them (:mod:`headrace.airflow.dbt_states`): both reach
Airflow's database anyway, the one through the task API, the other directly. Nothing else is shared.

Under ``dag.test()`` there is no triggerer, and the task runs in the process that has the database: it reads them too.
"""

import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.dbt.task_ends import TaskEnd

KEY_PREFIX = "headrace_dbt_ends_"
BUILD_OPERATOR = "DbtBuildOperator"  # the name by which Airflow's database knows the task
FLUSH_SECONDS = 1.0  # each takes processor time from dbt
ASK_SECONDS = 0.2
PATIENCE_SECONDS = 120
ASKED_AT_ONCE = 200  # the question is one address, whose length is limited
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
        self._count = 0
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._flush_often, name="headrace-dbt-ends", daemon=True)
        self._in_test = runs_in_dag_test()

    def __enter__(self) -> "TaskEndReporter":
        if self._in_test:
            self._stop.set()  # Airflow's stand-in for the task API takes one thread's requests only: all at the end
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def tell(self, ends: "Sequence[TaskEnd]") -> None:
        with self._lock:
            self._waiting += ends

    def wait_until_taken(self) -> list[str]:
        """Wait until the triggerer has given every task its end.

        Returns:
            The tasks that it has not, because none is running or its plugins folder lacks Headrace; empty: all well.
        """
        self._stop.set()
        self._thread.join()
        self._flush()
        if self._error is not None:
            raise self._error
        if self._in_test:
            _give_ends_here()
        left, deadline = list(self._told), time.monotonic() + PATIENCE_SECONDS
        while left and time.monotonic() < deadline:
            still = self._list_open(left)
            if len(still) < len(left):
                deadline = time.monotonic() + PATIENCE_SECONDS
            left = still
            if left:
                time.sleep(ASK_SECONDS)
        return left

    def _list_open(self, task_ids: Sequence[str]) -> list[str]:
        found: list[str] = []
        for part in (task_ids[at : at + ASKED_AT_ONCE] for at in range(0, len(task_ids), ASKED_AT_ONCE)):
            states = self._task_instance.get_task_states(
                dag_id=self._task_instance.dag_id, task_ids=list(part), run_ids=[self._run_id]
            )
            of_run = states.get(self._run_id) or {}
            found += [task_id for task_id in part if of_run.get(task_id) in OPEN_STATES]
        return found

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
        told = [{**end.to_json(), "calls_back": end.task_id in self._calling_back} for end in ends]
        value = {"try_number": self._task_instance.try_number, "ends": told}
        self._task_instance.xcom_push(key=f"{KEY_PREFIX}{self._count:06d}", value=value)
        self._count += 1
        self._told += [end.task_id for end in ends]


def runs_in_dag_test() -> bool:
    """Return whether ``dag.test()``, or ``airflow dags test``, runs this task: in its own process, all alone."""
    from airflow.sdk.execution_time import supervisor, task_runner

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return isinstance(comms, supervisor.InProcessSupervisorComms)


def _give_ends_here() -> None:
    """Do what the triggerer would do."""
    from headrace.airflow.dbt_states import NodeStates

    with ThreadPoolExecutor(1) as other_thread:  # for this one's database session is dag.test()'s, in the middle of it
        other_thread.submit(NodeStates().give_ends).result()
