"""The days of which the lake knows anything: a number of other days is no number, and a change against them is none."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.answers.days import Days
from pipeline.ask.reader import Reader

_ASKED = """
select first_date, last_date, began_date from kpis.known_days
where $app::varchar is null or app_id = $app
"""


@dataclass(frozen=True)
class AppDays:
    """The first and the last day with events of an app, and the first on which one happened: an old mail may be opened late."""

    first: dt.date
    last: dt.date
    began: dt.date


@dataclass(frozen=True)
class KnownDays:
    """What is known of an app's days; of those of all apps together where `app` is ''. No `apps` where nothing has come."""

    app: str
    apps: Sequence[AppDays]

    def can_compare(self, days: Days, before: Days) -> bool:
        """Whether there is something on these days, and the days before are all known of an app that has it: another may have ended long ago."""
        began = self._began(days)
        return began is not None and began <= before.first

    def have(self, days: Days) -> bool:
        """Whether any of these days is known."""
        return self._began(days) is not None

    def note(self, days: Days, before: Days) -> list[str]:
        """Says why there is no change, and of which days nothing is known; nothing where all are."""
        of_app, began = f" of {self.app}" if self.app else "", self._began(days)
        if not self.apps:
            return [f"No events{of_app} of a day that can be right have come yet."]
        if began is None:
            first, last = min(one.first for one in self.apps), max(one.last for one in self.apps)
            return [f"No events{of_app} are known on these days; known are {first} to {last}."]
        if began <= before.first:
            return []
        count = max((before.last - began).days + 1, 0)
        which = f"{count or 'none'} of the {before.length} days before" if before.length > 1 else "not on the day before"
        return [f"Events{of_app} are known from {began} on, {which}: no change is told."]

    def _began(self, days: Days) -> dt.date | None:
        """The first day of the apps that have some of these days."""
        return min((one.began for one in self.apps if one.first <= days.last and days.first <= one.last), default=None)


def find_known_days(reader: Reader, app: str) -> KnownDays:
    """Those of an app, or of all together."""
    return KnownDays(app, [AppDays(*row) for row in reader.rows(_ASKED, {"app": app or None})])
