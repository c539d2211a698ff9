"""Borders that macros share: the same event twice at one moment, and the day on which Berlin's clocks go back. Noon is that of Monday, 2026-11-23, UTC."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.config import load_settings
from tests.lake_rows import event, purchase
from tests.macro_calls import ask, nov, on, utc

DAY = "'2026-11-23', '2026-11-23'"
CHANGE = "'2026-10-25', '2026-10-25'"
Rows = list[dict[str, Any]]


def touched() -> Rows:
    """An opened push, and a conversion an hour later."""
    push = {"campaign_id": "a", "campaign_activity_id": "run-1", "channel": "PUSH"}
    opened = on("a", "2026-11-23T11:00", event_type="_campaign.opened_notification", **push)
    return opened + on("a", "2026-11-23T12:00", event_type="_journey.goal")


def decided(endpoint_id: str, moment: str, treatment: str) -> Rows:
    """An endpoint that is treated."""
    given = {"campaign_id": "autumn", "treatment_id": treatment, "attributes": {"campaign_send_status": "SUCCESS"}}
    return on(endpoint_id, moment, event_type="_campaign.send", **given)


# Of each macro: what is asked; events, each of which is sent once and then twice; the answers, by hand.
TWICE: dict[str, tuple[str, Callable[[], Rows], list[Any], list[Any]]] = {
    # A push that is opened twice is one touch; two equal goals are two, each credited with all of it.
    "attribution": (
        f"select source, conversion_count, touched_count from attribution('_journey.goal', {DAY}, model := 'linear')",
        touched,
        [("a", 1.0, 1)],
        [("a", 2.0, 2)],
    ),
    # Who is decided about twice, and buys twice, is one who converted.
    "lift": (
        "select treatment_id, treated_count, treated_converted_count from lift('autumn', 'buy')",
        lambda: decided("a", "2026-11-23T12:00", "0") + on("a", "2026-11-23T13:00", event_type="buy"),
        [(None, 1, 1), ("0", 1, 1)],
        [(None, 1, 1), ("0", 1, 1)],
    ),
    # The same again is the same step, and no time passes between the two.
    "paths": (
        f"select path, session_count, median_secs from paths({DAY})",
        lambda: on("a", "2026-11-23T12:00", event_type="home") + on("a", "2026-11-23T12:01", event_type="buy"),
        [(["home", "buy"], 1, 60.0)],
        [(["home", "buy"], 1, 60.0)],
    ),
    # Two events, of one endpoint, of 2.5 each.
    "trend": (
        " union all ".join(
            f"select value from trend('open', {DAY}, measure := '{measure}', as_of := '2027-01-01')"
            for measure in ("events", "subjects", "sum:price")
        ),
        lambda: on("a", "2026-11-23T12:00", event_type="open", metrics={"price": 2.5}),
        [(1.0,), (1.0,), (2.5,)],
        [(2.0,), (1.0,), (5.0,)],
    ),
    # Active is active.
    "stickiness": (
        f"select day_count, week_count, month_count from stickiness({DAY})",
        lambda: on("a", "2026-11-23T00:00"),
        [(1, 1, 1)],
        [(1, 1, 1)],
    ),
    "lifecycle": (
        "select period_date, new_count, returning_count, resurrected_count, dormant_count from lifecycle('2026-11-16', '2026-11-29', today := '2026-12-01')",
        lambda: on("a", "2026-11-16T00:00", "2026-11-23T00:00"),
        [(nov(16), 1, 0, 0, 0), (nov(23), 0, 1, 0, 0)],
        [(nov(16), 1, 0, 0, 0), (nov(23), 0, 1, 0, 0)],
    ),
    "weekly_return": (
        "select active_count, returned_count from weekly_return('2026-11-29', '2026-11-29', today := '2026-12-01')",
        lambda: on("a", "2026-11-16T00:00", "2026-11-23T00:00"),
        [(1, 1)],
        [(1, 1)],
    ),
    # Two purchases that are equal in everything are two.
    "rfm": (
        "select frequency, monetary, rfm from rfm('2026-11-01', '2026-11-30')",
        lambda: [purchase(5)],
        [(1, 5.0, "111")],
        [(2, 10.0, "111")],
    ),
}


@pytest.mark.parametrize("macro", TWICE)
def test_the_same_event_twice_at_one_moment(macro: str) -> None:
    sql, events, once, twice = TWICE[macro]
    assert ask(sql, events()) == once
    assert ask(sql, [*events(), *events()]) == twice


# In Berlin the 25th of October 2026 is 25 hours long, from 22:00 UTC of the 24th to 23:00 UTC of the 25th: its first and last millisecond, and those beside them.
BERLIN = load_settings(app_zones={"shop": "Europe/Berlin"})
EDGES = {"1": "2026-10-24T21:59:59.999", "2": "2026-10-24T22:00", "4": "2026-10-25T22:59:59.999", "8": "2026-10-25T23:00"}


def test_conversions_are_of_the_day_when_clocks_change() -> None:
    events = [event(event_type="_journey.goal", event_timestamp=utc(moment), metrics={"worth": float(no)}) for no, moment in EDGES.items()]
    sql = f"select conversion_count, value from attribution('_journey.goal', {CHANGE}, value := 'worth')"
    # 2 and 4; by UTC's day 4 and 8.
    assert ask(sql, events, BERLIN) == [(2.0, 6.0)]
    assert ask(sql, events) == [(2.0, 12.0)]


def test_sessions_with_paths_are_of_the_day_when_clocks_change() -> None:
    events = [row for no, moment in EDGES.items() for row in on(f"phone-{no}", moment, event_type=no)]
    sql = f"select path from paths({CHANGE}) order by path"
    assert ask(sql, events, BERLIN) == [(["2"],), (["4"],)]
    assert ask(sql, events) == [(["4"],), (["8"],)]


def test_decisions_of_lift_are_of_the_day_when_clocks_change() -> None:
    events = [row for no, moment in EDGES.items() for row in decided(f"phone-{no}", moment, treatment=no)]
    sql = f"select treatment_id, treated_count from lift('autumn', 'buy', {CHANGE})"
    assert ask(sql, events, BERLIN) == [(None, 2), ("2", 1), ("4", 1)]
    assert ask(sql, events) == [(None, 2), ("4", 1), ("8", 1)]
