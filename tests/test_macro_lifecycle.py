"""lifecycle: who is new, returns, comes back after a pause or goes dormant; numbers that a hand can count."""

from datetime import date
from itertools import pairwise

import pytest

from pipeline.config import load_settings
from tests.macro_calls import ask, nov, on

COUNTS = "select period_date, active_count, new_count, returning_count, resurrected_count, dormant_count from lifecycle"


def test_weeks_of_an_app_that_has_four_endpoints() -> None:
    # Weeks from the 2nd, 9th, 16th and 23rd:  a: 1 2 . 4    b: 1 . . .    c: . 2 3 4    d: . . . 4
    events = [
        *on("a", "2026-11-02", "2026-11-09", "2026-11-23"),
        *on("b", "2026-11-08"),
        *on("c", "2026-11-15", "2026-11-16", "2026-11-22", "2026-11-29"),
        *on("d", "2026-11-24"),
    ]
    assert ask("from lifecycle('2026-11-02', '2026-11-29', today := '2026-11-30')", events) == [
        (nov(2), 2, 2, 0, 0, 0, True),  # a and b are new
        (nov(9), 2, 1, 1, 0, 1, True),  # c is new, a returns, b goes dormant
        (nov(16), 1, 0, 1, 0, 1, True),  # c returns, a goes dormant; b went before
        (nov(23), 3, 1, 1, 1, 0, True),  # d is new, c returns, a is back
    ]


def test_active_ones_are_the_sum_and_the_next_period_tells_what_became_of_them() -> None:
    moments = [f"2026-11-{day:02}" for day in (1, 2, 3, 5, 8, 13, 21, 22)]
    events = [row for number in range(1, 6) for row in on(f"e{number}", *moments[::number])]
    rows = ask(f"{COUNTS}('2026-11-01', '2026-11-30', period := 'day', today := '2026-12-01')", events)
    assert len(rows) == 30
    for _, active, new, returning, resurrected, _ in rows:
        assert active == new + returning + resurrected
    for (_, active, *_), (_, _, _, returning, _, dormant) in pairwise(rows):
        assert active == returning + dormant


@pytest.mark.parametrize(
    ("again", "state"),
    [
        ("2026-11-09", "returning_count"),  # the first moment of the week after that of the 2nd
        ("2026-11-15T23:59:59.999", "returning_count"),  # its last
        ("2026-11-16", "resurrected_count"),
    ],
)
def test_first_and_last_moment_of_the_next_week_are_a_return(again: str, state: str) -> None:
    rows = ask(f"select sum({state}) from lifecycle('2026-11-02', '2026-11-22', today := '2026-12-01')", on("a", "2026-11-02", again))
    assert rows == [(1,)]


def test_months_follow_each_other_whatever_their_length() -> None:
    events = on("a", "2026-01-31", "2026-02-28", "2026-03-31", "2026-05-01")
    rows = ask(f"{COUNTS}('2026-01-15', '2026-05-31', period := 'month')", events)
    assert rows == [
        (date(2026, 1, 1), 1, 1, 0, 0, 0),
        (date(2026, 2, 1), 1, 0, 1, 0, 0),
        (date(2026, 3, 1), 1, 0, 1, 0, 0),
        (date(2026, 4, 1), 0, 0, 0, 0, 1),
        (date(2026, 5, 1), 1, 0, 0, 1, 0),
    ]


def test_new_is_the_first_time_ever_and_not_the_first_that_is_asked_for() -> None:
    events = on("a", "2026-11-02", "2026-11-16")
    assert ask(f"{COUNTS}('2026-11-16', '2026-11-22')", events) == [(nov(16), 1, 0, 0, 1, 0)]
    # Who was active in the week before the first one goes dormant in it.
    assert ask(f"{COUNTS}('2026-11-09', '2026-11-15')", events) == [(nov(9), 0, 0, 0, 0, 1)]


def test_days_are_those_of_the_apps_zone_over_the_change_of_its_clocks() -> None:
    # In Berlin the 25th of October 2026 is 25 hours long, from 22:00 UTC to 23:00 UTC: its first and last moment are one day.
    events = on("a", "2026-10-24T22:00", "2026-10-25T22:59:59.999")
    call = f"{COUNTS}('2026-10-24', '2026-10-26', period := 'day')"
    assert ask(call, events, load_settings(app_zones={"shop": "Europe/Berlin"})) == [
        (date(2026, 10, 24), 0, 0, 0, 0, 0),
        (date(2026, 10, 25), 1, 1, 0, 0, 0),
        (date(2026, 10, 26), 0, 0, 0, 0, 1),
    ]
    # The control: in UTC they are two days.
    assert [row[1] for row in ask(call, events)] == [1, 1, 0]


def test_user_lives_on_on_another_endpoint() -> None:
    events = [*on("phone", "2026-11-02", user_id="ann"), *on("laptop", "2026-11-09", user_id="ann"), *on("kiosk", "2026-11-02")]
    assert ask(f"{COUNTS}('2026-11-09', '2026-11-15')", events) == [(nov(9), 1, 1, 0, 0, 2)]
    assert ask(f"{COUNTS}('2026-11-09', '2026-11-15', subject := 'user')", events) == [(nov(9), 1, 0, 1, 0, 1)]


def test_nothing_after_to_date_counts_and_the_week_that_it_cuts_is_not_complete() -> None:
    events = on("a", "2026-11-02", "2026-11-12")
    rows = ask("from lifecycle('2026-11-02', '2026-11-11', today := '2026-12-01')", events)
    assert rows == [(nov(2), 1, 1, 0, 0, 0, True), (nov(9), 0, 0, 0, 0, 1, False)]


def test_week_that_has_not_begun_has_no_row() -> None:
    rows = ask("select period_date, is_complete from lifecycle('2026-11-02', '2026-11-30', today := '2026-11-15')", on("a", "2026-11-02"))
    assert rows == [(nov(2), True), (nov(9), False)]
