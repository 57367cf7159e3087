"""What the dbt process tells of its tasks, and when it stops waiting; threads are real, Airflow's API is not there."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from headrace.airflow.dbt_reports import ASKED_AT_ONCE, BUILD_OPERATOR, KEY_PREFIX, MESSAGE_CHARACTERS, TaskEndReporter
from headrace.airflow.operators.dbt_build import DbtBuildOperator
from headrace.dbt.task_ends import TaskEnd


class TaskInstance:
    """The supervisor's end of a task, and a triggerer that takes what it is let."""

    dag_id, task_id, try_number = "shop", "build", 3

    def __init__(self, takes: int = 10_000, breaks: bool = False) -> None:
        self.pushed: dict[str, Any] = {}
        self.asked: list[int] = []
        self.cleared: set[str] = set()
        self.takes, self.breaks = takes, breaks
        task_runner.SUPERVISOR_COMMS = self  # type: ignore[assignment]

    def send(self, message: Any) -> None:
        if self.breaks:
            raise ConnectionError("the api-server is away")
        self.pushed[message.key] = message.value

    @property
    def told(self) -> list[dict[str, Any]]:
        return [end for value in self.pushed.values() for end in value["ends"]]

    def get_task_states(self, *, task_ids: list[str], run_ids: list[str], **_: Any) -> dict[str, dict[str, Any]]:
        self.asked.append(len(task_ids))
        taken = {end["task_id"] for end in self.told[: self.takes]} - self.cleared
        return {run_ids[0]: {each: "success" if each in taken else None for each in task_ids}}


@pytest.fixture(autouse=True)
def _supervisor() -> Iterator[None]:
    yield
    vars(task_runner).pop("SUPERVISOR_COMMS", None)


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
    assert [(each["task_id"], each["calls_back"]) for each in task_instance.told] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]


def test_without_a_triggerer_it_stops_waiting_and_names_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.airflow.dbt_reports.PATIENCE_SECONDS", 0.5)
    with TaskEndReporter(TaskInstance(takes=0), "r") as reporter:
        reporter.tell([end("a"), end("b")])
        assert reporter.wait_until_taken() == ["a", "b"]


def test_what_has_ended_is_told_though_the_process_fails_by_something_else() -> None:
    task_instance = TaskInstance()
    with (
        pytest.raises(RuntimeError, match="a source's test failed"),
        TaskEndReporter(task_instance, "r") as reporter,
    ):
        reporter.tell([end("a"), end("b")])
        raise RuntimeError("a source's test failed")
    assert [each["task_id"] for each in task_instance.told] == ["a", "b"]
    assert task_instance.asked, "it waits until they are taken: of an ended process nothing is"


def test_what_the_process_fails_by_is_not_hidden_by_what_cannot_be_told(caplog: pytest.LogCaptureFixture) -> None:
    with (
        pytest.raises(RuntimeError, match="a source's test failed"),
        TaskEndReporter(TaskInstance(breaks=True), "r") as reporter,
    ):
        reporter.tell([end("a")])
        raise RuntimeError("a source's test failed")
    assert "could not be told: the api-server is away" in caplog.text


def test_a_task_that_is_cleared_while_dbt_runs_is_left_to_airflow(caplog: pytest.LogCaptureFixture) -> None:
    task_instance = TaskInstance()
    task_instance.cleared = {"a"}
    with TaskEndReporter(task_instance, "r") as reporter:
        reporter.tell([end("a"), end("b")])
        assert reporter.wait_until_taken() == []
    assert "a: cleared while dbt was running" in caplog.text


def test_what_dbt_says_is_told_without_secrets_and_without_what_a_database_cannot_hold() -> None:
    from airflow.sdk.log import mask_secret

    task_instance = TaskInstance()
    mask_secret("swordfish")
    said = (("info", "as swordfish at postgresql://anna:hunter2@shop/sales"), ("info", "a\0b" + 10_000 * "x"))
    with TaskEndReporter(task_instance, "r") as reporter:
        reporter.tell([TaskEnd("a", True, "swordfish failed", "", "", said)])
        assert reporter.wait_until_taken() == []
    (told,) = task_instance.told
    text = json.dumps(told)
    assert "swordfish" not in text
    assert "hunter2" not in text
    assert "\\u0000" not in text
    assert "anna" in text
    assert "failed" in told["message"]
    assert len(text) < 5_000


def test_a_message_is_of_bounded_size_and_nothing_is_lost() -> None:
    task_instance = TaskInstance()
    names = [str(number) for number in range(30)]
    with TaskEndReporter(task_instance, "r") as reporter:
        reporter.tell([TaskEnd(name, False, "", "", "", (("info", 1_900 * "x"),) * 50) for name in names])
        assert reporter.wait_until_taken() == []
    assert max(len(json.dumps(value)) for value in task_instance.pushed.values()) < 1.01 * MESSAGE_CHARACTERS
    long = TaskInstance()
    with TaskEndReporter(long, "r") as reporter:
        reporter.tell([TaskEnd("a", False, 2 * MESSAGE_CHARACTERS * "x", "", "", ())])
        assert reporter.wait_until_taken() == []
    assert len(json.dumps(long.told)) < MESSAGE_CHARACTERS
    assert [each["task_id"] for each in task_instance.told] == names


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
    assert task_instance.asked == 2 * [ASKED_AT_ONCE, ASKED_AT_ONCE, 1]


def test_the_triggerer_knows_the_process_by_the_name_of_its_operator() -> None:
    assert DbtBuildOperator(task_id="build").task_type == BUILD_OPERATOR
