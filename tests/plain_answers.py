"""Sessions, retention and cohorts in plain Python, from the definitions of queries/README.md and the heads of the macros, not from their SQL.

Rows are events as tests/lake_rows.py makes them, in any order; all are of one app whose days are those of `zone`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Subject = tuple[bool, str]
GAP = timedelta(minutes=30)
MESSAGES = ("_email.", "_sms.", "_campaign.", "_journey.")


@dataclass(frozen=True)
class Asked:
    """The arguments that retention and cohorts share."""

    from_date: date
    to_date: date
    period: str
    subject: str
    today: date
    zone: ZoneInfo

    def period_date(self, moment: datetime) -> date:
        """The first day of the period that a moment lies in."""
        return first_day(moment.astimezone(self.zone).date(), self.period)

    def periods(self) -> list[date]:
        """The first days of the periods that have a row."""
        found = []
        day = first_day(self.from_date, self.period)
        while day <= min(self.to_date, self.today):
            found.append(day)
            day = following(day, self.period)
        return found

    def is_complete(self, period: date) -> bool:
        """Whether to_date does not cut the period and the period is over."""
        last = following(period, self.period) - timedelta(days=1)
        return last <= self.to_date and last < self.today


def first_day(day: date, period: str) -> date:
    """The first day of a day's period."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def following(period_date: date, period: str) -> date:
    """The first day of the next period."""
    if period == "month":
        return (period_date.replace(day=1) + timedelta(days=31)).replace(day=1)
    return period_date + timedelta(days=7 if period == "week" else 1)


def is_activity(row: Row) -> bool:
    """Whether the endpoint did it itself."""
    return bool(row["endpoint_id"]) and not row["event_type"].lower().startswith(MESSAGES)


def sessions(rows: Sequence[Row]) -> set[tuple[str, str, datetime, datetime, int]]:
    """{(endpoint_id, session_id, started_at, stopped_at, event_count)}: the client's session where it names one, else by silence."""
    found: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for endpoint_id, own in _by_endpoint(rows).items():
        before: datetime | None = None
        current = ""
        for row in own:
            moment = row["event_timestamp"]
            if row.get("session_id"):
                current = row["session_id"]
            elif before is None or moment - before > GAP:
                current = f"gap:{(moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)}"
            found[endpoint_id, current].append(moment)
            before = moment
    return {(endpoint, session, min(times), max(times), len(times)) for (endpoint, session), times in found.items()}


def _by_endpoint(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Activity of each endpoint in order; at one moment those with a session come first, in the order of the ids."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if is_activity(row):
            found[row["endpoint_id"]].append(row)
    for own in found.values():
        own.sort(key=lambda row: (row["event_timestamp"], not row.get("session_id"), row.get("session_id") or ""))
    return found


def retention(
    rows: Sequence[Row], asked: Asked, kind: str, start_event: str | None = None, return_event: str | None = None
) -> list[tuple[date, int, date, int, int, float, bool]]:
    """[(cohort_date, period_no, period_date, cohort_size, returned_count, rate, is_complete)], in order."""
    starts = _moments(rows, asked, start_event)
    returns = _moments(rows, asked, return_event)
    cohorts: dict[date, dict[Subject, datetime]] = defaultdict(dict)
    for subject, moments in starts.items():
        for moment in sorted(moments, reverse=True):
            # The earliest of a period is written last; for first_time, the earliest of all is the one that counts.
            if kind == "recurring" or moment == min(moments):
                cohorts[asked.period_date(moment)][subject] = moment
    return [
        (cohort_date, number, period, len(cohort), came_back, came_back / len(cohort), asked.is_complete(period))
        for cohort_date, cohort in _asked_for(cohorts, asked)
        for number, period in enumerate(_from(asked, cohort_date))
        for came_back in [
            sum(
                any(moment >= started and asked.period_date(moment) == period for moment in returns.get(subject, ()))
                for subject, started in cohort.items()
            )
        ]
    ]


def cohorts(rows: Sequence[Row], asked: Asked) -> list[tuple[date, int, int, int, int, float, float, bool]]:
    """[(cohort_date, period_no, cohort_size, buyer_count, purchase_count, revenue, cumulative_revenue, is_complete)], in order."""
    bought: dict[Subject, list[Row]] = defaultdict(list)
    for row in rows:
        if is_activity(row) and row["event_type"] == "_monetization.purchase" and _is_in_time(row["event_timestamp"], asked):
            bought[_subject(row, asked.subject)].append(row)
    members: dict[date, set[Subject]] = defaultdict(set)
    for subject, own in bought.items():
        members[asked.period_date(min(row["event_timestamp"] for row in own))].add(subject)
    found = []
    for cohort_date, cohort in _asked_for(members, asked):
        so_far = 0.0
        for number, period in enumerate(_from(asked, cohort_date)):
            cell = [(who, row) for who in cohort for row in bought[who] if asked.period_date(row["event_timestamp"]) == period]
            revenue = sum(_revenue(row) for _, row in cell)
            so_far += revenue
            buyers = len({who for who, _ in cell})
            found.append((cohort_date, number, len(cohort), buyers, len(cell), revenue, so_far, asked.is_complete(period)))
    return found


def _moments(rows: Sequence[Row], asked: Asked, event_type: str | None) -> dict[Subject, list[datetime]]:
    """When each subject did it, up to the last day."""
    found: dict[Subject, list[datetime]] = defaultdict(list)
    for row in rows:
        matches = is_activity(row) if event_type is None else row["event_type"] == event_type
        if matches and row["endpoint_id"] and _is_in_time(row["event_timestamp"], asked):
            found[_subject(row, asked.subject)].append(row["event_timestamp"])
    return found


def _asked_for(found: Mapping[date, Any], asked: Asked) -> Iterator[tuple[date, Any]]:
    """The cohorts of the periods that have a row."""
    return ((period, found[period]) for period in asked.periods() if period in found)


def _from(asked: Asked, cohort_date: date) -> list[date]:
    return [period for period in asked.periods() if period >= cohort_date]


def _is_in_time(moment: datetime, asked: Asked) -> bool:
    return moment.astimezone(asked.zone).date() <= asked.to_date


def _subject(row: Row, subject: str) -> Subject:
    """A user and an endpoint of the same name are two."""
    return (True, row["user_id"]) if subject == "user" and row.get("user_id") else (False, row["endpoint_id"])


def _revenue(row: Row) -> float:
    price = row["metrics"].get("_item_price")
    return 0.0 if price is None else float(price) * float(row["metrics"].get("_quantity", 1))
