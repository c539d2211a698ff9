"""E-mails opened and clicked once an hour, as Pinpoint's console counted: the hour's border, clocks that change, who and which message."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.config import load_settings
from tests.lake_rows import Row, at
from tests.message_rows import RUN, ask, mail

SENT = at()
OPENS, CLICKS = "emails-opened-once-an-hour", "emails-clicked-once-an-hour"


def read(moment: datetime, kind: str = "open", sent_at: datetime = SENT, **given: Any) -> Row:
    """An open or a click that arrived at `moment`, of a message that was sent at `sent_at`."""
    return mail(kind, (moment - sent_at).total_seconds(), event_timestamp=sent_at, **given)


def counted(*events: Row, zone: str = "UTC") -> dict[str, float]:
    rows = ask("select kpi_name, sum(numerator) from kpis.hourly_email_kpis group by all", events, load_settings(report_zone=zone))
    return {name: number for name, number in rows}


@pytest.mark.parametrize(
    ("first", "second", "opens"),
    [
        # The first and the last millisecond of the hour from 13:00, and the first of the next.
        (at(60), at(120, millis=-1), 1),
        (at(60), at(120), 2),
        (at(120, millis=-1), at(120), 2),
        # The same hour of another day.
        (at(60), at(60, days=1), 2),
        # The same open told twice, at one moment.
        (at(60), at(60), 1),
    ],
)
def test_opens_of_one_clock_hour_count_once(first: datetime, second: datetime, opens: int) -> None:
    assert counted(read(first), read(second)) == {OPENS: opens}


def test_opens_and_clicks_recipients_and_messages_are_counted_each_by_itself() -> None:
    events = [
        *(read(at(minutes)) for minutes in (61, 62, 63)),
        *(read(at(minutes), "click") for minutes in (62, 64, 130)),
        # Another recipient, and another message to the first one, in the same hour.
        read(at(61), endpoint_id="mail-2"),
        read(at(61), message_id="m2"),
    ]
    # Opens: one of m1 and one of m2 by mail-1, one by mail-2. Clicks: one in the hour from 13:00, one in that from 14:00.
    assert counted(*events) == {OPENS: 3, CLICKS: 2}


def test_hours_are_those_of_the_apps_zone() -> None:
    # Kathmandu is 5:45 ahead: its hours change a quarter past UTC's.
    events = [read(at(70)), read(at(74)), read(at(75))]
    assert counted(*events) == {OPENS: 1}
    assert counted(*events, zone="Asia/Kathmandu") == {OPENS: 2}


# Of Berlin, where on 2026-10-25 clocks go from 3:00 back to 2:00, at 01:00 UTC, and on 2026-03-29 from 2:00 on to 3:00, at 01:00 UTC too.
@pytest.mark.parametrize(
    ("day", "minutes", "opens"),
    [
        # 2:10 and 2:50 of summer, then 2:10 and 2:50 of winter: the clock shows one hour twice.
        (date(2026, 10, 25), (10, 50, 70, 110), 2),
        # The last millisecond of the one and the first of the other: 2:59:59.999 and 2:00.
        (date(2026, 10, 25), (60 - 1 / 60_000, 60), 2),
        # 1:50, and ten minutes after the clock had been 2:00 it is 3:10.
        (date(2026, 3, 29), (50, 70, 110), 2),
    ],
)
def test_when_clocks_change_each_hour_that_passes_is_one(day: date, minutes: tuple[float, ...], opens: int) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    events = [read(midnight + timedelta(minutes=minute), sent_at=midnight - timedelta(hours=3)) for minute in minutes]
    assert counted(*events, zone="Europe/Berlin") == {OPENS: opens}


def test_an_open_counts_on_the_day_on_which_the_message_was_sent_and_by_what_sent_it() -> None:
    events = [
        read(at(days=2), **RUN),
        read(at(days=1), journey_id="j1", journey_run_id="r1", journey_activity_id="a1"),
        read(at(60), message_id="m2"),
    ]
    sql = """
        select kpi_date, campaign_id, treatment_id, campaign_activity_id, journey_id, journey_activity_id, numerator, denominator
        from kpis.hourly_email_kpis
        order by all
    """
    monday = date(2026, 11, 23)
    assert ask(sql, events) == [
        (monday, "c1", "0", "run-1", None, None, 1, None),
        (monday, None, None, None, "j1", "a1", 1, None),
        (monday, None, None, None, None, None, 1, None),
    ]


def test_other_channels_and_other_news_of_an_e_mail_are_no_open() -> None:
    assert counted(mail("send"), mail("delivered", 1), mail("complaint", 90)) == {}
