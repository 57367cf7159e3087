"""Whatever a tool or a clock hands over: it is recorded, bounded, and read back."""

from datetime import timedelta
from typing import Any

import pytest
from ledger_book import NOW, Book, result

from headrace.ledger.recording import record_statistics, record_training
from headrace.ledger.views import TaskTry

VALUES: list[Any] = [
    None, float("nan"), float("inf"), "a\0b", "\ud800", "Größe 漢字 🦆", "x" * 2**20, "<img src=x onerror=alert(1)>",
    "'; drop table incident; --", 10**400, {"nested": [float("-inf"), {"deep": ["…"] * 10**4}]}, b"\xff",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=[str(number) for number in range(len(VALUES))])
def test_any_value_anywhere(book: Book, value: Any) -> None:
    text = str(value)
    hostile = result(
        check=text, column=text, message=text, observed=value, expected=value, meta={"owner": value, text: value},
        sample=({text: value},), check_id=text, excused=None,
    )  # fmt: skip
    recorded = book.record(hostile, task=TaskTry(text, text, text))
    assert (recorded.results, recorded.opened) == (1, (1,))
    [row] = book.rows("check_result")
    assert len(row.message) <= 2_000
    assert len(repr(row)) < 60_000
    book.record(hostile, task=TaskTry(text, text, text))
    assert book.incident().occurrences == 1


def test_a_million_failing_rows_arrive_as_a_sample(book: Book) -> None:
    rows = tuple({"row": number} for number in range(10**6))
    book.record(result(failed_rows=10**6, total_rows=2**70, sample=rows))
    [row] = book.rows("check_result")
    assert (row.failed_rows, row.total_rows, len(row.sample)) == (10**6, 2**63 - 1, 20)


def test_as_many_results_as_a_large_project_has(book: Book) -> None:
    recorded = book.record(*[result(check=f"check_{number}") for number in range(1_200)])
    assert (recorded.results, len(recorded.opened)) == (1_200, 1_200)
    recorded = book.record(*[result(check=f"check_{number}", status="passed") for number in range(1_200)])
    assert recorded.verdicts[0].decision == "pass"
    assert {row.state for row in book.rows("incident")} == {"resolved"}


def test_a_clock_that_goes_back(book: Book) -> None:
    book.record(result(), now=NOW)
    book.record(result(), now=NOW - timedelta(days=400))
    row = book.incident()
    assert (row.last_seen, row.occurrences) == (NOW, 2)
    book.record(result(status="passed"), now=NOW - timedelta(days=800))
    assert book.incident().state == "resolved"  # the newest is what was recorded last
    book.record(result(), now=NOW - timedelta(days=900))
    assert (book.incident().state, book.incident().opened_at) == ("open", NOW)


def test_what_was_trained_is_told_in_parts(book: Book) -> None:
    place = ("flight_delay", "flights", "run", "2013-02")
    record_training(book.ledger, *place, trained_on={"features": ["2013-01", "2013-02"]}, now=NOW)
    record_training(book.ledger, *place, blessed=True, now=NOW)
    record_training(book.ledger, *place, pushed_to="/models/1", now=NOW)
    [row] = book.rows("trained_model")
    assert (row.blessed, row.pushed_to) == (True, "/models/1")
    assert [each.partition_key for each in book.rows("trained_on")] == ["2013-01", "2013-02"]
    record_training(book.ledger, *place, trained_on={"features": ["2013-02"]}, now=NOW)
    assert [each.partition_key for each in book.rows("trained_on")] == ["2013-02"]


def test_statistics_replace_those_of_the_partition(book: Book) -> None:
    task = TaskTry("flights", "run", "stats")
    for features in ({"distance": {"mean": float("nan")}, "carrier": {"top": "UA"}}, {"distance": {"mean": 1.5}}):
        record_statistics(book.ledger, task, "flight_delay.examples", "2013-02", {"train": features}, now=NOW)
    [row] = book.rows("feature_statistics")
    assert (row.feature, row.statistics) == ("distance", {"mean": 1.5})


def test_of_two_evaluators_both_must_bless_and_each_may_change_its_mind(book: Book) -> None:
    def say(node: str, blessed: bool) -> tuple[Any, Any]:
        record_training(book.ledger, "delay", "flights", "run", "2013-02", blessed=blessed, node=node, now=NOW)
        [row] = book.rows("trained_model")
        return row.blessed, row.blessings

    assert say("strict", False) == (False, {"strict": False})
    assert say("mild", True) == (False, {"strict": False, "mild": True})
    record_training(book.ledger, "delay", "flights", "run", "2013-02", pushed_to="/models/1", now=NOW)
    assert book.rows("trained_model")[0].blessed is False
    assert say("strict", True)[0] is True
    assert say("mild", False)[0] is False
