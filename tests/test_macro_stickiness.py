"""stickiness: who was active on a day, in the 7 and in the 30 days that end with it; numbers that a hand can count."""

from datetime import date

import pytest

from pipeline.config import load_settings
from tests.macro_calls import ask, nov, on

COUNTS = "select day, day_count, week_count, month_count from stickiness"


def test_a_day_a_week_and_a_month_are_compared() -> None:
    # On the 30th: a alone that day; a and b in the seven days from the 24th; a, b, c and d in the thirty from the 1st.
    events = [*on("a", "2026-11-30"), *on("b", "2026-11-24"), *on("c", "2026-11-10"), *on("d", "2026-11-01"), *on("e", "2026-10-31")]
    assert ask("from stickiness('2026-11-30', '2026-11-30', today := '2026-12-01')", events) == [
        (nov(30), 1, 2, 4, 0.25, 0.5, 0.5, True),
    ]


def test_each_window_ends_with_its_day() -> None:
    # Active on the 1st alone: that day, the week to the 7th, the thirty days to the 30th.
    rows = ask(f"{COUNTS}('2026-11-01', '2026-12-01', today := '2027-01-01')", on("a", "2026-11-01"))
    assert [day for day, count, _, _ in rows if count] == [nov(1)]
    assert [day for day, _, count, _ in rows if count] == [nov(day) for day in range(1, 8)]
    assert [day for day, _, _, count in rows if count] == [nov(day) for day in range(1, 31)]


@pytest.mark.parametrize(("again", "days"), [("2026-11-07", 13), ("2026-11-08", 14), ("2026-11-09", 14)])
def test_activity_again_within_a_window_and_at_its_end_counts_once(again: str, days: int) -> None:
    # The 1st is good for the 1st to the 7th. The 7th is good for the 7th to the 13th, one day of which is counted already;
    # the 8th follows at once; the 9th leaves the 8th out.
    rows = ask(f"{COUNTS}('2026-11-01', '2026-12-31', today := '2027-01-01')", on("a", "2026-11-01", again))
    assert [count for _, _, count, _ in rows if count] == [1] * days
    assert {count for _, _, _, count in rows} == {0, 1}


@pytest.mark.parametrize(
    ("moment", "month_count"), [("2026-10-31T23:59:59.999", 0), ("2026-11-01", 1), ("2026-11-30T23:59:59.999", 1), ("2026-12-01", 0)]
)
def test_thirty_days_begin_and_end_at_midnight(moment: str, month_count: int) -> None:
    # Another endpoint keeps the table from being empty.
    rows = ask(
        "select month_count - 1 from stickiness('2026-11-30', '2026-11-30', today := '2027-01-01')",
        [*on("a", moment), *on("b", "2026-11-15")],
    )
    assert rows == [(month_count,)]


def test_days_are_those_of_the_apps_zone_over_the_change_of_its_clocks() -> None:
    # In Berlin the 25th of October 2026 ends at 23:00 UTC.
    events = on("a", "2026-10-25T22:59:59.999") + on("b", "2026-10-25T23:00")
    call = "select day, day_count from stickiness('2026-10-25', '2026-10-26')"
    berlin = load_settings(app_zones={"shop": "Europe/Berlin"})
    assert ask(call, events, berlin) == [(date(2026, 10, 25), 1), (date(2026, 10, 26), 1)]
    # The control: in UTC it is one day.
    assert ask(call, events) == [(date(2026, 10, 25), 2), (date(2026, 10, 26), 0)]


def test_user_counts_once_and_an_endpoint_without_one_counts_itself() -> None:
    events = [*on("phone", "2026-11-30", user_id="ann"), *on("laptop", "2026-11-29", user_id="ann"), *on("kiosk", "2026-11-29")]
    assert ask(f"{COUNTS}('2026-11-30', '2026-11-30', today := '2026-12-01')", events) == [(nov(30), 1, 3, 3)]
    assert ask(f"{COUNTS}('2026-11-30', '2026-11-30', today := '2026-12-01', subject := 'user')", events) == [(nov(30), 1, 2, 2)]


def test_users_are_also_endpoints_that_name_none_as_the_definition_says() -> None:
    # ann on two phones, and a kiosk that nobody is named at: 2 subjects, where Pinpoint's active users are ann alone, and its active endpoints 3.
    events = [*on("phone", "2026-11-30", user_id="ann"), *on("laptop", "2026-11-30", user_id="ann"), *on("kiosk", "2026-11-30", user_id="")]
    rows = ask(f"{COUNTS}('2026-11-30', '2026-11-30', today := '2026-12-01', subject := 'user')", events)
    assert rows == [(nov(30), 2, 2, 2)]
    assert ask(f"{COUNTS}('2026-11-30', '2026-11-30', today := '2026-12-01')", events) == [(nov(30), 3, 3, 3)]


def test_same_endpoint_in_two_apps_is_two_and_an_app_may_be_asked_alone() -> None:
    events = [*on("a", "2026-11-30"), *on("a", "2026-11-30", app_id="blog")]
    assert ask(f"{COUNTS}('2026-11-30', '2026-11-30', today := '2026-12-01')", events) == [(nov(30), 2, 2, 2)]
    assert ask(f"{COUNTS}('2026-11-30', '2026-11-30', today := '2026-12-01', app := 'blog')", events) == [(nov(30), 1, 1, 1)]


def test_day_on_which_nobody_was_active_has_its_row_and_no_ratio_by_nobody() -> None:
    rows = ask("from stickiness('2026-11-29', '2026-11-30', today := '2026-11-30')", on("a", "2026-11-30"))
    assert rows == [(nov(29), 0, 0, 0, None, None, None, True), (nov(30), 1, 1, 1, 1.0, 1.0, 1.0, False)]
