"""The calendar of the charts: which periods there are, which are over, how far a month that runs is looked at, and which of them a part has."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.config import load_settings
from tests.lake_rows import at, memory_lake, purchase
from tests.macro_calls import ask, on
from tests.message_rows import decision, mail


def charted(chart: str, events: list[dict[str, Any]], day: str) -> list[float]:
    """The values of the day, and of the week and the month that it lies in."""
    sql = f"""
        select value from kpis.usage
        where chart = '{chart}' and period_date = period_date(date '{day}', period)
        order by list_position(['day', 'week', 'month'], period)
    """
    return [value for (value,) in ask(sql, events)]


def test_month_and_week_that_run_see_the_thirty_days_up_to_the_last_known_day() -> None:
    # Ten came on the 20th of October; one of them again on Monday the 2nd of November, the newest day of the lake.
    events = [row for number in range(10) for row in on(f"phone-{number}", "2026-10-20", user_id=f"user-{number}")]
    events += on("phone-0", "2026-11-02", user_id="user-0")
    assert charted("usage_monthly_active_endpoints", events, "2026-11-02") == [10, 10, 10]
    assert charted("usage_monthly_active_users", events, "2026-11-02") == [10, 10, 10]
    # One of ten is there on the 2nd; until the 30th nobody can be.
    assert charted("usage_sticky_factor", events, "2026-11-02") == [0.1, 0.1, 0.1]


@pytest.mark.parametrize(("first", "count"), [("2026-10-03T23:59:59.999", 1), ("2026-10-04", 2), ("2026-11-02T23:59:59.999", 2)])
def test_thirty_days_end_with_the_day_itself(first: str, count: float) -> None:
    # The 4th of October is the first of thirty days of which the 2nd of November is the last.
    events = [*on("a", first), *on("b", "2026-11-02")]
    assert charted("usage_monthly_active_endpoints", events, "2026-11-02") == [count] * 3


def test_endpoint_that_comes_often_is_one_of_the_thirty_days_and_leaves_them_after_its_last() -> None:
    # Days 1, 2 and 20 of October are in the thirty days up to the 30th and 31st of it; the 20th alone up to the 18th of November, the 29th day after it.
    events = [*on("a", "2026-10-01", "2026-10-02", "2026-10-20"), *on("b", "2026-11-19")]
    sql = "select period_date, value from kpis.usage where chart = 'usage_monthly_active_endpoints' and period = 'day'"
    found: dict[date, float] = dict(ask(sql, events))
    assert [found[date(2026, 10, 1)], found[date(2026, 10, 31)], found[date(2026, 11, 18)], found[date(2026, 11, 19)]] == [1, 1, 1, 1]
    # The control: without b, who comes on the 19th, the lake ends on the 20th of October.
    assert len(found) == 50
    assert ask("select count(*) from kpis.periods where period = 'day'", events[:3]) == [(20,)]


def test_period_is_complete_when_its_last_day_is_over() -> None:
    now = datetime.now(UTC)
    events = on("a", *((now - timedelta(days=days)).isoformat()[:19] for days in (70, 0)))
    found = dict(ask("select period || period_date, is_complete from kpis.usage where chart = 'usage_sessions'", events))
    today, yesterday = now.date(), now.date() - timedelta(days=1)
    monday = today - timedelta(days=today.weekday())
    assert (found[f"day{today}"], found[f"day{yesterday}"]) == (False, True)
    assert (found[f"week{monday}"], found[f"week{monday - timedelta(days=7)}"]) == (False, True)
    assert found[f"month{today.replace(day=1)}"] is False
    assert found[f"month{(today.replace(day=1) - timedelta(days=1)).replace(day=1)}"] is True


@pytest.mark.parametrize(
    ("wrong", "first", "last"),
    [
        # A clock that was never set, or is years ahead, makes no day; nor does an e-mail that says that it was sent in 2099.
        ({"event_timestamp": datetime(1970, 1, 1, tzinfo=UTC)}, "2026-11-23", "2026-11-24"),
        ({"event_timestamp": datetime(2014, 12, 31, 23, 59, 59, tzinfo=UTC)}, "2026-11-23", "2026-11-24"),
        ({"event_timestamp": datetime(2099, 1, 1, tzinfo=UTC)}, "2026-11-23", "2026-11-24"),
        ({"event_type": "_email.send", "event_timestamp": datetime(2099, 1, 1, tzinfo=UTC)}, "2026-11-23", "2026-11-24"),
        # The first moment that an SDK can have seen does, and so do archives.
        ({"event_timestamp": datetime(2015, 1, 1, tzinfo=UTC)}, "2015-01-01", "2026-11-24"),
        ({"event_timestamp": datetime(1997, 1, 1, tzinfo=UTC), "source": "import:cdnow"}, "1997-01-01", "2026-11-24"),
    ],
)
def test_one_clock_that_is_wrong_makes_no_calendar_of_decades(wrong: dict[str, Any], first: str, last: str) -> None:
    appended = datetime(2026, 11, 24, tzinfo=UTC)
    odd = on("odd", "2026-11-24")[0] | {"_appended_at": appended, "arrival_timestamp": appended} | wrong
    events = [*on("a", "2026-11-23", "2026-11-24"), odd]
    sql = "select min(period_date)::varchar, max(last_date)::varchar from kpis.periods where period = 'day'"
    assert ask(sql, events) == [(first, last)]


def test_day_that_no_chart_shows_is_in_no_week_and_no_month() -> None:
    # On Monday phone-1 got a push and bought a mug for 5, and an e-mail was sent. Phone-2 did the same that day, by a clock that says Wednesday.
    ahead: dict[str, Any] = {"event_timestamp": at(days=2), "_appended_at": at()}
    events = [purchase(5), decision("PUSH"), mail("send")]
    events += [purchase(7, endpoint_id="phone-2", **ahead), decision("PUSH", **ahead | {"endpoint_id": "phone-2"})]
    events += [mail("send", message_id="m2", endpoint_id="mail-2", arrival_timestamp=at(), **ahead)]
    expected = {
        "usage_daily_active_endpoints": 1,
        "usage_new_endpoints": 1,
        "usage_sessions": 1,
        "usage_session_heat_map": 1,
        "revenue_total": 5,
        "demographics_platform": 1,
        "campaigns_messages_sent": 1,
        "campaigns_active": 1,
        "campaigns_push_units_within_24_hours": 1,
        "transactional_email_sends": 1,
    }
    names = ", ".join(f"'{chart}'" for chart in expected)
    sql = f"select chart, list((period, period_date, numerator) order by period) from kpis.charts where chart in ({names}) group by chart"
    monday, november = date(2026, 11, 23), date(2026, 11, 1)
    assert dict(ask(sql, events)) == {
        chart: [("day", monday, count), ("month", november, count), ("week", monday, count)] for chart, count in expected.items()
    }
    types = "select part, numerator from kpis.events where chart = 'events_count' and period = 'week' order by 1"
    assert ask(types, events) == [("_campaign.send", 1), ("_email.send", 1), ("_monetization.purchase", 1)]
    assert ask("from kpis.known_days", events) == [("shop", monday, monday, monday)]
    # The control: a clock that is right makes Wednesday known, and all count twice in the week.
    right = [*events[:3], *({**row, "_appended_at": at(days=2)} for row in events[3:])]
    assert ask(types, right) == [("_campaign.send", 2), ("_email.send", 2), ("_monetization.purchase", 2)]


def test_three_events_of_which_one_is_of_1970_are_few_rows() -> None:
    odd = on("odd", "1970-01-01")[0] | {"_appended_at": datetime(2026, 11, 24, tzinfo=UTC)}
    events = [*on("a", "2026-11-23", "2026-11-24"), odd]
    # Two days, a week and a month.
    assert ask("select max(rows) from (select count(*) as rows from kpis.usage where part is null group by chart)", events) == [(4,)]


def test_part_has_rows_from_its_first_day_to_its_last_and_the_whole_chart_all() -> None:
    # c1 on the 2nd and the 4th, of a lake that is known from the 1st to the 6th.
    given: dict[str, Any] = {"campaign_id": "c1", "campaign_activity_id": "run-1", "treatment_id": "0"}
    events = [*on("a", "2026-11-01", "2026-11-06")]
    for day in (2, 4):
        events.append(dict(mail("send", endpoint_id=f"mail-{day}", event_timestamp=datetime(2026, 11, day, tzinfo=UTC), **given)))
    sql = "select list((day(period_date), value) order by period_date) from kpis.campaigns where chart = '{}' and period = 'day'"
    assert ask(sql.format("campaigns_sent_by_run"), events) == [([(2, 1), (3, 0), (4, 1)],)]
    assert ask(sql.format("campaigns_messages_sent"), events) == [([(1, 0), (2, 1), (3, 0), (4, 1), (5, 0), (6, 0)],)]


def test_part_of_its_own_has_no_whole_where_it_has_no_row() -> None:
    # c1 sent and delivered on the 2nd and the 4th. Parts that are shares of one whole stand in test_charts_endpoints.py.
    given: dict[str, Any] = {"campaign_id": "c1", "campaign_activity_id": "run-1", "treatment_id": "0"}
    events = [
        dict(mail("delivered", endpoint_id=f"mail-{day}", event_timestamp=datetime(2026, 11, day, tzinfo=UTC), **given)) for day in (2, 4)
    ]
    sql = "select day(period_date), numerator, denominator, value from kpis.campaigns where chart = 'campaigns_delivery_rate_by_campaign' and period = 'day'"
    assert ask(f"{sql} order by 1", events) == [(2, 1, 1, 1), (3, 0, 0, None), (4, 1, 1, 1)]


def test_all_charts_stand_in_one_view_and_each_page_is_part_of_it() -> None:
    given: dict[str, Any] = {"campaign_id": "c1", "campaign_activity_id": "run-1", "treatment_id": "0"}
    events = [*on("a", "2026-11-01"), dict(mail("send", event_timestamp=datetime(2026, 11, 2, tzinfo=UTC), **given))]
    pages = ("usage", "revenue", "events", "demographics", "campaigns", "transactional", "funnels")
    with memory_lake(load_settings(), events) as con:
        of_pages = Counter(row for page in pages for row in con.execute(f"from kpis.{page}").fetchall())
        assert Counter(con.execute("select * exclude (source_view) from kpis.charts").fetchall()) == of_pages != Counter()


def test_page_of_a_chart_is_what_the_names_say_also_of_charts_that_are_counted_together() -> None:
    given: dict[str, Any] = {"campaign_id": "c1", "campaign_activity_id": "run-1", "treatment_id": "0"}
    events = [*on("a", "2026-11-01"), dict(mail("send", **given)), mail("send", message_id="m2")]
    sql = "select source_view, list(distinct page order by page) from kpis.charts inner join kpis.chart_names using (chart) group by 1 order by 1"
    assert ask(sql, events) == [
        ("page_demographics", ["demographics"]),
        ("page_events", ["events"]),
        ("page_messages", ["campaigns", "funnels", "transactional"]),
        ("page_usage", ["usage"]),
    ]
    with memory_lake(load_settings(), events) as con:
        # Page is a word of kpis.chart_names alone.
        assert "page" not in [column[0] for column in con.execute("from kpis.charts limit 0").description]
