"""Touches of attribution: when a message touches, what a later click changes (nothing), and which of two at one moment is the last. Minutes after noon of 2026-11-23, UTC."""

from typing import Any

import pytest

from tests.lake_rows import Row, at, purchase
from tests.macro_calls import ask
from tests.message_rows import mail
from tests.test_macro_attribution import DAY, DIRECT, NONE, SEARCH, A, B, bought, came, credits, opened

MODELS = ["first", "last", "last_non_direct", "linear", "position"]


def read(kind: str, minute: float, millis: int = 0) -> Row:
    """The mail of campaign a, sent at noon, is opened or clicked."""
    return mail(kind, arrival_timestamp=at(minute, millis), campaign_id="a", endpoint_id="phone-1")


@pytest.mark.parametrize("model", MODELS)
def test_click_after_the_conversion_takes_nothing_from_the_open_before_it(model: str) -> None:
    events = [read("open", 10), bought(60)]
    assert credits(events, model) == credits([*events, read("click", 120)], model) == {A: 1.0}


def test_click_after_a_purchase_leaves_its_sessions_as_they_were() -> None:
    # The session of the purchase begins 30 minutes after the open, so it is the mail's; a millisecond later it is direct, and a touch of its own.
    def buyers(*more: Row, millis: int) -> list[Any]:
        sql = f"select source_kind, source, conversion_count from attribution('_monetization.purchase', {DAY}, model := 'linear')"
        return ask(sql, [read("open", 10), purchase(5, event_timestamp=at(40, millis)), *more])

    assert buyers(millis=0) == buyers(read("click", 120), millis=0) == [("campaign", "a", 1.0)]
    assert buyers(millis=1) == buyers(read("click", 120), millis=1) == [("campaign", "a", 0.5), ("direct", None, 0.5)]


def test_message_touches_at_its_click_from_the_very_moment_of_it_on() -> None:
    # The search lies between the open and the click, more than 30 minutes after the one.
    events = [read("open", 10), came(45, "search"), read("click", 60)]
    assert credits([*events, bought(60)], "last") == {A: 1.0}
    assert credits([*events, bought(60)], "first") == {SEARCH: 1.0}
    # A millisecond before.
    early = bought(60 - 1 / 60_000)
    assert credits([*events, early], "last") == {SEARCH: 1.0}
    assert credits([*events, early], "first") == {A: 1.0}


def test_message_is_one_touch_however_often_it_was_read() -> None:
    events = [opened("b", -60), read("open", 10), read("click", 20), bought(60)]
    assert credits(events, "linear") == {A: 0.5, B: 0.5}
    # Pictures that are fetched after the click are an open after it; and both may be of one moment.
    assert credits([opened("b", -60), read("click", 10), read("open", 20), bought(60)], "linear") == {A: 0.5, B: 0.5}
    assert credits([opened("b", -60), read("click", 10), read("open", 10), bought(60)], "linear") == {A: 0.5, B: 0.5}


def test_click_within_the_window_counts_whenever_the_message_was_opened_before() -> None:
    hour = ", within := '1 hour'"
    assert credits([read("open", 10), read("click", 100), bought(120)], more=hour) == {A: 1.0}
    assert credits([read("open", 10), bought(120)], more=hour) == {NONE: 1.0}
    assert credits([read("open", 10), read("click", 130), bought(120)], more=hour) == {NONE: 1.0}


def test_open_and_click_both_bring_sessions() -> None:
    # Five minutes after the open, and one after the click; and with neither, 60 minutes after the open.
    assert credits([read("open", 10), came(15), bought(60), read("click", 120)], "linear") == {A: 1.0}
    assert credits([read("open", 10), read("click", 120), came(121), bought(180)], "linear") == {A: 1.0}
    assert credits([read("open", 10), came(70), bought(180)], "linear") == {A: 0.5, DIRECT: 0.5}


def test_of_two_campaigns_at_one_moment_the_last_is_the_one_whose_letters_come_later() -> None:
    for events in ([opened("a", -60), opened("b", -60)], [opened("b", -60), opened("a", -60)]):
        assert credits([*events, bought(0)], "first") == {A: 1.0}
        assert credits([*events, bought(0)], "last") == credits([*events, bought(0)], "last_non_direct") == {B: 1.0}
    # A millisecond decides before letters do.
    assert credits([opened("b", -60), opened("a", 0, event_timestamp=at(-60, millis=1)), bought(0)], "last") == {A: 1.0}


def test_of_two_sessions_of_a_user_at_one_moment_the_last_is_the_one_with_a_source() -> None:
    # 'direct' stands before 'session' by its letters.
    events = [came(-60, user_id="ann"), came(-60, "search", endpoint="phone-2", user_id="ann"), bought(0, user_id="ann")]
    assert credits(events, "first") == {DIRECT: 1.0}
    assert credits(events, "last") == {SEARCH: 1.0}
