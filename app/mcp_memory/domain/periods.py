"""Periods of a local calendar as half-open ranges of UTC seconds: days, weeks from Monday, months, quarters, seasons, years.

Days have the length that the zone gives them (23 or 25 hours when clocks change), so that consecutive periods leave no gap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class Period:
    """`start <= t < end`, UTC seconds; `end` None: still going on. `instant` is the moment meant where one is ("2 days ago")."""

    start: float
    end: float | None
    instant: float
    recurring: bool = False
    """Comes again (a month without its year, a weekday): the latest one that has begun was taken."""


class LocalCalendar:
    """Periods as seen at a moment in a zone."""

    def __init__(self, now: float, zone: tzinfo) -> None:
        self.now = now
        self.zone = zone
        self._local_now = datetime.fromtimestamp(now, zone)
        self.today = self._local_now.date()

    def seconds(self, day: date, at: time = time()) -> float:
        """UTC seconds of a local wall-clock time; the first of the two where clocks go back, the change itself in a gap."""
        return datetime.combine(day, at, tzinfo=self.zone).timestamp()

    def days(self, first: date, end: date) -> Period:
        """From the start of the first day to the start of the end day."""
        start = self.seconds(first)
        return Period(start, self.seconds(end), start)

    def day(self, day: date) -> Period:
        return self.days(day, day + timedelta(days=1))

    def week(self, offset: int = 0) -> Period:
        monday = self.today - timedelta(days=self.today.weekday()) + timedelta(weeks=offset)
        return self.days(monday, monday + timedelta(weeks=1))

    def weekend(self, offset: int = 0) -> Period:
        saturday = self.today - timedelta(days=self.today.weekday()) + timedelta(weeks=offset, days=5)
        return self.days(saturday, saturday + timedelta(days=2))

    def months(self, year: int, month: int, count: int = 1) -> Period:
        """`count` months from this one; a month beyond 1 to 12 counts on into other years."""
        return self.days(first_of_month(year, month), first_of_month(year, month + count))

    def unit(self, name: str, offset: int = 0) -> Period:
        """The calendar unit that is going on, or the one `offset` units away from it."""
        today = self.today
        match name:
            case "day":
                return self.day(today + timedelta(days=offset))
            case "week":
                return self.week(offset)
            case "month":
                return self.months(today.year, today.month + offset)
            case "quarter":
                return self.months(today.year, today.month - (today.month - 1) % 3 + 3 * offset, 3)
            case "year":
                return self.months(today.year + offset, 1, 12)
        now = self._local_now.replace(microsecond=0)
        now = now if name == "second" else now.replace(second=0)
        now = now.replace(minute=0) if name == "hour" else now
        start = now.timestamp() + offset * SECONDS[name]
        return Period(start, start + SECONDS[name], start)

    def back(self, count: int, unit: str) -> float:
        """The moment `count` units before now: same wall-clock time for days and longer, elapsed time for shorter ones."""
        if unit in SECONDS:
            return self.now - count * SECONDS[unit]
        return self.seconds(self._day_back(count, unit), self._local_now.time())

    def _day_back(self, count: int, unit: str) -> date:
        if unit in DAYS:
            return self.today - timedelta(days=count * DAYS[unit])
        first = first_of_month(self.today.year, self.today.month - count * MONTHS[unit])
        last = first_of_month(first.year, first.month + 1) - timedelta(days=1)
        return first.replace(day=min(self.today.day, last.day))

    def past(self, count: int, unit: str) -> Period:
        """The last `count` units up to now: from the start of a day for days and longer, exactly for shorter units."""
        start = self.back(count, unit) if unit in SECONDS else self.seconds(self._day_back(count, unit))
        return Period(start, None, start)

    def ago(self, count: int, unit: str) -> Period:
        """The calendar unit that lies `count` units back; its instant is exactly that long ago."""
        period = self.unit(unit, -count)
        return Period(period.start, period.end, self.back(count, unit))

    def latest(self, candidate: Callable[[int], Period | None], which: str | None) -> Period:
        """Of candidates 0, -1, -2, ... the latest that has begun; "last": that has ended; "this": candidate 0.

        A candidate that doesn't exist (29 February) is None. Raises ValueError where none is found.
        """
        for offset in (0,) if which == "this" else range(1, -12, -1):
            period = candidate(offset)
            if period is None:
                continue
            reached = period.end if which == "last" else period.start
            if which == "this" or (reached is not None and reached <= self.now):
                return replace(period, recurring=which is None)
        raise ValueError("no such period")


SECONDS = {"second": 1, "minute": 60, "hour": 3600}
DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "quarter": 3, "year": 12}


def first_of_month(year: int, month: int) -> date:
    years, zero_based = divmod(month - 1, 12)
    return date(year + years, zero_based + 1, 1)
