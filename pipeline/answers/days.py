"""The days that a question is asked of: as people write them, and the days before that they are compared with."""

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated

import typer

from pipeline.config import Settings
from pipeline.moments import Now, now_utc
from pipeline.time_zones import local_day
from schemas.errors import UsageError

# With neither --from nor --to: so many days, today the last.
DAYS_ASKED = 30
EXPECTED = "a day, for example 2026-11-01, today, yesterday, -30d or -4w (so many days or weeks before today)"
# Events of other years there are none; as many days before those are days too.
_YEARS = range(1970, 2200)
_BACK = re.compile(r"-(\d{1,5})([dw])")

FromDay = Annotated[str, typer.Option("--from", metavar="DAY", help=f"First day: {EXPECTED}. Without it, {DAYS_ASKED} days up to --to.")]
ToDay = Annotated[str, typer.Option("--to", metavar="DAY", help="Last day, included. Without it, today.")]
App = Annotated[str, typer.Option("--app", help="One app, by its id. Without it, all apps.")]
Subject = Annotated[str, typer.Option("--subject", help="Whom to count: endpoint or user.")]


@dataclass(frozen=True)
class Days:
    """Days from the first to the last, both included; `today` is the day on which is asked."""

    first: dt.date
    last: dt.date
    today: dt.date

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def is_over(self) -> bool:
        return self.last < self.today

    @property
    def texts(self) -> dict[str, str]:
        """As macros take them."""
        return {"from": str(self.first), "to": str(self.last)}

    def before(self) -> "Days":
        """As many days, those just before."""
        return Days(self.first - dt.timedelta(days=self.length), self.first - dt.timedelta(days=1), self.today)

    def begin_of(self, period: str) -> dt.date:
        """The first day of the 'day', 'week' from Monday or 'month' in which the first of these lies."""
        if period == "month":
            return self.first.replace(day=1)
        return self.first - dt.timedelta(days=self.first.weekday()) if period == "week" else self.first

    def before_in(self, period: str) -> "Days":
        """As many periods before ('day', 'week' from Monday or 'month'), cut off where these are: the last may not be whole."""
        first = self.begin_of(period)
        if period == "month":
            count = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
            return Days(_months_before(first, count), _months_before(self.last, count), self.today)
        if period == "week":
            length = dt.timedelta(weeks=(self.last - first).days // 7 + 1)
            return Days(first - length, self.last - length, self.today)
        return self.before()

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def read_days(settings: Settings, from_text: str, to_text: str, app: str = "", now: Now = now_utc) -> Days:
    """The days of --from and --to, with the day that it is now in the zone of the app or of reports.

    Raises UsageError, which names the option, for what is no day and for a first day after the last.
    """
    today = local_day(now(), zone_of(settings, app))
    last = _read_day("--to", to_text, today) if to_text else today
    first = _read_day("--from", from_text, today) if from_text else last - dt.timedelta(days=DAYS_ASKED - 1)
    if first > last:
        raise UsageError(f"Option '--from' is {first} and '--to' is {last}; expected the first day and the last, one day twice for itself.")
    return Days(first, last, today)


def zone_of(settings: Settings, app: str) -> str:
    """The zone whose days are asked for: the app's, or that of reports."""
    return settings.app_zones.get(app, settings.report_zone)


def describe_zone(settings: Settings, app: str) -> str:
    """That zone for people; over all apps, also those that have their own."""
    own = "" if app else "".join(f", {name} {zone}" for name, zone in sorted(settings.app_zones.items()) if zone != settings.report_zone)
    return zone_of(settings, app) + own


def _read_day(option: str, text: str, today: dt.date) -> dt.date:
    text = text.strip()
    if text in ("today", "yesterday"):
        return today - dt.timedelta(days=text == "yesterday")
    try:
        if back := _BACK.fullmatch(text):
            found = today - dt.timedelta(days=int(back[1]) * (7 if back[2] == "w" else 1))
        else:
            found = dt.datetime.strptime(text, "%Y-%m-%d").date()
    except (ValueError, OverflowError):
        found = None
    if found is None or found.year not in _YEARS:
        raise UsageError(f"Option '{option}' is '{text}'; expected {EXPECTED}.")
    return found


def _months_before(day: dt.date, count: int) -> dt.date:
    """The same day so many months before; of the last day of a month, and of one that a month lacks, the last."""
    year, month = divmod(day.year * 12 + day.month - 1 - count, 12)
    length = calendar.monthrange(year, month + 1)[1]
    is_last = day.day == calendar.monthrange(day.year, day.month)[1]
    return dt.date(year, month + 1, length if is_last else min(day.day, length))
