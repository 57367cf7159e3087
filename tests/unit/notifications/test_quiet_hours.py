"""Quiet hours: over midnight, on some days, and where the clock is put forward or back."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from headrace.notifications.quiet_hours import QuietHours

ZURICH = ZoneInfo("Europe/Zurich")
NIGHT = QuietHours(22 * 60, 7 * 60, ZURICH)


def zurich(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZURICH, fold=fold)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (zurich(2026, 11, 24, 21, 59), None),
        (zurich(2026, 11, 24, 22, 0), zurich(2026, 11, 25, 7, 0)),
        (zurich(2026, 11, 25, 0, 0), zurich(2026, 11, 25, 7, 0)),
        (zurich(2026, 11, 25, 6, 59, 59), zurich(2026, 11, 25, 7, 0)),
        (zurich(2026, 11, 25, 7, 0), None),
        (zurich(2026, 12, 31, 23, 0), zurich(2027, 1, 1, 7, 0)),
    ],
)
def test_a_night(now: datetime, until: datetime | None) -> None:
    assert NIGHT.quiet_until("warning", now) == until
    assert NIGHT.quiet_until("warning", now.astimezone(UTC)) == until


def test_severities_that_are_told_all_the_same() -> None:
    now = zurich(2026, 11, 25, 3, 0)
    assert NIGHT.quiet_until("critical", now) is None
    assert QuietHours(22 * 60, 7 * 60, ZURICH, exempt=frozenset()).quiet_until("critical", now) is not None


def test_a_lunch_break_is_not_over_midnight() -> None:
    lunch = QuietHours(12 * 60, 13 * 60 + 30, ZURICH)
    assert lunch.quiet_until("info", zurich(2026, 11, 24, 12, 30)) == zurich(2026, 11, 24, 13, 30)
    assert lunch.quiet_until("info", zurich(2026, 11, 24, 0, 30)) is None


def test_days_are_those_on_which_a_night_begins() -> None:
    friday_night = QuietHours(22 * 60, 7 * 60, ZURICH, days=frozenset({4}))
    assert friday_night.quiet_until("info", zurich(2026, 11, 27, 23, 0)) == zurich(2026, 11, 28, 7, 0)
    assert friday_night.quiet_until("info", zurich(2026, 11, 28, 3, 0)) == zurich(2026, 11, 28, 7, 0)
    assert friday_night.quiet_until("info", zurich(2026, 11, 28, 23, 0)) is None
    assert friday_night.quiet_until("info", zurich(2026, 11, 27, 3, 0)) is None


@pytest.mark.parametrize("end", [0, 1440])
def test_a_weekend_of_whole_days_is_one_span(end: int) -> None:
    weekend = QuietHours(0, end, ZURICH, days=frozenset({5, 6}))
    assert weekend.quiet_until("info", zurich(2026, 11, 28, 10, 0)) == zurich(2026, 11, 30, 0, 0)
    assert weekend.quiet_until("info", zurich(2026, 11, 27, 23, 59)) is None


def test_every_day_whole_is_looked_at_again_after_a_week() -> None:
    always = QuietHours(0, 1440, ZURICH)
    now = zurich(2026, 11, 28, 10, 0)
    until = always.quiet_until("info", now)
    assert until is not None
    assert (until - now).days >= 7


def test_the_night_in_which_the_clock_is_put_forward_is_an_hour_shorter() -> None:
    start, end = zurich(2026, 3, 28, 22, 0), zurich(2026, 3, 29, 7, 0)
    assert NIGHT.quiet_until("info", start) == end
    assert (end.astimezone(UTC) - start.astimezone(UTC)).seconds == 8 * 3600


def test_a_span_inside_the_hour_that_is_left_out() -> None:
    span = QuietHours(2 * 60, 3 * 60, ZURICH)
    left_out = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 02:00 is 03:00
    assert span.quiet_until("info", left_out) is None
    assert span.quiet_until("info", datetime(2026, 3, 30, 0, 30, tzinfo=UTC)) is not None


def test_the_hour_that_comes_twice_is_quiet_twice() -> None:
    span = QuietHours(2 * 60, 2 * 60 + 45, ZURICH)
    end = datetime(2026, 10, 25, 1, 45, tzinfo=UTC)
    assert span.quiet_until("info", zurich(2026, 10, 25, 2, 30, fold=0)) == end
    assert span.quiet_until("info", zurich(2026, 10, 25, 2, 30, fold=1)) == end
    assert span.quiet_until("info", zurich(2026, 10, 25, 2, 45, fold=1)) is None
