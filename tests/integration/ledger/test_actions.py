"""What people do about incidents, and what is written of it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from ledger_book import Book, result

from headrace.exceptions import InvalidActionError, UnknownIncidentError
from headrace.ledger import actions
from headrace.ledger.actions import Rerun
from headrace.ledger.database import Ledger
from headrace.ledger.recording import record_landing
from headrace.ledger.snoozes import expire_snoozes
from headrace.ledger.verdicts import apply_waivers, list_blocking, list_waivers, load_verdict
from headrace.ledger.views import TaskTry
from headrace.quality.check_digest import digest_check

GATE = TaskTry("flights", "run", "gate", 2)
AGAIN = TaskTry("flights", "run", "gate", 2, try_number=2)


def last_event(book: Book) -> Any:
    return book.rows("incident_event")[-1]


def test_acknowledged_it_rests_until_it_is_resolved_and_comes_back(book: Book) -> None:
    book.record(result())
    actions.acknowledge(book.ledger, 1, "anna", "looking at it", now=book.now)
    event = last_event(book)
    assert (event.kind, event.actor, event.at, event.detail) == (
        "acknowledged", "anna", book.now, {"before": "open", "after": "acknowledged", "comment": "looking at it"}
    )  # fmt: skip
    book.record(result())
    assert (book.incident().state, book.told()) == ("acknowledged", [(1, "opened")])
    book.record(result(status="passed"))
    book.record(result())
    assert book.incident().state == "open"
    assert [change for _, change in book.told()] == ["opened", "resolved", "reopened"]


def test_a_snooze_that_runs_out_is_told_once(book: Book) -> None:
    book.record(result())
    until = book.now + timedelta(hours=1)
    actions.snooze(book.ledger, 1, "anna", until, now=book.now)
    book.record(result())
    assert (book.incident().state, book.incident().snoozed_until) == ("snoozed", until)
    assert expire_snoozes(book.ledger, until - timedelta(seconds=1)) == []
    assert expire_snoozes(book.ledger, until) == [1]
    assert expire_snoozes(book.ledger, until) == []
    assert (book.incident().state, book.incident().snoozed_until) == ("open", None)
    assert [change for _, change in book.told()] == ["opened", "reopened"]


def test_a_snooze_runs_out_in_silence_where_nothing_fails(book: Book) -> None:
    book.record(result())
    book.record(result(status="passed"))
    actions.reopen(book.ledger, 1, "anna", "to be looked at", now=book.now)
    until = book.now + timedelta(hours=1)
    actions.snooze(book.ledger, 1, "anna", until, now=book.now)
    told = book.told()
    assert expire_snoozes(book.ledger, until) == [1]
    assert (book.incident().state, book.told()) == ("open", told)
    assert book.happened()[-1] == "snooze_ended"


def test_unsnoozed_nobody_is_told(book: Book) -> None:
    book.record(result())
    actions.snooze(book.ledger, 1, "anna", book.now + timedelta(hours=1), now=book.now)
    actions.unsnooze(book.ledger, 1, "bert", now=book.now)
    assert (book.incident().state, book.happened()[-1], book.told()) == ("open", "unsnoozed", [(1, "opened")])


def test_resolved_by_hand_it_re_opens_at_the_next_failure_only(book: Book) -> None:
    book.record(result(), task=GATE)
    actions.resolve(book.ledger, 1, "anna", "the sensor is being replaced", now=book.now)
    row = book.incident()
    assert (row.state, row.resolution, row.resolved_by, row.resolve_reason) == (
        "resolved", "manual", "anna", "the sensor is being replaced"
    )  # fmt: skip
    verdict = load_verdict(book.ledger, "raw_weather", "2013-02")
    assert verdict is not None
    assert verdict.decision == "block"
    book.record(result(), task=GATE)  # the same try, said again, is no other failure
    assert book.incident().state == "resolved"
    book.record(result(), task=AGAIN)
    assert book.incident().state == "open"
    assert [change for _, change in book.told()] == ["opened", "resolved", "reopened"]


def test_a_person_can_open_it_again(book: Book) -> None:
    book.record(result())
    book.record(result(status="passed"))
    actions.reopen(book.ledger, 1, "anna", "it was not that", now=book.now)
    assert (book.incident().state, last_event(book).actor) == ("open", "anna")
    book.record(result(status="passed"))
    assert book.incident().state == "resolved"
    assert [change for _, change in book.told()] == ["opened", "resolved", "reopened", "resolved"]


def test_assigned_and_taken_back(book: Book) -> None:
    book.record(result())
    actions.assign(book.ledger, 1, "anna", "bert", now=book.now)
    assert book.incident().assignee == "bert"
    actions.assign(book.ledger, 1, "anna", None, now=book.now)
    assert book.incident().assignee is None
    assert book.happened() == ["opened", "assigned", "unassigned"]
    assert last_event(book).detail == {"assignee": None, "before": "bert", "after": None}


def test_every_task_of_the_newest_run_that_found_it_failing_runs_again(book: Book) -> None:
    failing, passing = result(), result(status="passed")
    book.record(failing, task=TaskTry("flights", "earlier run", "dbt.build"))
    book.record(passing, task=TaskTry("flights", "run", "check_before"))
    book.record(failing, result(check="min"), task=TaskTry("flights", "run", "dbt.build"))
    book.record(result(check="min"), task=TaskTry("flights", "run", "dbt.other.test"))
    book.record(failing, task=TaskTry("flights", "run", "dbt.weather.test", try_number=2))
    assert actions.waive(book.ledger, 1, "anna", ["2013-02"], "a known outage", now=book.now) == [
        Rerun("flights", "run", "dbt.build", -1), Rerun("flights", "run", "dbt.weather.test", -1)
    ]  # fmt: skip


def test_waived_it_blocks_no_more_until_other_data_is_landed(book: Book) -> None:
    failing, other = result(), result(key="2013-03")
    book.record(failing, task=GATE)
    book.record(other)
    assert actions.waive(book.ledger, 1, "anna", ["2013-02"], "a known outage", now=book.now) == [
        Rerun("flights", "run", "gate", 2)
    ]
    verdict = load_verdict(book.ledger, "raw_weather", "2013-02")
    assert verdict is not None
    assert (verdict.decision, verdict.why, verdict.actor) == ("pass", "waived", "anna")
    assert verdict.causes[0]["excused"] == "waived by anna: a known outage"
    assert [row.partition_key for row in list_blocking(book.ledger, ["raw_weather"], ["2013-02", "2013-03"])] == [
        "2013-03"
    ]
    assert list_waivers(book.ledger, "raw_weather", "2013-02") == {
        digest_check(failing): "waived by anna: a known outage"
    }
    assert [each.excused for each in apply_waivers(book.ledger, [failing, other])] == [
        "waived by anna: a known outage", None
    ]  # fmt: skip
    assert (book.incident().state, book.states()) == ("open", {"2013-02": "waived", "2013-03": "failing"})
    # The gate, run again, records it as excused, whether or not it looked for waivers itself.
    recorded = book.record(failing, task=AGAIN)
    assert recorded.verdicts[0].decision == "pass"
    assert book.incident().occurrences == 2
    actions.waive(book.ledger, 1, "bert", [], "the same", now=book.now)
    assert (book.incident().state, book.incident().resolution, book.incident().resolved_by) == (
        "resolved", "waived", "bert"
    )  # fmt: skip
    assert [change for _, change in book.told()] == ["opened", "resolved"]
    assert record_landing(book.ledger, "2013-02", {"raw_weather": ("a" * 64, 10)}, now=book.now) == ("raw_weather",)
    assert list_waivers(book.ledger, "raw_weather", "2013-02") == {}
    assert list_waivers(book.ledger, "raw_weather", "2013-03") != {}
    verdict = load_verdict(book.ledger, "raw_weather", "2013-02")
    assert verdict is not None
    assert (verdict.decision, verdict.why) == ("block", "held")
    assert record_landing(book.ledger, "2013-02", {"raw_weather": ("a" * 64, 10)}, now=book.now) == ()
    recorded = book.record(failing)
    assert (recorded.verdicts[0].decision, recorded.opened) == ("block", (1,))


NOT_NOW: list[tuple[str, Callable[[Ledger, datetime], Any]]] = [
    ("cannot be acknowledged", lambda ledger, now: actions.acknowledge(ledger, 1, "anna", now=now)),
    ("cannot be resolved", lambda ledger, now: actions.resolve(ledger, 1, "anna", "why", now=now)),
    ("cannot be woken", lambda ledger, now: actions.unsnooze(ledger, 1, "anna", now=now)),
    ("no partition fails", lambda ledger, now: actions.waive(ledger, 1, "anna", [], "why", now=now)),
    ("2013-02 is not failing in", lambda ledger, now: actions.waive(ledger, 1, "anna", ["2013-02"], "why", now=now)),
    ("no rows of 2013-02", lambda ledger, now: actions.release(ledger, 1, "anna", ["2013-02"], "why", now=now)),
    ("reason is missing", lambda ledger, now: actions.reopen(ledger, 1, "anna", "  ", now=now)),
    ("name is missing", lambda ledger, now: actions.comment(ledger, 1, "", "text", now=now)),
    ("2,001 characters", lambda ledger, now: actions.comment(ledger, 1, "anna", "x" * 2001, now=now)),
    ("time zone", lambda ledger, now: actions.snooze(ledger, 1, "anna", datetime(2030, 1, 1), now=now)),
    ("between now and", lambda ledger, now: actions.snooze(ledger, 1, "anna", now, now=now)),
]


@pytest.mark.parametrize(("words", "act"), NOT_NOW, ids=[words for words, _ in NOT_NOW])
def test_what_cannot_be_done_now_is_refused_and_leaves_no_trace(
    book: Book, words: str, act: Callable[[Ledger, datetime], Any]
) -> None:
    book.record(result())
    book.record(result(status="passed"))
    before = book.incident(), book.happened()
    with pytest.raises(InvalidActionError, match=words):
        act(book.ledger, book.now)
    assert (book.incident(), book.happened()) == before


def test_an_incident_that_is_not_there(book: Book) -> None:
    with pytest.raises(UnknownIncidentError, match="no incident 7"):
        actions.comment(book.ledger, 7, "anna", "text")
    with pytest.raises(UnknownIncidentError, match="no quarantine 7"):
        actions.release_quarantine(book.ledger, 7, "anna", "why")


def test_no_secret_gets_in(book: Book) -> None:
    url = "postgresql://headrace:hunter2@db/flights"
    book.record(
        result(message=f"could not read {url}", sample=({"password": "hunter2", "origin": "EWR"},),
               meta={"api_key": "hunter2", "owner": "anna"}, expected={"query": "token=hunter2"})
    )  # fmt: skip
    actions.comment(book.ledger, 1, "anna", f"try {url} with password: hunter2", now=book.now)
    actions.resolve(book.ledger, 1, "anna", f"it was {url}", now=book.now)
    everything = repr([book.rows(name) for name in ("check_definition", "check_result", "incident", "incident_event",
                                                    "notification", "verdict")])  # fmt: skip
    assert "hunter2" not in everything
    assert "***" in everything
    assert "EWR" in everything
