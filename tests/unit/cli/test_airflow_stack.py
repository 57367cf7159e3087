"""How Airflow is started: reachable from this machine only, and one at a time."""

import os
import socket
from pathlib import Path

import pytest

from headrace.cli import airflow_stack
from headrace.cli.airflow_stack import STACK_FILE, AirflowStack, reserve_port
from headrace.contracts.files import write_json
from headrace.exceptions import ConfigurationError
from headrace.jobs.processes import process_start_time
from headrace.settings import load_settings


def test_only_this_machine_can_reach_it(tmp_path: Path) -> None:
    environment = AirflowStack(load_settings(tmp_path), port=8123).environment()
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8123"


def test_nothing_is_reported_to_anyone(tmp_path: Path) -> None:
    environment = AirflowStack(load_settings(tmp_path)).environment()
    assert environment["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert environment["DO_NOT_TRACK"] == "1"


def test_a_taken_port_is_left_alone() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # someone else has it, which is the case to try
        port, reservation = reserve_port()
        reservation.close()
        assert port != 8080


def test_two_stacks_that_start_at_once_do_not_choose_the_same_port() -> None:
    (first, one), (second, other) = reserve_port(), reserve_port()
    with one, other:
        assert first != second


def test_a_new_project_gets_a_ledger_and_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    AirflowStack(settings)._make_ledger()
    assert settings.ledger_path.read_bytes().startswith(b"SQLite format 3")
    settings.ledger_path.write_bytes(b"damaged")
    AirflowStack(settings)._make_ledger()
    assert settings.ledger_path.read_bytes() == b"damaged"


def test_a_second_stack_of_a_project_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    stack = {"pid": os.getpid(), "started": process_start_time(os.getpid()), "url": "http://127.0.0.1:1"}
    write_json(settings.state_dir / STACK_FILE, stack)
    with pytest.raises(ConfigurationError, match=r"already runs at http://127\.0\.0\.1:1"):
        AirflowStack(settings).refuse_second()
    write_json(settings.state_dir / STACK_FILE, {**stack, "started": 1})
    AirflowStack(settings).refuse_second()


def test_a_notifier_that_ends_does_not_end_airflow_and_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow_stack, "NOTIFIER_MODULE", "this")  # ends by itself
    said: list[str] = []
    stack = AirflowStack(load_settings(tmp_path), _say=said.append)
    stack._start_notifier()
    first = stack._children[airflow_stack.NOTIFIER]
    first.wait(30)
    stack.check()
    assert stack._children[airflow_stack.NOTIFIER] is first  # not at once
    assert said == []
    monkeypatch.setattr(airflow_stack, "NOTIFIER_PAUSE_SECONDS", 0)
    stack.check()
    second = stack._children[airflow_stack.NOTIFIER]
    assert second.pid != first.pid
    (told,) = said
    assert told.startswith("the notifier ended with code 0 and is started again")
    second.wait(30)

    monkeypatch.setattr(airflow_stack, "NOTIFIER_PAUSE_SECONDS", 10)
    stack._notifier_started -= 15
    stack.check()
    assert stack._children[airflow_stack.NOTIFIER] is second  # nor for ever in a hurry
    stack._notifier_started -= 10
    stack.check()
    third = stack._children[airflow_stack.NOTIFIER]
    assert third.pid != second.pid
    third.wait(30)
