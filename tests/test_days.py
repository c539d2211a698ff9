"""Days are those of the app's zone: borders at its midnight, days of 23 and 25 hours, apps with zones of their own."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.config import Settings, load_settings
from tests.lake_rows import Row, event, memory_lake, purchase

BERLIN = load_settings(report_zone="Europe/Berlin")
MILLISECOND = timedelta(milliseconds=1)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def ask(sql: str, events: Sequence[Row], settings: Settings) -> list[tuple[Any, ...]]:
    with memory_lake(settings, events) as con:
        return con.execute(sql).fetchall()


# Berlin's midnights in UTC: 23:00 the evening before in winter, 22:00 in summer. Clocks went from 2 to 3 on 2026-03-29, from 3 to 2 on 2026-10-25.
DAYS = [
    (date(2026, 11, 23), utc(2026, 11, 22, 23), 24),
    (date(2026, 7, 1), utc(2026, 6, 30, 22), 24),
    (date(2026, 3, 29), utc(2026, 3, 28, 23), 23),
    (date(2026, 10, 25), utc(2026, 10, 24, 22), 25),
]


@pytest.mark.parametrize(("day", "begins_at", "hours"), DAYS)
def test_day_begins_and_ends_at_the_zones_midnight_however_long_it_is(day: date, begins_at: datetime, hours: int) -> None:
    ends_at = begins_at + timedelta(hours=hours)
    moments = [begins_at - MILLISECOND, begins_at, ends_at - MILLISECOND, ends_at]
    events = [purchase(1, event_timestamp=moment, endpoint_id=f"phone-{number}") for number, moment in enumerate(moments)]
    yesterday, tomorrow = day - timedelta(days=1), day + timedelta(days=1)
    expected = [("phone-0", yesterday), ("phone-1", day), ("phone-2", day), ("phone-3", tomorrow)]
    for view, column in {
        "endpoint_days": "activity_date",
        "sessions": "session_date",
        "purchases": "purchase_date",
        "events": "event_date",
    }.items():
        assert ask(f"select endpoint_id, {column} from core.{view} order by 1", events, BERLIN) == expected, view


@pytest.mark.parametrize(("day", "begins_at", "hours"), DAYS)
def test_an_event_an_hour_makes_as_many_events_as_the_day_has_hours(day: date, begins_at: datetime, hours: int) -> None:
    events = [event(event_timestamp=begins_at + timedelta(hours=number)) for number in range(-5, 30)]
    sql = f"select event_count, session_count from core.endpoint_days where activity_date = '{day}'"
    assert ask(sql, events, BERLIN) == [(hours, hours)]


def test_without_zones_days_are_utc_days() -> None:
    """The control of the tests above: the same moments lie on other days."""
    events = [event(event_timestamp=utc(2026, 3, 28, 23)), event(event_timestamp=utc(2026, 3, 29, 23))]
    assert ask("select activity_date from core.endpoint_days order by 1", events, load_settings()) == [
        (date(2026, 3, 28),),
        (date(2026, 3, 29),),
    ]


def test_app_with_its_own_zone_has_its_own_days_and_others_those_of_reports() -> None:
    # 02:30 UTC is 03:30 of the same day in Berlin, 21:30 of the day before in New York, which is five hours behind in winter.
    settings = load_settings(report_zone="Europe/Berlin", app_zones={"diner": "America/New_York"})
    moment = utc(2026, 11, 23, 2, 30)
    events = [purchase(1, app_id=app_id, event_timestamp=moment) for app_id in ("diner", "shop")]
    expected = [("diner", date(2026, 11, 22)), ("shop", date(2026, 11, 23))]
    assert ask("select app_id, activity_date from core.endpoint_days order by 1", events, settings) == expected
    assert ask("select app_id, session_date from core.sessions order by 1", events, settings) == expected
    assert ask("select app_id, purchase_date from core.purchases order by 1", events, settings) == expected
    assert ask("select app_zone('diner'), app_zone('shop'), app_zone(null)", [], settings) == [
        ("America/New_York", "Europe/Berlin", "Europe/Berlin"),
    ]


def test_session_over_midnight_counts_on_the_day_on_which_it_started() -> None:
    # 23:50 and 00:10 in Berlin.
    events = [event(event_timestamp=utc(2026, 11, 22, 22, 50)), event(event_timestamp=utc(2026, 11, 22, 23, 10))]
    assert ask("select session_date, event_count from core.sessions", events, BERLIN) == [(date(2026, 11, 22), 2)]
    days = ask("select activity_date, session_count, is_new from core.endpoint_days order by 1", events, BERLIN)
    assert days == [(date(2026, 11, 22), 1, True), (date(2026, 11, 23), 0, False)]


def test_event_without_app_has_a_day_of_reports() -> None:
    assert ask("select event_date from core.events", [event(app_id=None, event_timestamp=utc(2026, 11, 22, 23))], BERLIN) == [
        (date(2026, 11, 23),),
    ]


def test_checks_hold_in_zones() -> None:
    settings = load_settings(report_zone="Pacific/Auckland", app_zones={"shop": "America/New_York"})
    events = [purchase(2, app_id=app_id, event_timestamp=utc(2026, 3, 8, hour)) for app_id in ("shop", "blog") for hour in range(24)]
    for name in ("assert_revenue_agrees", "assert_sessions_cover_activity"):
        assert ask(f"from checks.{name}", events, settings) == []
