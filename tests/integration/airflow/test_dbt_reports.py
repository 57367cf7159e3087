"""What the dbt process tells of its tasks, and when it stops waiting; threads are real, Airflow's API is not there."""

from typing import Any

import pytest

from headrace.airflow.dbt_reports import ASKED_AT_ONCE, BUILD_OPERATOR, KEY_PREFIX, TaskEndReporter
from headrace.airflow.operators.dbt_build import DbtBuildOperator
from headrace.dbt.task_ends import TaskEnd


class TaskInstance:
    """The supervisor's end of a task, and a triggerer that takes what it is let."""

    dag_id, try_number = "shop", 3

    def __init__(self, takes: int = 1_000, breaks: bool = False) -> None:
        self.pushed: dict[str, Any] = {}
        self.asked: list[int] = []
        self.takes, self.breaks = takes, breaks

    def xcom_push(self, key: str, value: Any) -> None:
        if self.breaks:
            raise ConnectionError("the api-server is away")
        self.pushed[key] = value

    def get_task_states(self, *, task_ids: list[str], run_ids: list[str], **_: Any) -> dict[str, dict[str, Any]]:
        self.asked.append(len(task_ids))
        told = [end["task_id"] for value in self.pushed.values() for end in value["ends"]]
        taken = set(told[: self.takes])
        return {run_ids[0]: {each: "success" if each in taken else None for each in task_ids}}


def end(name: str) -> TaskEnd:
    return TaskEnd(name, False, "", "", "", ())


def test_everything_is_told_once_in_order_with_the_try() -> None:
    task_instance = TaskInstance()
    with TaskEndReporter(task_instance, "r", calling_back={"b"}) as reporter:
        for name in "abc":
            reporter.tell([end(name)])
        assert reporter.wait_until_taken() == []
    assert list(task_instance.pushed) == sorted(task_instance.pushed)
    assert all(key.startswith(KEY_PREFIX) for key in task_instance.pushed)
    assert {value["try_number"] for value in task_instance.pushed.values()} == {3}
    told = [each for value in task_instance.pushed.values() for each in value["ends"]]
    assert [(each["task_id"], each["calls_back"]) for each in told] == [("a", False), ("b", True), ("c", False)]


def test_without_a_triggerer_it_stops_waiting_and_names_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.airflow.dbt_reports.PATIENCE_SECONDS", 0.5)
    with TaskEndReporter(TaskInstance(takes=1), "r") as reporter:
        reporter.tell([end("a"), end("b")])
        assert reporter.wait_until_taken() == ["b"]


def test_what_cannot_be_told_ends_the_task() -> None:
    with TaskEndReporter(TaskInstance(breaks=True), "r") as reporter:
        reporter.tell([end("a")])
        with pytest.raises(ConnectionError, match="away"):
            reporter.wait_until_taken()


def test_many_tasks_are_asked_for_in_parts() -> None:
    task_instance = TaskInstance(takes=10_000)
    with TaskEndReporter(task_instance, "r") as reporter:
        reporter.tell([end(str(number)) for number in range(2 * ASKED_AT_ONCE + 1)])
        assert reporter.wait_until_taken() == []
    assert task_instance.asked == [ASKED_AT_ONCE, ASKED_AT_ONCE, 1]


def test_the_triggerer_knows_the_process_by_the_name_of_its_operator() -> None:
    assert DbtBuildOperator(task_id="build").task_type == BUILD_OPERATOR
