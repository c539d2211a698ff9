"""Each check of charts and KPIs: a lake in order gives no row, clocks that are ahead, odd messages and views that are wrong the rows that say so."""

from datetime import UTC, date, datetime
from typing import Any

from pipeline.config import load_settings
from tests.check_lake import OF_KPIS, found
from tests.lake_rows import Row, at, event, purchase
from tests.message_rows import JOURNEY, RUN, decision, mail, text

MONDAY = date(2026, 11, 23)
# Monday and Tuesday: two phones, a purchase; campaigns, journeys and transactional messages, some of which came to nothing.
RIGHT = [
    event(user_id="ann"),
    event(endpoint_id="phone-2"),
    event(user_id="ann", event_timestamp=at(days=1)),
    purchase(5, 3, event_timestamp=at(days=1)),
    decision("PUSH", **RUN),
    *(mail(kind, 5, **RUN) for kind in ("send", "delivered", "open")),
    mail("hardbounce", 5, endpoint_id="mail-2", **RUN),
    mail("send", **JOURNEY),
    mail("send", message_id="m4", endpoint_id="mail-4"),
    mail("softbounce", 5, message_id="m4", endpoint_id="mail-4"),
    mail("rendering_failure", message_id="m5"),
    text("BUFFERED"),
    text("SUCCESS", 5, 645.0),
    text("FAILURE", 5, message_id="t2"),
    text("OPTOUT", 9, message_id="t3"),
]
# A phone that came on Monday and says that it is Wednesday; the lake knows nothing after Tuesday.
AHEAD = event(endpoint_id="phone-3", event_timestamp=at(days=2), _appended_at=at())


def of_kpis(*events: Row, **given: Any) -> dict[str, list[tuple[Any, ...]]]:
    return found(events, asked=OF_KPIS, **given)


def rows_of(check: str, *events: Row, **given: Any) -> list[tuple[Any, ...]]:
    """Of one check: each of them takes about a second."""
    return found(events, asked=(check,), **given).get(check, [])


def test_a_lake_in_order_gives_no_row_and_an_empty_one_neither() -> None:
    assert of_kpis(*RIGHT) == of_kpis() == {}


def test_days_of_another_zone_are_no_other_days() -> None:
    # 02:00 UTC is the evening before in New York.
    night = event(event_timestamp=datetime(2026, 11, 24, 2, tzinfo=UTC))
    assert of_kpis(*RIGHT, night, settings=load_settings(report_zone="America/New_York")) == {}


def test_a_clock_that_is_ahead_is_on_a_day_that_no_chart_shows_and_in_no_week_and_no_month() -> None:
    # Charts and checks have two phones on Monday, and so have the week and the month.
    assert of_kpis(event(), event(endpoint_id="phone-2"), AHEAD) == {}


def test_a_clock_that_is_a_year_ahead_is_in_no_chart_and_that_is_right() -> None:
    far = purchase(7, endpoint_id="phone-3", event_timestamp=at(days=400), _appended_at=at())
    # Two phones came once each and one of them bought for 7; charts and checks have the other one.
    assert of_kpis(event(), far) == {}


def test_an_active_day_that_the_calendar_lacks_is_found_when_clocks_were_right_and_only_then() -> None:
    tuesday = date(2026, 11, 24)
    hole = {"kpis.periods": f"from {{view}} where period_date <> date '{tuesday}'"}
    # On Tuesday ann came, and her phone bought.
    assert rows_of("charts_show_every_active_day", *RIGHT, AHEAD, wrong_views=hole) == [("shop", tuesday, 1, 2)]


def test_events_without_an_app_are_missing_from_the_chart() -> None:
    assert rows_of("chart_counts_active_endpoints", event(), event(app_id=None)) == [(None, MONDAY, 0, 1)]


def test_an_e_mail_that_says_it_is_of_another_channel_is_missing_from_the_kpi() -> None:
    rows = of_kpis(mail("send"), mail("send", channel="PUSH", message_id="m2"))
    assert rows == {"kpis_count_every_send": [("txn-emails-sent", "shop", MONDAY, 1, 2)]}


def test_endpoints_of_the_kpi_that_no_chart_reaches_are_found() -> None:
    to_nobody = [decision("PUSH", endpoint_id=nobody, **RUN) for nobody in ("", None)]
    assert of_kpis(*RIGHT, *to_nobody) == {}
    # phone-1 and mail-1 were reached by run-1; the KPI does not leave out a push to nobody.
    counts_nobody = {
        "kpis.unique_endpoints": "from {view} union all from (from {view} where kpi_name = 'unique-deliveries' limit 1) select * replace ('' as endpoint_id)"
    }
    assert of_kpis(*RIGHT, wrong_views=counts_nobody) == {"charts_reach_the_endpoints_of_the_kpi": [("shop", MONDAY, 2, 2, 3, 0)]}
    # The rate says that more opted out of it than were reached.
    more = "select * replace (case when chart = 'campaigns_opt_out_rate' then denominator + 1 else numerator end as numerator) from {view}"
    found_rows = of_kpis(*RIGHT, wrong_views={"kpis.page_messages": more})
    assert found_rows == {"charts_reach_the_endpoints_of_the_kpi": [("shop", MONDAY, 2, 2, 2, 3)]}


def test_numbers_of_views_that_are_wrong_are_found() -> None:
    doubled = {"kpis.usage": "select * replace (value * 2 as value) from {view}"}
    # The 23rd has two phones, the 24th one.
    assert rows_of("chart_counts_active_endpoints", *RIGHT, wrong_views=doubled) == [
        ("shop", MONDAY, 4, 2),
        ("shop", date(2026, 11, 24), 2, 1),
    ]
    # Two phones on the 23rd and one of them on the 24th, ann on both days: weeks with two too many, months with nobody.
    weeks = {
        "kpis.usage": "select * replace (case period when 'week' then value + 2 when 'day' then value else 0 end as value) from {view}"
    }
    assert rows_of("charted_uniques_lie_between_days", *RIGHT, wrong_views=weeks) == [
        ("usage_daily_active_endpoints", "shop", "month", date(2026, 11, 1), 0, 2, 3),
        ("usage_daily_active_endpoints", "shop", "week", MONDAY, 4, 2, 3),
        ("usage_daily_active_users", "shop", "month", date(2026, 11, 1), 0, 1, 2),
        ("usage_daily_active_users", "shop", "week", MONDAY, 3, 1, 2),
    ]
    kpis = {"kpis.kpi_days": "select * replace (numerator + 1 as numerator) from {view} where kpi_name <> 'txn-sms-sent'"}
    assert rows_of("kpis_count_every_send", *RIGHT, wrong_views=kpis) == [
        # A push and an e-mail that stayed, and one that bounced.
        ("attempted-deliveries-grouped-by-campaign-activity", "shop", MONDAY, 4, 3),
        ("journey-emails-sent", "shop", MONDAY, 2, 1),
        # The one that bounced softly; the other could not be written.
        ("txn-emails-sent", "shop", MONDAY, 2, 1),
        # One that arrived and one that failed.
        ("txn-sms-sent", "shop", MONDAY, 0, 2),
    ]
    lost = {"kpis.overview": "from {view} where block <> 'campaigns'"}
    # The push and the e-mail that stayed.
    assert rows_of("overview_agrees", *RIGHT, wrong_views=lost) == [
        ("campaigns_messages_delivered", "shop", period, 0, 2) for period in ("day", "month", "week")
    ]
    weeks = {"kpis.overview": "from {view} where period <> 'week' or chart <> 'usage_sessions'"}
    # On Monday two phones, on Tuesday one.
    assert rows_of("overview_agrees", *RIGHT, wrong_views=weeks) == [("usage_sessions", "shop", "week", 0, 3)]
