"""Which failures a waiver excuses: those that it was given for, while it holds."""

from dataclasses import replace

from ledger_book import Book, result
from sqlalchemy import event

from headrace.ledger.actions import waive
from headrace.ledger.recording import record_landing
from headrace.ledger.verdicts import apply_waivers, list_blocking, list_waivers, load_verdict
from headrace.ledger.views import TaskTry

GATE = TaskTry("flights", "run", "gate")


def waived(book: Book, **more: object) -> None:
    book.record(result(**more), task=GATE)
    waive(book.ledger, 1, "anna", ["2013-02"], "a known outage", now=book.now)


def test_it_ends_when_more_rows_fail_than_were_waived(book: Book) -> None:
    waived(book, failed_rows=3)
    assert book.record(result(failed_rows=3)).verdicts[0].decision == "pass"
    assert book.record(result(failed_rows=None)).verdicts[0].decision == "pass"
    more = result(failed_rows=1200)
    assert apply_waivers(book.ledger, [more])[0].excused is None
    assert book.record(more).verdicts[0].decision == "block"
    assert (book.incident().state, list_waivers(book.ledger, "raw_weather", "2013-02")) == ("open", {})
    [ended] = book.rows("incident_event", kind="waiver_ended")
    assert ended.detail == {"why": "1,200 rows fail, and it was given for 3"}
    assert book.told()[-1] == (1, "reopened")
    assert book.record(result(failed_rows=3)).verdicts[0].decision == "block"


def test_it_excuses_any_number_where_none_was_known(book: Book) -> None:
    waived(book)
    assert book.record(result(failed_rows=10**6)).verdicts[0].decision == "pass"


def test_one_that_ended_while_the_task_ran_excuses_nothing(book: Book) -> None:
    waived(book)
    [believed] = apply_waivers(book.ledger, [result()])
    assert believed.excused
    record_landing(book.ledger, "2013-02", {"raw_weather": ("a" * 64, 1)}, now=book.now)
    recorded = book.record(believed)
    assert (recorded.verdicts[0].decision, book.rows("check_state")[0].excused) == ("block", None)
    assert book.record(replace(believed, excused="released by bert: right")).verdicts[0].decision == "pass"


def test_a_result_that_is_put_back_is_excused_by_what_holds_now(book: Book) -> None:
    waived(book)
    book.record(result())
    record_landing(book.ledger, "2013-02", {"raw_weather": ("a" * 64, 1)}, now=book.now)
    last = TaskTry("flights", "last", "gate")
    book.record(result(status="passed"), task=last)
    book.record(result(check="other", status="passed"), task=last)
    state = book.rows("check_state", check_id=1)[0]
    assert (state.status, state.excused, book.states()["2013-02"]) == ("failed", None, "failing")


def test_they_are_asked_for_once(book: Book) -> None:
    waived(book)
    asked: list[str] = []
    event.listen(book.ledger.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    results = apply_waivers(book.ledger, [result(), *(result(f"d{number}") for number in range(50))])
    assert sum("waiver" in statement for statement in asked) == 1
    assert [each.excused for each in results[:2]] == ["waived by anna: a known outage", None]


def test_long_and_odd_names_are_found_again(book: Book) -> None:
    name, key = "weather\x00" + "x" * 600, "2013\x00" + "y" * 200
    failing = result(name, key=key)
    book.record(failing)
    assert load_verdict(book.ledger, name, key) is not None
    assert len(list_blocking(book.ledger, [name], [key])) == 1
    waive(book.ledger, 1, "anna", [key], "a known outage", now=book.now)
    assert len(list_waivers(book.ledger, name, key)) == 1
    assert apply_waivers(book.ledger, [failing])[0].excused == "waived by anna: a known outage"
