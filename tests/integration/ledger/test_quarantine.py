"""Rows that were set aside, let go, put back and superseded, as the ledger knows them."""

import pytest
from ledger_book import Book, result

from headrace.exceptions import InvalidActionError
from headrace.ledger import actions
from headrace.ledger.actions import Rerun
from headrace.ledger.quarantine import QuarantinedSet, load_releasing, mark_released, record_quarantine
from headrace.ledger.recording import record_landing
from headrace.ledger.views import TaskTry
from headrace.quality.check_digest import digest_check

GATE = TaskTry("flights", "run", "gate")
AGAIN = TaskTry("flights", "run", "gate", try_number=2)
FAILING = result(failed_rows=300, quarantined_rows=300, total_rows=2010)
PLACE = ("raw_weather", "2013-02")


def rows_of(count: int) -> QuarantinedSet:
    sample = [{"row_id": f"r{number:03}", "row": {"wind_speed": float("inf")}} for number in range(count)]
    return QuarantinedSet(*("raw_weather", "raw.weather", "2013-02"), FAILING, count, 2010, "too windy", sample)


@pytest.fixture
def held(book: Book) -> Book:
    with book.ledger.begin() as connection:  # results and quarantine, all or nothing
        from headrace.ledger.recording import record_results

        record_results(connection, GATE, [FAILING], now=book.now)
        assert record_quarantine(connection, GATE, [rows_of(300)], now=book.now) == [1]
    return book


def states(book: Book) -> tuple[str, set[str]]:
    [row] = book.rows("quarantine")
    return row.state, {each.state for each in book.rows("quarantined_row")}


def test_the_first_rows_are_kept_to_be_read(held: Book) -> None:
    [row] = held.rows("quarantine")
    assert (row.rows, row.total_rows, row.state, row.relation) == (300, 2010, "held", "raw.weather")
    assert len(held.rows("quarantined_row")) == 200
    assert held.rows("quarantined_row")[0].row == {"wind_speed": "Infinity"}
    assert held.states() == {"2013-02": "quarantined"}


def test_the_same_run_brings_its_set_up_to_date(held: Book) -> None:
    assert record_quarantine(held.ledger, AGAIN, [rows_of(3)], now=held.now) == [1]
    assert [row.rows for row in held.rows("quarantine")] == [3]
    assert len(held.rows("quarantined_row")) == 3


def test_released_whole(held: Book) -> None:
    assert actions.release(held.ledger, 1, "anna", ["2013-02"], "a storm, really", now=held.now) == [
        Rerun("flights", "run", "gate", -1)
    ]
    assert states(held) == ("releasing", {"releasing"})
    [releasing] = load_releasing(held.ledger, *PLACE)
    assert (releasing.row_ids, releasing.actor, releasing.reason) == (None, "anna", "a storm, really")
    assert (releasing.check, releasing.relation, releasing.task.run_id) == (digest_check(FAILING), "raw.weather", "run")
    for _ in range(2):  # twice is once
        mark_released(held.ledger, [releasing], now=held.now)
    assert states(held) == ("released", {"released"})
    assert load_releasing(held.ledger, *PLACE) == []
    assert [(row.release_whole, row.actor) for row in held.rows("quarantine")] == [(True, "anna")]
    assert held.happened() == ["opened", "release_requested", "rows_released"]
    held.record(result(failed_rows=300, total_rows=2010, excused="released by anna: a storm, really"), task=AGAIN)
    incident = held.incident()
    assert (incident.state, incident.resolution) == ("resolved", "released")
    assert (incident.resolved_by, incident.resolve_reason) == ("anna", "a storm, really")
    assert held.states() == {"2013-02": "released"}


def test_released_in_part(held: Book) -> None:
    assert actions.release_quarantine(held.ledger, 1, "anna", "two are right", ["r001", "r002"], now=held.now)
    [releasing] = load_releasing(held.ledger, *PLACE)
    assert releasing.row_ids == ("r001", "r002")
    mark_released(held.ledger, [releasing], now=held.now)
    assert states(held) == ("held", {"held", "released"})
    released = {row.row_id for row in held.rows("quarantined_row") if row.state == "released"}
    assert released == {"r001", "r002"}


@pytest.mark.parametrize("row_ids", [["r001", "nowhere"], []])
def test_rows_that_are_not_held(held: Book, row_ids: list[str]) -> None:
    with pytest.raises(InvalidActionError, match="quarantine 1 does not hold"):
        actions.release_quarantine(held.ledger, 1, "anna", "why", row_ids, now=held.now)
    assert states(held) == ("held", {"held"})


def test_other_data_supersedes_it(held: Book) -> None:
    record_landing(held.ledger, "2013-03", {"raw_weather": ("b" * 64, 1)}, now=held.now)
    assert states(held) == ("held", {"held"})
    record_landing(held.ledger, "2013-02", {"raw_weather": ("b" * 64, 1)}, now=held.now)
    assert states(held) == ("superseded", {"superseded"})
    assert held.happened()[-1] == "superseded"
    with pytest.raises(InvalidActionError, match="superseded already"):
        actions.release_quarantine(held.ledger, 1, "anna", "why", now=held.now)
    assert record_quarantine(held.ledger, AGAIN, [rows_of(1)], now=held.now) == [2]


def test_what_is_no_longer_held(held: Book) -> None:
    record_quarantine(held.ledger, AGAIN, [], places=[PLACE], now=held.now)
    assert states(held) == ("superseded", {"superseded"})


@pytest.mark.parametrize("more", [["r003"], None])
def test_what_is_let_go_while_the_gate_runs_is_for_the_next_one(held: Book, more: list[str] | None) -> None:
    actions.release_quarantine(held.ledger, 1, "anna", "two are right", ["r001", "r002"], now=held.now)
    listed = load_releasing(held.ledger, *PLACE)
    actions.release_quarantine(held.ledger, 1, "ben", "more", more, now=held.now)
    mark_released(held.ledger, listed, now=held.now)
    assert states(held)[0] == "releasing"
    [releasing] = load_releasing(held.ledger, *PLACE)
    assert (releasing.row_ids, releasing.actor) == (None if more is None else ("r003",), "ben")
    mark_released(held.ledger, [releasing], now=held.now)
    assert states(held)[0] == ("released" if more is None else "held")
