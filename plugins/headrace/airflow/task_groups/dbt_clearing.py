"""What a cleared dbt task does, which Cosmos leaves open; orchestration interpreter."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from headrace.airflow.base import CHECKS_FILE, make_task_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

RUN_RESULTS_FILE = "run_results.json"
WAIVED_FILE = "waived.json"
RESULT_FILES = (CHECKS_FILE, RUN_RESULTS_FILE, WAIVED_FILE)
NOT_YET_RUNNING = frozenset({None, "scheduled", "queued", "restarting", "up_for_retry", "up_for_reschedule"})


class FirstTry:
    """A task instance that says it is in its first try, and is the real one in everything else."""

    try_number = 1

    def __init__(self, task_instance: Any) -> None:
        self.real = task_instance

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def build_again_when_cleared(context: "Context") -> None:
    """Let a cleared dbt task really build again.

    Cosmos skips its producer from the second try on, because a retry would run a second ``dbt build`` beside one that
    its models' tasks already watch, and lets each model run alone. Here the producer has no retries: a second try is
    somebody's clear, after which the tests of sources and unit tests, which have no task of their own, must run too.
    """
    task_instance = context["ti"]
    folder = make_task_folder(context)
    for name in RESULT_FILES:
        (folder / name).unlink(missing_ok=True)
    context["ti"] = cast("Any", FirstTry(task_instance))


def wait_for_cleared_producer(context: "Context") -> None:
    """Put a model's task off while the dbt process that it watches is still to run again.

    Called by Airflow before the task runs. When both were cleared, what the process reported the last time is still
    there, and would be taken for its answer.
    """
    from airflow.sdk.exceptions import AirflowRescheduleException
    from airflow.sdk.timezone import utcnow

    task_instance, run_id = context["ti"], context["run_id"]
    producer = getattr(context["task"], "producer_task_id", None)
    if producer is None or task_instance.try_number == 1:
        return
    states = task_instance.get_task_states(dag_id=task_instance.dag_id, task_ids=[producer], run_ids=[run_id])
    if (states.get(run_id) or {}).get(producer) in NOT_YET_RUNNING:
        raise AirflowRescheduleException(utcnow() + timedelta(seconds=5))  # type: ignore[no-untyped-call]
