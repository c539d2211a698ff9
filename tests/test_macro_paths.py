"""The macro paths: what sessions did, step by step. Moments are minutes after noon of 2026-11-23, UTC."""

from collections.abc import Sequence
from typing import Any

import duckdb
import pytest

from pipeline.config import load_settings
from tests.lake_rows import Row, at, event
from tests.macro_calls import ask

DAY = "'2026-11-23', '2026-11-23'"


def session(name: str, *kinds: str, endpoint: str = "phone-1", minute: float = 0, **given: Any) -> list[dict[str, Any]]:
    """A session with an event of each kind, a minute apart."""
    return [
        event(event_type=kind, endpoint_id=endpoint, session_id=name, event_timestamp=at(minute + number), **given)
        for number, kind in enumerate(kinds)
    ]


def paths(events: Sequence[Row], more: str = "") -> list[tuple[str, int]]:
    """Each path, its steps joined by arrows, and how many sessions took it."""
    return ask(f"select array_to_string(path, ' > '), session_count from paths({DAY}{more})", events)


def test_three_sessions_of_two_endpoints_take_two_paths() -> None:
    events = [
        *session("s1", "home", "cart", "buy"),
        *session("s2", "home", "cart", "buy", endpoint="phone-2"),
        *session("s3", "home", "home", "help", minute=100),
    ]
    # Of three sessions two bought, in 2 minutes each; home twice is one step, and help came 2 minutes after the first of them.
    assert ask(f"from paths({DAY})", events) == [
        (["home", "cart", "buy"], 3, 2, 2, pytest.approx(2 / 3), 120.0),
        (["home", "help"], 2, 1, 1, pytest.approx(1 / 3), 120.0),
    ]


def test_the_same_again_is_a_step_only_after_another() -> None:
    assert paths(session("s1", "home", "home", "cart", "home")) == [("home > cart > home", 1)]


def test_records_of_two_topics_stand_in_the_order_of_their_topics() -> None:
    # At one millisecond, each in its topic's only partition: a stands before b, whatever the offsets.
    home, buy = (
        event(event_type="home", session_id="s1", _topic_id="a", _offset=1),
        event(event_type="buy", session_id="s1", _topic_id="b", _offset=0),
    )
    assert paths([home, buy]) == paths([buy, home]) == [("home > buy", 1)]


def test_a_path_begins_with_the_first_event_that_is_asked_for() -> None:
    events = [*session("s1", "ad", "home", "cart", "home", "buy"), *session("s2", "ad", "cart", minute=100)]
    assert paths(events, ", start_event := 'home'") == [("home > cart > home > buy", 1)]


def test_a_path_ends_with_the_first_such_event_after_its_beginning() -> None:
    events = [*session("s1", "buy", "home", "cart", "buy", "help", "buy"), *session("s2", "home", "cart", minute=100)]
    assert paths(events, ", end_event := 'buy'") == [("buy", 1)]
    assert paths(events, ", start_event := 'home', end_event := 'buy'") == [("home > cart > buy", 1)]


def test_of_a_long_path_the_first_steps_are_shown_and_with_an_end_the_last() -> None:
    events = session("s1", "a", "b", "c", "d", "e", "f")
    assert paths(events) == [("a > b > c > d > e", 1)]
    assert paths(events, ", steps_max := 2") == [("a > b", 1)]
    assert paths(events, ", end_event := 'e', steps_max := 2") == [("d > e", 1)]


def test_a_label_belongs_to_the_name_of_a_step() -> None:
    events = [
        *session("s1", "view", attributes={"screen": "home"}),
        *session("s1", "view", attributes={"screen": "cart"}, minute=1),
        *session("s1", "buy", minute=2),
    ]
    assert paths(events) == [("view > buy", 1)]
    assert paths(events, ", label := 'screen'") == [("view[screen=home] > view[screen=cart] > buy", 1)]
    assert paths(events, ", start_event := 'view[screen=cart]'") == [("view > buy", 1)]


def test_at_one_moment_events_stand_in_the_order_of_their_records() -> None:
    first, second = event(event_type="a", session_id="s", _offset=7), event(event_type="b", session_id="s", _offset=8)
    assert paths([second, first]) == [("a > b", 1)]


def test_a_session_by_silence_is_a_session() -> None:
    events = [event(event_type=kind, event_timestamp=at(minute)) for kind, minute in [("a", 0), ("b", 30), ("c", 60.1)]]
    # Exactly 30 minutes lie between a and b, more between b and c.
    assert paths(events) == [("a > b", 1), ("c", 1)]


def test_messages_are_no_steps() -> None:
    assert paths([*session("s1", "a", "b"), event(event_type="_campaign.send", event_timestamp=at(0.5))]) == [("a > b", 1)]


def test_a_session_counts_on_the_day_it_starts_in_the_apps_zone() -> None:
    # It starts at 23:59 UTC, which is 0:59 of the 24th in Berlin.
    events = session("s1", "a", "b", minute=12 * 60 - 1)
    assert paths(events) == [("a > b", 1)]
    sql = f"select count(*) from paths({DAY})"
    assert ask(sql, events, load_settings(report_zone="Europe/Berlin")) == [(0,)]


def test_apps_are_told_apart() -> None:
    events = [*session("s1", "a"), *session("s1", "b", app_id="blog")]
    assert paths(events) == [("a", 1), ("b", 1)]
    assert paths(events, ", app := 'blog'") == [("b", 1)]


def test_empty_lake_has_no_paths() -> None:
    assert paths([]) == []


def test_wrong_arguments_are_errors_that_say_what_was_expected() -> None:
    for call, expected in {
        f"{DAY}, steps_max := 0": "steps_max is '0'; expected a number of steps, at least 1",
        f"{DAY}, steps_max := 'all'": "steps_max is 'all'",
        "'2026-11-24', '2026-11-23'": "from_date",
        f"{DAY}, start_event := '[x]'": "cannot be read",
        f"{DAY}, end_event := ''": "cannot be read",
    }.items():
        with pytest.raises(duckdb.Error, match=expected):
            ask(f"from paths({call})")
