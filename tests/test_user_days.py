"""Users of a day are those that its events name: of a phone that two share each is one, of an endpoint that nobody signed in on there is none."""

from datetime import date

import pytest

from tests.lake_rows import at, event, purchase
from tests.macro_calls import ask, nov, on

# Monday the 23rd: ann and then, 31 minutes after, bob on one phone; a tablet that nobody signed in on. Tuesday: ann alone.
SHARED = [
    event(user_id="ann"),
    event(user_id="bob", event_timestamp=at(31)),
    event(endpoint_id="tablet"),
    event(user_id="ann", event_timestamp=at(days=1)),
]
MON, TUE = date(2026, 11, 23), date(2026, 11, 24)


def test_user_has_a_row_for_each_day_also_on_a_phone_that_two_share() -> None:
    sql = "select user_id, activity_date, event_count, endpoint_count, is_new from core.user_days order by all"
    assert ask(sql, SHARED) == [("ann", MON, 1, 1, True), ("ann", TUE, 1, 1, False), ("bob", MON, 1, 1, True)]


def test_user_of_two_endpoints_has_one_row_of_the_day() -> None:
    events = [event(user_id="ann"), event(user_id="ann", endpoint_id="laptop"), event(user_id="ann", app_id="blog")]
    assert ask("select app_id, event_count, endpoint_count from core.user_days order by 1", events) == [("blog", 1, 1), ("shop", 2, 2)]


def test_messages_and_endpoints_without_a_user_make_no_user_s_day() -> None:
    assert ask("from core.user_days", [event(), event(user_id=""), event(user_id="ann", event_type="_email.open")]) == []
    assert ask("from core.user_days") == []


@pytest.mark.parametrize(
    ("chart", "values"),
    [
        ("usage_daily_active_users", [2, 1, 2]),
        ("usage_monthly_active_users", [2, 2, 2]),
        ("usage_new_users", [2, 0, 2]),
        # Sessions: ann's, bob's and the tablet's on Monday, ann's on Tuesday; the tablet's is no user's. Of endpoints 3 of 2, 1 of 1, 4 of 2.
        ("usage_sessions_per_user", [1, 1, 1.5]),
        ("usage_sessions_per_endpoint", [1.5, 1, 2]),
    ],
)
def test_charts_of_users_count_each_of_a_shared_phone_and_nobody_of_a_tablet(chart: str, values: list[float]) -> None:
    sql = f"select value from kpis.usage where chart = '{chart}' and period <> 'month' order by period, period_date"
    assert [value for (value,) in ask(sql, SHARED)] == values


def test_buyers_are_subjects_and_no_endpoint_is_a_user_that_is_called_like_it() -> None:
    # The user named endpoint:tablet, the tablet itself, ann on two endpoints; a purchase of no endpoint is nobody's.
    events = [
        purchase(1, user_id="endpoint:tablet"),
        purchase(1, endpoint_id="tablet"),
        purchase(1, user_id="ann"),
        purchase(1, user_id="ann", endpoint_id="laptop"),
        purchase(1, endpoint_id=None),
    ]
    assert ask("select value from kpis.revenue where chart = 'revenue_paying_users' and period = 'day'", events) == [(3,)]


def test_seven_day_retention_of_the_chart_is_weekly_return_of_users() -> None:
    # ann on two endpoints two weeks in a row, bob and cid on one phone, a kiosk without a user every week, dan once, somebody of another app.
    events = [
        *on("phone", "2026-11-02", "2026-11-05", user_id="ann"),
        *on("laptop", "2026-11-09T23:30", user_id="ann"),
        *on("shared", "2026-11-03", "2026-11-16", user_id="bob"),
        *on("shared", "2026-11-03", "2026-11-10", user_id="cid"),
        *on("kiosk", "2026-11-01", "2026-11-08", "2026-11-15", "2026-11-24"),
        *on("phone-4", "2026-11-07", user_id="dan"),
        *on("phone", "2026-11-04", "2026-11-12", user_id="ann", app_id="blog"),
    ]
    chart = """
        select period_date, numerator, denominator from kpis.usage
        where app_id = 'shop' and chart = 'usage_seven_day_retention' order by 1
    """
    macro = "select day, returned_count, active_count from weekly_return('2026-11-01', '2026-11-24', 'shop', 'user', today := '2026-12-01')"
    found = ask(chart, events)
    assert found == ask(macro, events)
    # By hand, of Sunday the 15th. The week before, from the 2nd: ann, bob, cid, dan, and the kiosk on the 8th. Of them ann, cid and the kiosk came in the next one.
    assert (nov(15), 3, 5) in found
