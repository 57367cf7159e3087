import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.ledger.views import EventRow
from headrace.ui.formatting import (
    list_columns,
    safe_link,
    show_age,
    show_ago,
    show_cell,
    show_count,
    show_expected,
    show_number,
    show_overrides,
    show_time,
    show_value,
)  # fmt: skip
from headrace.ui.formatting_events import describe_event, describe_timeline

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "age", "said"),
    [
        (timedelta(seconds=3), "3 s", "just now"),
        (timedelta(seconds=59), "59 s", "59 seconds ago"),
        (timedelta(minutes=1), "1 min", "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 min", "59 minutes ago"),
        (timedelta(hours=23), "23 h", "23 hours ago"),
        (timedelta(days=13), "13 d", "13 days ago"),
        (timedelta(days=15), "2 w", "2 weeks ago"),
        (timedelta(days=800), "2 y", "2 years ago"),
        (timedelta(hours=-2), "0 s", "in 2 hours"),
    ],
)
def test_times_are_told_by_their_largest_unit(ago: timedelta, age: str, said: str) -> None:
    assert (show_age(NOW - ago, NOW), show_ago(NOW - ago, NOW)) == (age, said)


def test_a_time_is_written_whole() -> None:
    assert show_time(datetime(2013, 2, 12, 8, 0, tzinfo=UTC)) == "12 Feb 2013, 08:00 UTC"


@pytest.mark.parametrize(
    ("number", "text"),
    [(1048.36, "1,048.36"), (1048.0, "1,048"), (0.12345, "0.1235"), (-3.5, "−3.5"), (1e20, "1e+20"), (0.00001, "1e-05"),
     (0, "0"), (math.nan, "NaN"), (-math.inf, "−∞"), (True, "true"), (2010, "2,010")],
)  # fmt: skip
def test_numbers_are_written_as_people_write_them(number: float, text: str) -> None:
    assert show_number(number) == text


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [(None, "null", "null"), ("null", "text", "null"), ("", "empty", "empty text"), ("  ", "empty", "blank text"),
     ("NaN", "nan", "NaN"), (math.nan, "nan", "NaN"), ("-Infinity", "nan", "-Infinity"), (False, "boolean", "false"),
     (3, "number", "3"), (["W", 3], "json", '["W", 3]'), ({"a": None}, "json", '{"a": null}')],
)  # fmt: skip
def test_null_is_not_the_text_null_and_nan_no_number(value: Any, kind: str, text: str) -> None:
    shown = show_cell(value)
    assert (shown.kind, shown.text) == (kind, text)


@pytest.mark.parametrize(
    ("expected", "pairs"),
    [
        (None, []),
        ({"min_value": 5, "max_value": 80}, [("between", "5 and 80")]),
        ({"min_value": 5, "strict_min": True}, [("more than", "5")]),
        ({"max_value": 200, "mostly": 0.95}, [("at most", "200"), ("in at least", "95 % of rows")]),
        ({"value_set": ["a", None]}, [("value set", "a, null")]),
        (7, [("expected", "7")]),
    ],
)
def test_what_was_expected_is_words(expected: Any, pairs: list[tuple[str, str]]) -> None:
    assert show_expected(expected) == pairs


@pytest.mark.parametrize("address", ["https://example.com/a?b#c", "http://localhost:8080", "HTTPS://EXAMPLE.COM"])
def test_http_addresses_are_links(address: str) -> None:
    assert safe_link(address) == address


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "//example.com", "/a", "https://",
     "vbscript:x", "https://a b", "https:\\\\evil", "ask anna", "", None, "http://[", 'https://a"onclick="x', "file:///etc/passwd"],
)  # fmt: skip
def test_everything_else_is_no_link(address: str | None) -> None:
    assert safe_link(address) is None


def test_counts_know_one_and_unknown() -> None:
    said = [show_count(1, "row"), show_count(2010, "row"), show_count(None, "row"), show_count(3, "failed", "failed")]
    assert said == ["1 row", "2,010 rows", "–", "3 failed"]


def test_long_lists_are_cut_and_say_so() -> None:
    assert show_value(list(range(1000)), most=3) == "0, 1, 2, … (1,000 in all)"


def test_columns_are_those_of_all_rows_in_order() -> None:
    assert list_columns([{"a": 1, "b": 2}, {"c": 3, "a": 1}]) == ["a", "b", "c"]
    assert list_columns([{"row_id": "1", "state": "held", "row": {"x": 1}}]) == ["x"]


def test_text_that_turns_others_around_is_made_visible() -> None:
    assert show_overrides("a\u202egpj.exe") == "a\ufffdgpj.exe"
    assert show_overrides("مرحبا") == "مرحبا", "what is written from right to left stays"


def event(kind: str, actor: str = "headrace", partition_key: str | None = None, **detail: Any) -> EventRow:
    return EventRow(1, NOW, kind, actor, partition_key, detail)


@pytest.mark.parametrize(
    ("row", "said", "quote"),
    [
        (
            event("opened", partition_key="2013-02", severity="critical"),
            "Headrace opened it on 2013-02 (critical)",
            None,
        ),
        (event("acknowledged", "anna", comment="on it"), "anna acknowledged it", "on it"),
        (event("assigned", "anna", assignee="bob"), "anna assigned it to bob", None),
        (event("assigned", "anna", assignee=None), "anna assigned it to nobody", None),
        (
            event("snoozed", "anna", until="2026-11-24T09:00:00+00:00"),
            "anna snoozed it until 24 Nov 2026, 09:00 UTC",
            None,
        ),
        (event("resolved", "anna", resolution="manual", reason="fixed"), "anna resolved it (by hand)", "fixed"),
        (event("waived", "anna", partition_keys=["2013-02", ""]), "anna waived it on 2013-02, whole dataset", None),
        (event("a_new_kind", "bob"), "bob a new kind", None),
    ],
)
def test_events_say_who_did_what(row: EventRow, said: str, quote: str | None) -> None:
    line = describe_event(row)
    assert (f"{line.who} {line.text}", line.quote) == (said, quote)


def test_the_timeline_begins_with_the_newest() -> None:
    lines = describe_timeline([event("opened"), event("resolved")])
    assert [(line.text, line.tone) for line in lines] == [("resolved it", "good"), ("opened it", "bad")]


def test_whole_numbers_of_rows_and_lists_are_written_as_they_are() -> None:
    """2013 may be a year or a key; an amount by itself has its thousands separated."""
    assert show_cell(2013).text == "2013"
    assert show_value([2013, 2014]) == "2013, 2014"
    assert show_expected({"value_set": [2013]}) == [("value set", "2013")]
    assert show_value(2013) == "2,013"
