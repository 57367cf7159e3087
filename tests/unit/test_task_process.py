"""Whether the process that supervises a task is there still; over a real pair of sockets."""

import socket

import pytest

from headrace.airflow.task_process import _has_hung_up


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_supervisor_that_is_there_and_says_nothing(pair):
    assert not _has_hung_up(pair[0])


def test_what_it_said_is_still_to_be_read(pair):
    pair[1].sendall(b"start")
    assert not _has_hung_up(pair[0])
    assert pair[0].recv(5) == b"start"


def test_one_that_died(pair):
    pair[1].close()
    assert _has_hung_up(pair[0])


def test_one_that_died_with_something_unread(pair):
    pair[0].sendall(b"log line")
    pair[1].close()
    assert _has_hung_up(pair[0])
