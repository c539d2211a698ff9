"""weekly_return: the share of a week's active endpoints that come back in the next one; numbers that a hand can count."""

import pytest

from pipeline.config import load_settings
from tests.macro_calls import ask, nov, on

SUNDAY = "select active_count, returned_count, rate from weekly_return('2026-11-29', '2026-11-29', today := '2026-12-01')"


def test_half_of_a_week_comes_back() -> None:
    # The week that ends on Sunday the 29th is the 23rd to the 29th, the one before the 16th to the 22nd.
    # a and b were active in the first of them, b, twice, and c in the second: 1 of 2.
    events = [*on("a", "2026-11-16"), *on("b", "2026-11-22", "2026-11-23", "2026-11-29"), *on("c", "2026-11-25")]
    assert ask(SUNDAY, events) == [(2, 1, 0.5)]


def test_every_day_ends_a_week_of_its_own() -> None:
    # a on the 10th and the 17th: seven days apart are always in two weeks that follow each other.
    # Days 17 to 23 have the 10th in the week before, and the 17th in the week.
    rows = ask(
        "select day, active_count, returned_count, rate from weekly_return('2026-11-16', '2026-11-24', today := '2026-12-01')",
        on("a", "2026-11-10", "2026-11-17"),
    )
    # On the 24th the 17th is in the week before, and nobody came back.
    assert rows == [(nov(16), 0, 0, None), *((nov(day), 1, 1, 1.0) for day in range(17, 24)), (nov(24), 1, 0, 0.0)]


@pytest.mark.parametrize(
    ("before", "active_count"),
    [("2026-11-15T23:59:59.999", 0), ("2026-11-16", 1), ("2026-11-22T23:59:59.999", 1), ("2026-11-23", 0)],
)
def test_week_before_begins_and_ends_at_midnight(before: str, active_count: int) -> None:
    # Another endpoint keeps the table from being empty.
    assert ask(SUNDAY, [*on("a", before), *on("b", "2026-11-25")])[0][0] == active_count


@pytest.mark.parametrize(
    ("back", "returned_count"),
    [("2026-11-22T23:59:59.999", 0), ("2026-11-23", 1), ("2026-11-29T23:59:59.999", 1), ("2026-11-30", 0)],
)
def test_return_counts_from_the_first_moment_of_the_week_to_its_last(back: str, returned_count: int) -> None:
    assert ask(SUNDAY, [*on("a", "2026-11-16"), *on("a", back)])[0][:2] == (1, returned_count)


def test_weeks_are_those_of_the_apps_zone_over_the_change_of_its_clocks() -> None:
    # In Berlin the week from the 19th to the 25th of October 2026 ends at 23:00 UTC, an hour later than it began.
    call = "select active_count, returned_count from weekly_return('2026-10-25', '2026-10-25')"
    events = [*on("a", "2026-10-11T22:00", "2026-10-18T22:00"), *on("b", "2026-10-18T21:59:59.999", "2026-10-25T22:59:59.999")]
    assert ask(call, events, load_settings(app_zones={"shop": "Europe/Berlin"})) == [(2, 2)]
    # The control: by UTC's days a was active on the 11th, a day before the first of the two weeks, and then on their last day.
    assert ask(call, events) == [(2, 1)]


def test_users_come_back_on_another_endpoint() -> None:
    events = [
        *on("phone", "2026-11-16", user_id="ann"),
        *on("laptop", "2026-11-24", user_id="ann"),
        *on("kiosk", "2026-11-17", "2026-11-25"),
    ]
    assert ask(SUNDAY, events) == [(2, 1, 0.5)]
    assert ask(SUNDAY.replace("today", "subject := 'user', today"), events) == [(2, 2, 1.0)]


def test_messages_bring_nobody_back() -> None:
    assert ask(SUNDAY, [*on("a", "2026-11-16"), *on("a", "2026-11-24", event_type="_email.send")]) == [(1, 0, 0.0)]


def test_day_is_complete_when_it_is_over_and_has_no_row_before_it_begins() -> None:
    call = "select day, is_complete from weekly_return('2026-11-28', '2026-11-30', today := '2026-11-29')"
    assert ask(call, on("a", "2026-11-20")) == [(nov(28), True), (nov(29), False)]
