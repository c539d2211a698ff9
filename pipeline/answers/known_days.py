"""The days of which the lake knows anything: a number of other days is no number, and a change against them is none."""

import datetime as dt
from dataclasses import dataclass

from pipeline.answers.days import Days
from pipeline.ask.reader import Reader

_ASKED = "select min(first_date), max(last_date) from kpis.known_days where $app::varchar is null or app_id = $app"


@dataclass(frozen=True)
class KnownDays:
    """The first and the last day with events of an app, '' for any; null where nothing has come."""

    app: str
    first: dt.date | None
    last: dt.date | None

    def can_compare(self, days: Days, before: Days) -> bool:
        """Whether there is something on these days, and the days before are all known."""
        return self.first is not None and self.first <= before.first and self.have(days)

    def have(self, days: Days) -> bool:
        """Whether any of these days is known."""
        return self.first is not None and self.last is not None and self.first <= days.last and days.first <= self.last

    def note(self, days: Days, before: Days) -> list[str]:
        """Says why there is no change, and of which days nothing is known; nothing where all are."""
        of_app = f" of {self.app}" if self.app else ""
        if self.first is None:
            return [f"No events{of_app} have come yet."]
        if not self.have(days):
            return [f"No events{of_app} are known on these days; known are {self.first} to {self.last}."]
        if self.first <= before.first:
            return []
        count = max((before.last - self.first).days + 1, 0)
        which = f"{count or 'none'} of the {before.length} days before" if before.length > 1 else "not on the day before"
        return [f"Events{of_app} are known from {self.first} on, {which}: no change is told."]


def find_known_days(reader: Reader, app: str) -> KnownDays:
    """Those of an app, or of all together."""
    ((first, last),) = reader.rows(_ASKED, {"app": app or None})
    return KnownDays(app, first, last)
