"""What decisions wait for: until their check is made again, or a task was cleared for them."""

import pytest
from ledger_book import Book, result

from headrace.exceptions import InvalidActionError, UnknownIncidentError
from headrace.ledger import actions
from headrace.ledger.actions import Rerun
from headrace.ledger.quarantine import QuarantinedSet, load_releasing, mark_released, record_quarantine
from headrace.ledger.queries import load_incident
from headrace.ledger.recording import record_landing
from headrace.ledger.views import TaskTry

GATE = TaskTry("flights", "run", "gate")
AGAIN = TaskTry("flights", "run", "gate", try_number=2)
CLEARED = Rerun("flights", "run", "gate", -1)
WHY = "a known outage"


def list_pending(book: Book) -> list[Rerun]:
    return list(load_incident(book.ledger, 1).pending)


@pytest.fixture
def waived(book: Book) -> Book:
    book.record(result(), task=GATE)
    assert list_pending(book) == []
    actions.waive(book.ledger, 1, "anna", ["2013-02"], WHY, now=book.now)
    return book


def test_a_waiver_waits_until_its_check_is_made_again(waived: Book) -> None:
    assert list_pending(waived) == [CLEARED]
    waived.record(result(check="other"), task=TaskTry("flights", "run", "other"))
    assert list_pending(waived) == [CLEARED]
    waived.record(result(), task=AGAIN)
    assert list_pending(waived) == []


def test_a_waiver_waits_for_nothing_when_its_check_passes(waived: Book) -> None:
    waived.record(result(status="passed"), task=AGAIN)
    assert list_pending(waived) == []


def test_a_waiver_that_other_data_ended_waits_for_nothing(waived: Book) -> None:
    record_landing(waived.ledger, "2013-02", {"raw_weather": ("a" * 64, 1)}, now=waived.now)
    assert list_pending(waived) == []


def test_what_was_cleared_waits_no_more_until_the_next_decision(waived: Book) -> None:
    actions.tell_cleared(waived.ledger, 1, CLEARED, 3)
    assert list_pending(waived) == []
    assert waived.rows("incident_event")[-1].detail["text"] == (
        "Cleared gate of the run run of flights with what is downstream of it: 3 task instances of the run run again."
    )
    waived.record(result(key="2013-03"), task=TaskTry("flights", "next run", "gate"))
    actions.waive(waived.ledger, 1, "anna", ["2013-03"], WHY, now=waived.now)
    assert list_pending(waived) == [Rerun("flights", "next run", "gate", -1)]


def test_only_the_task_that_was_not_cleared_waits(book: Book) -> None:
    for key in ("2013-02", "2013-03"):
        book.record(result(key=key), task=TaskTry("flights", key, "gate"))
    actions.waive(book.ledger, 1, "anna", ["2013-02", "2013-03"], WHY, now=book.now)
    actions.tell_cleared(book.ledger, 1, Rerun("flights", "2013-02", "gate", -1), 1)
    assert actions.rerun(book.ledger, 1, "anna", now=book.now) == [Rerun("flights", "2013-03", "gate", -1)]


def test_asked_for_again_by_name_and_nobody_is_told(waived: Book) -> None:
    told, state = waived.told(), waived.incident()
    assert actions.rerun(waived.ledger, 1, "bert", now=waived.now) == [CLEARED]
    event = waived.rows("incident_event")[-1]
    assert (event.kind, event.actor) == ("rerun_requested", "bert")
    assert (waived.told(), waived.incident()) == (told, state)
    assert list_pending(waived) == [CLEARED]  # until it is cleared


def test_where_nothing_waits_nothing_is_recorded(waived: Book) -> None:
    waived.record(result(), task=AGAIN)
    happened = waived.happened()
    with pytest.raises(InvalidActionError, match="no decision on incident 1 waits"):
        actions.rerun(waived.ledger, 1, "anna", now=waived.now)
    with pytest.raises(UnknownIncidentError):
        actions.rerun(waived.ledger, 7, "anna", now=waived.now)
    assert waived.happened() == happened


def test_a_second_waiver_is_refused_and_says_what_is_left(waived: Book) -> None:
    with pytest.raises(InvalidActionError, match=r"2013-02 is not failing.*: run that again"):
        actions.waive(waived.ledger, 1, "anna", ["2013-02"], WHY, now=waived.now)


def test_released_rows_wait_until_the_gate_has_put_them_back(book: Book) -> None:
    failing = result(failed_rows=3, quarantined_rows=3, total_rows=2010)
    book.record(failing, task=GATE)
    held = QuarantinedSet("raw_weather", "raw.weather", "2013-02", failing, 3, 2010, "too windy")
    record_quarantine(book.ledger, GATE, [held], now=book.now)
    actions.release(book.ledger, 1, "anna", ["2013-02"], WHY, now=book.now)
    assert list_pending(book) == [CLEARED]
    with pytest.raises(InvalidActionError, match="recorded already and waits for its task"):
        actions.release(book.ledger, 1, "anna", ["2013-02"], WHY, now=book.now)
    mark_released(book.ledger, load_releasing(book.ledger, "raw_weather", "2013-02"), now=book.now)
    assert list_pending(book) == []
