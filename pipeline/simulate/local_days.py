"""Days as a clock of the app's zone shows them, for the ledger: by Python's own zones, nothing is shared with the SQL that is held to it."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from pipeline.simulate.plan import DAY, MINUTE

EPOCH = date(1970, 1, 1).toordinal()
# Since 1972 clocks change at quarters of an hour, and so do days.
QUARTER = 15 * MINUTE


class LocalDays:
    """Tells days of `zone`, an IANA name, as days since 1970; keeps what it knows of each quarter of an hour."""

    def __init__(self, zone: str) -> None:
        self._zone = None if zone == "UTC" else ZoneInfo(zone)
        self._days: dict[int, int] = {}

    def find(self, at_ms: int) -> int:
        """The day of a moment."""
        if self._zone is None:
            return at_ms // DAY
        quarter = at_ms // QUARTER
        day = self._days.get(quarter)
        if day is None:
            moment = datetime.fromtimestamp(quarter * QUARTER // 1000, UTC)
            day = self._days[quarter] = moment.astimezone(self._zone).toordinal() - EPOCH
        return day


def name_day(day: int) -> str:
    """The ISO date of a day since 1970."""
    return date.fromordinal(EPOCH + day).isoformat()


def first_of_week(day: int) -> int:
    """The Monday on or before a day; the first of January 1970 was a Thursday."""
    return day - (day + 3) % 7


def first_of_month(day: int) -> int:
    """The first day of a day's month."""
    return day - date.fromordinal(EPOCH + day).day + 1
