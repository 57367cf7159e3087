"""Hours in which a route keeps still; pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST_CHAIN = 8


@dataclass(frozen=True)
class QuietHours:
    """A span of local time, every day or on some days, in which notifications wait.

    Attributes:
        start, end: Minutes of the local day, 0 to 1440; an end that is not after the start lies on the next day.
        zone: Whose local time.
        days: Days on which a span begins, 0 for Monday.
        exempt: Severities that are told all the same.
    """

    start: int
    end: int
    zone: ZoneInfo
    days: frozenset[int] = frozenset(range(7))
    exempt: frozenset[str] = frozenset({"critical"})

    def quiet_until(self, severity: str, now: datetime) -> datetime | None:
        """Return when a notification of this severity may be sent; None where it may be now.

        Spans that touch (Saturday and Sunday, midnight to midnight) count as one. Where summer time makes a local
        time come twice, a span begins at the first and ends at the second; where it leaves one out, the clock's
        time before the change goes on.
        """
        if severity in self.exempt:
            return None
        until = None
        for _ in range(_LONGEST_CHAIN):
            end = self._end_of_span(until or now)
            if end is None:
                break
            until = end
        return until

    def _end_of_span(self, moment: datetime) -> datetime | None:
        moment = moment.astimezone(UTC)
        today = moment.astimezone(self.zone).date()
        ends = []
        for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
            if day.weekday() not in self.days:
                continue
            last_day = day if self.end > self.start else day + timedelta(days=1)
            start, end = self._moment(day, self.start, fold=0), self._moment(last_day, self.end, fold=1)
            if start <= moment < end:
                ends.append(end)
        return max(ends, default=None)

    def _moment(self, day: date, minutes: int, fold: int) -> datetime:
        day += timedelta(days=minutes // 1440)
        local = datetime.combine(day, time(minutes % 1440 // 60, minutes % 60), self.zone)
        return local.replace(fold=fold).astimezone(UTC)
