"""What was found of data that was replaced: it speaks of the new data only when it was found again."""

from datetime import timedelta

import pytest
from ledger_book import Book, result

from headrace.exceptions import InvalidActionError
from headrace.ledger.actions import waive
from headrace.ledger.recording import record_landing
from headrace.ledger.verdicts import list_blocking, load_verdict
from headrace.ledger.views import TaskTry


def land(book: Book, letter: str, key: str = "2013-02") -> tuple[str, ...]:
    book.now += timedelta(minutes=1)
    return record_landing(book.ledger, key, {"raw_weather": (letter * 64, 10)}, now=book.now)


def decide(book: Book, key: str = "2013-02") -> tuple[str, str]:
    verdict = load_verdict(book.ledger, "raw_weather", key)
    assert verdict is not None
    return verdict.decision, verdict.why


def by(task_id: str, run: str = "run") -> TaskTry:
    return TaskTry("flights", run, task_id)


def test_each_gate_lets_go_what_it_checked_again_and_dbt_nothing_of_theirs(book: Book) -> None:
    book.record(result(check="a", status="passed"), task=by("gate_a"))
    book.record(result(check="b", status="passed"), task=by("gate_b"))
    land(book, "a")
    assert decide(book) == ("block", "held")
    book.record(result(check="unique", tool="dbt", status="passed"), task=by("dbt.build", "again"))
    assert decide(book) == ("block", "held")
    book.record(result(check="a", status="passed"), task=by("gate_a", "again"))
    assert decide(book) == ("block", "held")
    book.record(result(check="b", status="passed"), task=by("gate_b", "again"))
    assert decide(book) == ("pass", "checked")


def test_a_check_that_is_made_no_more_holds_nothing(book: Book) -> None:
    book.record(result(check="a", status="passed"), result(check="b", status="passed"))
    land(book, "a")
    book.record(result(check="a", status="passed"))
    assert decide(book) == ("block", "held")
    book.record(result(check="a", status="passed"), complete=True)
    assert decide(book) == ("pass", "checked")


def test_what_a_person_decides_does_not_let_it_go_before_its_gate(book: Book) -> None:
    book.record(result(check="a"), result(check="b"))
    land(book, "a")
    with pytest.raises(InvalidActionError, match=r"other data of 2013-02 was landed since .* wait for its gate"):
        waive(book.ledger, 1, "anna", ["2013-02"], "a known outage", now=book.now)
    assert book.rows("waiver") == []
    book.record(result(check="a"))
    waive(book.ledger, 1, "anna", ["2013-02"], "a known outage", now=book.now)
    assert decide(book) == ("block", "held")  # `b` has not looked yet


def test_a_result_that_is_put_back_is_still_of_the_data_before(book: Book) -> None:
    book.record(result(status="passed"))
    land(book, "a")
    again = by("gate", "again")
    book.record(result(status="passed"), task=again)
    assert decide(book) == ("pass", "checked")
    book.record(result(check="other", status="passed"), task=again)
    assert decide(book) == ("block", "held")


def test_the_age_of_what_was_replaced_neither_holds_nor_blocks(book: Book) -> None:
    old = result(check="freshness", tool="dbt", column=None)
    book.record(old, task=by("check_freshness"))
    assert decide(book) == ("block", "checked")
    land(book, "a")
    assert list_blocking(book.ledger, ["raw_weather"], ["2013-02"]) == []
    assert (book.incident().state, book.incident().resolution) == ("resolved", "retired")
    book.record(result(check="freshness", tool="dbt", column=None, status="passed"), task=by("check_freshness", "2"))
    land(book, "b")
    assert decide(book)[0] == "pass"
    book.record(old, task=by("check_freshness", "3"))
    assert decide(book) == ("block", "checked")


def test_only_the_partition_that_was_landed_is_held(book: Book) -> None:
    book.record(result(status="passed"), result(key="2013-03", status="passed"))
    land(book, "a")
    assert (decide(book), decide(book, "2013-03")) == (("block", "held"), ("pass", "checked"))
