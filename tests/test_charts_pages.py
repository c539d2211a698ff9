"""The charts of the eight pages over one small lake of two apps' days, each value worked out by hand."""

from datetime import date

import pytest

from pipeline.config import load_settings
from tests.lake_rows import at, event, memory_lake, purchase
from tests.message_rows import RUN, ask, decision, mail, text

COLUMNS = ["chart", "app_id", "period", "period_date", "part", "numerator", "denominator", "value", "value_before", "change", "is_complete"]
PAGES = ("usage", "revenue", "events", "demographics", "campaigns", "transactional", "funnels")
RUN_2 = RUN | {"event_timestamp": at(days=1)}

# Monday the 23rd: ann on her phone (a view, three mugs at 5 EUR) and on the tablet that nobody signed in on. Tuesday: ann's phone twice, 31 minutes apart.
# Wednesday: nothing. Thursday: ann buys for 20 EUR.
LAKE = [
    event(user_id="ann"),
    purchase(5, 3, user_id="ann"),
    event(endpoint_id="tablet", event_type="_userauth.auth_fail"),
    event(user_id="ann", event_timestamp=at(days=1), event_type="_userauth.sign_in"),
    event(user_id="ann", event_timestamp=at(31, days=1), event_type="_userauth.sign_up"),
    purchase(20, user_id="ann", event_timestamp=at(days=3)),
    # Monday: c1 writes to two, one of whom opens, clicks and unsubscribes. Tuesday: to one, whose mailbox is gone.
    mail("send", **RUN),
    *(mail(kind, secs, **RUN) for kind, secs in (("delivered", 6), ("open", 60), ("click", 70), ("unsubscribe", 80))),
    mail("delivered", 6, endpoint_id="mail-2", **RUN),
    mail("hardbounce", 6, **RUN_2 | {"campaign_activity_id": "run-2"}),
    decision("PUSH", **RUN),
    # Tuesday, not of a campaign: an e-mail that is delivered and one that bounces softly, a text that fails.
    mail("delivered", 6, event_timestamp=at(days=1)),
    mail("softbounce", 6, event_timestamp=at(days=1), message_id="m9", endpoint_id="mail-9"),
    text("FAILURE", 86_400, 645.0),
]

EVERYTHING = " union all ".join(f"select chart, part, period, period_date, value from kpis.{page}" for page in PAGES)
MON, TUE, WED, THU = (date(2026, 11, day) for day in (23, 24, 25, 26))
# A part has rows from its first day to its last.
ABSENT = -1
# By chart and part: the values of Monday to Thursday, and of the week.
EXPECTED: dict[tuple[str, str | None], tuple[list[float | None], float | None]] = {
    ("usage_daily_active_endpoints", None): ([2, 1, 0, 1], 2),
    ("usage_daily_active_users", None): ([1, 1, 0, 1], 1),
    ("usage_monthly_active_endpoints", None): ([2, 2, 2, 2], 2),
    ("usage_monthly_active_users", None): ([1, 1, 1, 1], 1),
    ("usage_new_endpoints", None): ([2, 0, 0, 0], 2),
    ("usage_new_users", None): ([1, 0, 0, 0], 1),
    # Thursday is the week's last day of which anything is known.
    ("usage_sticky_factor", None): ([1, 0.5, 0, 0.5], 0.5),
    ("usage_sessions", None): ([2, 2, 0, 1], 5),
    ("usage_sessions_per_endpoint", None): ([1, 2, None, 1], 2.5),
    # Without the tablet's, which is nobody's.
    ("usage_sessions_per_user", None): ([1, 2, None, 1], 4),
    # Noon on Monday, in UTC.
    ("usage_session_heat_map", "1 12"): ([2, ABSENT, ABSENT, ABSENT], 2),
    ("usage_sign_ins", None): ([0, 1, 0, 0], 1),
    ("usage_sign_ups", None): ([0, 1, 0, 0], 1),
    ("usage_sign_in_failures", None): ([1, 0, 0, 0], 1),
    ("revenue_total", "EUR"): ([15, 0, 0, 20], 35),
    # On Tuesday one endpoint came and bought nothing, on Wednesday nobody came.
    ("revenue_per_endpoint", "EUR"): ([7.5, 0, None, 20], 17.5),
    ("revenue_paying_users", "EUR"): ([1, 0, 0, 1], 1),
    ("revenue_per_paying_user", "EUR"): ([15, None, None, 20], 35),
    ("revenue_units_sold", "EUR"): ([3, 0, 0, 1], 4),
    ("revenue_units_per_endpoint", "EUR"): ([1.5, 0, None, 1], 2),
    ("revenue_purchases", "EUR"): ([1, 0, 0, 1], 2),
    ("revenue_purchases_per_endpoint", "EUR"): ([1, None, None, 1], 2),
    ("events_count", "_monetization.purchase"): ([1, 0, 0, 1], 2),
    ("events_endpoint_count", "_monetization.purchase"): ([1, 0, 0, 1], 1),
    ("events_per_session", "_monetization.purchase"): ([0.5, 0, None, 1], 0.4),
    ("demographics_platform", "unknown"): ([1, 1, None, 1], 1),
    ("campaigns_active", None): ([1, 1, 0, 0], 1),
    ("campaigns_messages_sent", None): ([3, 1, 0, 0], 4),
    ("campaigns_messages_delivered", None): ([3, 0, 0, 0], 3),
    ("campaigns_endpoint_deliveries", None): ([3, 0, 0, 0], 3),
    ("campaigns_delivery_rate", None): ([1, 0, None, None], 0.75),
    ("campaigns_email_open_rate", None): ([0.5, None, None, None], 0.5),
    ("campaigns_email_open_rate_by_people", None): ([0.5, None, None, None], 0.5),
    ("campaigns_push_open_rate", None): ([0, None, None, None], 0),
    ("campaigns_sms_spend", None): ([0, 0, 0, 0], 0),
    # One of the three that something was delivered to.
    ("campaigns_opt_out_rate", None): ([1 / 3, None, None, None], 1 / 3),
    ("campaigns_delivery_rate_by_campaign", "c1"): ([1, 0, ABSENT, ABSENT], 0.75),
    ("campaigns_email_open_rate_by_campaign", "c1"): ([0.5, None, ABSENT, ABSENT], 0.5),
    ("campaigns_push_open_rate_by_campaign", "c1"): ([0, None, ABSENT, ABSENT], 0),
    ("campaigns_email_open_rate_by_treatment", "c1/0"): ([0.5, None, ABSENT, ABSENT], 0.5),
    ("campaigns_push_open_rate_by_treatment", "c1/0"): ([0, None, ABSENT, ABSENT], 0),
    ("campaigns_sent_by_treatment", "c1/0"): ([3, 1, ABSENT, ABSENT], 4),
    ("campaigns_delivery_rate_by_treatment", "c1/0"): ([1, 0, ABSENT, ABSENT], 0.75),
    ("campaigns_email_clicks_by_treatment", "c1/0"): ([1, 0, ABSENT, ABSENT], 1),
    ("campaigns_email_click_rate_by_treatment", "c1/0"): ([0.5, None, ABSENT, ABSENT], 0.5),
    ("campaigns_sent_by_channel", "c1/EMAIL"): ([2, 1, ABSENT, ABSENT], 3),
    ("campaigns_delivery_rate_by_channel", "c1/EMAIL"): ([1, 0, ABSENT, ABSENT], 2 / 3),
    ("campaigns_open_rate_by_channel", "c1/EMAIL"): ([0.5, None, ABSENT, ABSENT], 0.5),
    ("campaigns_click_rate_by_channel", "c1/EMAIL"): ([0.5, None, ABSENT, ABSENT], 0.5),
    # Noon of Monday, the very moment of the push, and noon of Tuesday, 24 hours after it; not the session half an hour later.
    ("campaigns_push_sessions_within_24_hours", "c1"): ([2, ABSENT, ABSENT, ABSENT], 2),
    ("campaigns_push_units_within_24_hours", "c1"): ([3, ABSENT, ABSENT, ABSENT], 3),
    ("campaigns_sent_by_run", "c1/run-2"): ([ABSENT, 1, ABSENT, ABSENT], 1),
    ("campaigns_delivery_rate_by_run", "c1/run-2"): ([ABSENT, 0, ABSENT, ABSENT], 0),
    ("campaigns_email_open_rate_by_run", "c1/run-1"): ([0.5, ABSENT, ABSENT, ABSENT], 0.5),
    ("transactional_email_sends", None): ([0, 2, 0, 0], 2),
    ("transactional_email_deliveries", None): ([0, 1, 0, 0], 1),
    ("transactional_email_opens", None): ([0, 0, 0, 0], 0),
    ("transactional_email_clicks", None): ([0, 0, 0, 0], 0),
    ("transactional_email_complaints", None): ([0, 0, 0, 0], 0),
    ("transactional_email_delivery_rate", None): ([None, 0.5, None, None], 0.5),
    ("transactional_email_bounce_rate", None): ([None, 0.5, None, None], 0.5),
    ("transactional_email_complaint_rate", None): ([None, 0, None, None], 0),
    ("transactional_sms_sent", None): ([0, 1, 0, 0], 1),
    ("transactional_sms_parts_sent", None): ([0, 2, 0, 0], 2),
    ("transactional_sms_deliveries", None): ([0, 0, 0, 0], 0),
    ("transactional_sms_delivery_rate", None): ([None, 0, None, None], 0),
    ("transactional_sms_sent_by_country", "US"): ([ABSENT, 1, ABSENT, ABSENT], 1),
    ("transactional_sms_delivered_by_country", "US"): ([ABSENT, 0, ABSENT, ABSENT], 0),
    # 645 for two parts.
    ("transactional_sms_price_by_country", "US"): ([ABSENT, 322.5, ABSENT, ABSENT], 322.5),
    ("transactional_sms_errors", "DELIVERED"): ([ABSENT, 1, ABSENT, ABSENT], 1),
    # Monday two e-mails, Tuesday three: c1's that bounced hard, and two transactional ones of which one stayed.
    ("funnels_email", "1 sent"): ([1, 1, ABSENT, ABSENT], 1),
    ("funnels_email", "2 delivered"): ([1, 1 / 3, ABSENT, ABSENT], 3 / 5),
    ("funnels_email", "3 opened"): ([0.5, 0, ABSENT, ABSENT], 1 / 5),
    ("funnels_email", "4 clicked"): ([0.5, 0, ABSENT, ABSENT], 1 / 5),
}


def test_each_chart_is_what_a_person_counts_day_by_day_and_in_the_week() -> None:
    found: dict[tuple[str, str | None], dict[tuple[str, date], float | None]] = {}
    for chart, part, period, day, value in ask(EVERYTHING, LAKE):
        found.setdefault((chart, part), {})[period, day] = value
    wrong = {}
    for key, (days, week) in EXPECTED.items():
        said = [*(found[key].get(("day", day), ABSENT) for day in (MON, TUE, WED, THU)), found[key]["week", MON]]
        if said != pytest.approx([*days, week]):
            wrong[key] = said
    assert wrong == {}
    # No chart goes untested; of retention and attributes the tests stand below.
    assert {chart for chart, _ in found} - {chart for chart, _ in EXPECTED} <= {
        "usage_seven_day_retention",
        *(f"demographics_{trait}" for trait in ("app_version", "model", "make", "country", "attributes")),
    }


def test_every_page_is_a_view_with_the_columns_of_all_and_empty_over_an_empty_lake() -> None:
    with memory_lake(load_settings()) as con:
        for page in (*PAGES, "overview"):
            columns = [column[0] for column in con.execute(f"from kpis.{page}").description]
            assert [column for column in columns if column != "block"] == COLUMNS, page
            assert con.fetchall() == [], page
        assert con.execute("from kpis.campaigns_targetable_endpoints").fetchall() == []


def test_every_chart_is_named_on_its_page_and_says_what_it_counts() -> None:
    names = ask("select chart, page, numerator from kpis.chart_names", [])
    shown = {chart for chart, _ in EXPECTED} | {"usage_seven_day_retention"}
    shown |= {f"demographics_{trait}" for trait in ("app_version", "model", "make", "country", "attributes")}
    assert {chart for chart, _, _ in names} == shown
    assert {page for _, page, _ in names} == set(PAGES)
    assert all(numerator for _, _, numerator in names)


def test_change_is_against_the_period_before_also_over_a_period_without_anything() -> None:
    sql = "select value, value_before, change from kpis.usage where chart = 'usage_daily_active_endpoints' and period = 'day' order by period_date"
    assert ask(sql, LAKE) == [(2, None, None), (1, 2, -0.5), (0, 1, -1), (1, 0, None)]


@pytest.mark.parametrize(("first_day", "changes"), [(-5, [None, None, 0.5]), (-7, [None, 1.0, 0.5])])
def test_nothing_is_compared_with_a_week_that_the_first_known_day_cuts(first_day: int, changes: list[float | None]) -> None:
    # The lake begins on Wednesday the 18th, or on Monday the 16th; one, two and three sessions in the weeks of the 16th, 23rd and 30th.
    events = [event(event_timestamp=at(days=day)) for day in (first_day, 0, 1, 7, 8, 9)]
    sql = "select value, change from kpis.usage where chart = 'usage_sessions' and period = 'week' order by period_date"
    assert ask(sql, events) == [(1, changes[0]), (2, changes[1]), (3, changes[2])]
    # November began before, and its four sessions are no whole month's: December's two are compared with nothing.
    months = "select value, value_before, change from kpis.usage where chart = 'usage_sessions' and period = 'month' order by period_date"
    assert ask(months, events) == [(4, None, None), (2, None, None)]
    # A day is never cut: the second is compared with the first.
    days = "select value_before from kpis.usage where chart = 'usage_sessions' and period = 'day' order by period_date limit 2"
    assert ask(days, events) == [(None,), (1,)]


@pytest.mark.parametrize(("days", "value"), [(1, 1), (7, 1), (8, 0)])
def test_seven_day_retention_is_of_those_who_came_again_in_the_seven_days_after(days: int, value: float) -> None:
    # Came on the 23rd and again so many days after. On the 30th the week is the 24th to the 30th, the one before the 17th to the 23rd.
    events = [event(), event(event_timestamp=at(days=days)), event(endpoint_id="other", event_timestamp=at(days=9))]
    sql = "select value from kpis.usage where chart = 'usage_seven_day_retention' and period_date = '2026-11-30'"
    assert ask(sql, events) == [(value,)]


def test_funnel_of_mails_never_widens() -> None:
    # A mailbox put the mail off, took it, and it was opened: who opened has it. Another came back softly, and that was all.
    events = [mail(kind, secs) for kind, secs in (("send", 0), ("softbounce", 10), ("delivered", 60), ("open", 90))]
    events += [mail("softbounce", 10, message_id="m2", endpoint_id="mail-2")]
    sql = "select part, numerator, denominator from kpis.funnels where period = 'day' order by 1"
    assert ask(sql, events) == [("1 sent", 2, 2), ("2 delivered", 1, 2), ("3 opened", 1, 2), ("4 clicked", 0, 2)]


def test_overview_is_three_blocks_of_the_other_pages_charts() -> None:
    found = ask("select block, count(distinct chart) from kpis.overview group by 1 order by 1", LAKE)
    assert found == [("app", 6), ("campaigns", 7), ("transactional e-mail", 4)]
    # Nobody was there the week before: there is no retention.
    assert ask("select distinct value from kpis.overview where chart = 'usage_seven_day_retention'", LAKE) == [(None,)]
