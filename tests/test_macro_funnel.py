"""The macro funnel: how many come how far. Moments are minutes after noon of Monday 2026-11-23, UTC."""

from collections.abc import Sequence
from typing import Any

import duckdb
import pytest

from pipeline.config import load_settings
from tests.lake_rows import Row, at, event
from tests.macro_calls import ask

DAY = "'2026-11-23', '2026-11-23'"


def done(*steps: tuple[str, float], endpoint: str = "phone-1", **given: Any) -> list[dict[str, Any]]:
    """Events of an endpoint: their type, and the minutes after noon."""
    return [event(event_type=kind, endpoint_id=endpoint, event_timestamp=at(minute), **given) for kind, minute in steps]


def counts(events: Sequence[Row], steps: str, more: str = "") -> list[int]:
    """How many subjects reach each step, on the day of the events."""
    return [row[0] for row in ask(f"select subject_count from funnel({steps}, {DAY}{more})", events)]


def refusal(call: str) -> str:
    """What a call over an empty lake raises."""
    with pytest.raises(duckdb.Error) as caught:
        ask(f"from funnel({call})")
    return str(caught.value)


class TestSteps:
    def test_three_endpoints_come_three_different_ways(self) -> None:
        events = [
            *done(("open", 0), ("cart", 2), ("buy", 6)),
            *done(("open", 0), ("cart", 4), endpoint="phone-2"),
            *done(("open", 0), endpoint="phone-3"),
        ]
        rows = ask(f"from funnel(['open', 'cart', 'buy'], {DAY})", events)
        # Of three, two, then one. To the cart after 2 and 4 minutes, the median is 3; from cart to purchase 4 minutes, 6 from the start.
        assert rows == [
            (None, 1, "open", 3, 1.0, None, None, 0.0),
            (None, 2, "cart", 2, pytest.approx(2 / 3), pytest.approx(2 / 3), 180.0, 180.0),
            (None, 3, "buy", 1, pytest.approx(1 / 3), 0.5, 240.0, 360.0),
        ]

    def test_empty_lake_is_zeros_for_each_step(self) -> None:
        assert ask(f"from funnel(['open', 'buy'], {DAY})") == [
            (None, 1, "open", 0, None, None, None, None),
            (None, 2, "buy", 0, None, None, None, None),
        ]

    def test_a_subject_counts_once_however_often_it_comes(self) -> None:
        assert counts(done(("open", 0), ("buy", 1), ("open", 2), ("buy", 3)), "['open', 'buy']") == [1, 1]

    def test_a_step_filters_by_attributes_and_metrics(self) -> None:
        events = [
            *done(("open", 0)),
            *done(("buy", 1), attributes={"category": "shoes"}, metrics={"price": 10.0}),
            *done(("open", 0), endpoint="phone-2"),
            *done(("buy", 1), endpoint="phone-2", attributes={"category": "hats"}, metrics={"price": 9.0}),
        ]
        assert counts(events, "['open', 'buy[category=shoes|boots]']") == [2, 1]
        assert counts(events, "['open', 'buy[price>=10]']") == [2, 1]
        assert counts(events, "['open', 'buy[price>=9]']") == [2, 2]

    def test_events_between_the_steps_change_nothing(self) -> None:
        assert counts(done(("open", 0), ("look", 1), ("look", 2), ("buy", 3)), "['open', 'buy']") == [1, 1]

    def test_a_step_before_the_first_is_none(self) -> None:
        assert counts(done(("buy", 0), ("open", 1)), "['open', 'buy']") == [1, 0]

    def test_one_event_serves_one_step(self) -> None:
        assert counts(done(("open", 0)), "['open', 'open']") == [1, 0]
        assert counts(done(("open", 0), ("open", 1)), "['open', 'open']") == [1, 1]

    def test_the_same_event_twice_at_one_moment_is_two_events(self) -> None:
        assert counts(done(("open", 0), ("open", 0)), "['open', 'open', 'open']") == [1, 1, 0]

    def test_at_one_moment_events_stand_in_the_order_of_their_records(self) -> None:
        assert counts(done(("open", 0), ("buy", 0)), "['open', 'buy']") == [1, 1]
        assert counts(done(("buy", 0), ("open", 0)), "['open', 'buy']") == [1, 0]

    def test_records_of_two_topics_with_one_offset_are_two_events(self) -> None:
        # At one millisecond, both the first record of their topic's only partition; a stands before b.
        first, second = (event(event_type=kind, _topic_id=topic, _offset=0) for kind, topic in (("open", "a"), ("buy", "b")))
        assert counts([first, second], "['open', 'buy']") == [1, 1]
        assert counts([second, first], "['open', 'buy']") == [1, 1]
        assert counts([first | {"_topic_id": "c"}, second], "['open', 'buy']") == [1, 0]
        assert counts([first, first | {"_topic_id": "b"}], "['open', 'open']") == [1, 1]

    def test_ten_steps_are_walked(self) -> None:
        steps = [f"s{number}" for number in range(10)]
        assert counts(done(*((step, number) for number, step in enumerate(steps))), str(steps)) == [1] * 10


class TestWindow:
    def test_a_step_at_exactly_the_windows_end_counts_and_a_millisecond_later_does_not(self) -> None:
        within = ", within := interval '30 minutes'"
        assert counts(done(("open", 0), ("buy", 30)), "['open', 'buy']", within) == [1, 1]
        late = [*done(("open", 0)), event(event_type="buy", event_timestamp=at(30, millis=1))]
        assert counts(late, "['open', 'buy']", within) == [1, 0]

    def test_the_window_is_counted_from_the_first_step(self) -> None:
        events = done(("open", 0), ("cart", 20), ("buy", 40))
        assert counts(events, "['open', 'cart', 'buy']", ", within := '30 minutes'") == [1, 1, 0]

    def test_a_later_beginning_rescues_what_the_first_is_too_early_for(self) -> None:
        events = done(("open", 0), ("open", 20), ("buy", 40))
        assert counts(events, "['open', 'buy']", ", within := '30 minutes'") == [1, 1]

    def test_of_attempts_that_get_as_far_the_first_to_get_there_counts_and_of_those_the_last_to_begin(self) -> None:
        # Begun at 0, 3 and 10; at 5 the first is done, last begun at 3: 2 minutes. The attempt of 10 takes 1 minute, but is later.
        events = done(("open", 0), ("open", 3), ("buy", 5), ("open", 10), ("buy", 11))
        assert ask(f"select median_secs_from_first from funnel(['open', 'buy'], {DAY}) where step_no = 2", events) == [(120.0,)]

    def test_an_attempt_that_gets_further_counts_before_one_that_is_earlier(self) -> None:
        events = done(("open", 0), ("cart", 1), ("open", 200), ("cart", 203), ("buy", 204))
        sql = f"select median_secs_from_first from funnel(['open', 'cart', 'buy'], {DAY}, within := '1 hour')"
        assert ask(sql, events) == [(0.0,), (180.0,), (240.0,)]

    def test_attempts_begin_on_the_days_and_end_after_them(self) -> None:
        evening = 12 * 60
        events = [
            *done(("open", -evening), ("buy", -evening + 1)),
            *done(("open", -evening - 1), ("buy", -evening + 1), endpoint="phone-2"),
            *done(("open", evening - 1), ("buy", evening + 1), endpoint="phone-3"),
            *done(("open", evening), ("buy", evening + 1), endpoint="phone-4"),
        ]
        # Midnight belongs to the day that begins: phone-1 and phone-3 began on the 23rd, phone-2 on the 22nd, phone-4 on the 24th.
        assert counts(events, "['open', 'buy']") == [2, 2]


class TestAnyOrder:
    ANY = ", order_by := 'any'"

    def test_steps_count_in_whatever_order(self) -> None:
        events = done(("buy", 0), ("cart", 1), ("open", 2))
        assert counts(events, "['open', 'cart', 'buy']", self.ANY) == [1, 1, 1]
        assert counts(events, "['open', 'cart', 'buy']") == [1, 0, 0]

    def test_a_step_needs_those_before_it_in_the_list(self) -> None:
        assert counts(done(("open", 0), ("buy", 1)), "['open', 'cart', 'buy']", self.ANY) == [1, 0, 0]
        assert counts(done(("cart", 0), ("buy", 1)), "['open', 'cart', 'buy']", self.ANY) == [0, 0, 0]

    def test_a_step_that_stands_twice_needs_two_events(self) -> None:
        assert counts(done(("look", 0), ("buy", 1)), "['look', 'buy', 'look']", self.ANY) == [1, 1, 0]
        assert counts(done(("look", 0), ("buy", 1), ("look", 2)), "['look', 'buy', 'look']", self.ANY) == [1, 1, 1]

    def test_an_event_that_matches_two_steps_serves_the_first(self) -> None:
        shoes = done(("look", 0), attributes={"of": "shoes"})
        hats = done(("look", 1), attributes={"of": "hats"})
        assert counts(shoes, "['look[of=shoes]', 'look']", self.ANY) == [1, 0]
        assert counts([*shoes, *hats], "['look[of=shoes]', 'look']", self.ANY) == [1, 1]

    def test_the_window_spans_from_the_earliest_event_to_the_last(self) -> None:
        within = f"{self.ANY}, within := '30 minutes'"
        assert counts(done(("buy", 0), ("open", 30)), "['open', 'buy']", within) == [1, 1]
        assert counts(done(("buy", 0), ("open", 31)), "['open', 'buy']", within) == [1, 0]

    def test_an_attempt_that_begins_before_the_days_counts_with_what_lies_on_them(self) -> None:
        midnight = -12 * 60
        assert counts(done(("buy", midnight - 1), ("open", midnight)), "['open', 'buy']", self.ANY) == [1, 0]

    def test_an_attempt_whose_used_events_all_lie_after_the_days_is_none(self) -> None:
        # The purchase of 23:59 alone lies on the day; without the cart it serves no step.
        midnight = 12 * 60
        assert counts(done(("buy", midnight - 1), ("open", midnight + 1)), "['open', 'cart', 'buy']", self.ANY) == [0, 0, 0]

    def test_time_to_a_step_is_until_it_and_all_before_it_were_done(self) -> None:
        events = done(("buy", 0), ("cart", 1), ("open", 5))
        sql = f"select median_secs_from_previous, median_secs_from_first from funnel(['open', 'cart', 'buy'], {DAY}{self.ANY})"
        # All three were done when the last, the first step, was: 5 minutes after the beginning.
        assert ask(sql, events) == [(None, 300.0), (0.0, 300.0), (0.0, 300.0)]


class TestSubjects:
    def test_endpoints_of_two_apps_are_two_subjects(self) -> None:
        events = [*done(("open", 0)), *done(("buy", 1), app_id="blog"), *done(("look", 0), ("buy", 1), app_id="news")]
        assert counts(events, "['open', 'buy']") == [1, 0]
        assert counts(events, "['buy']") == [2]
        assert counts(events, "['buy']", ", app := 'blog'") == [1]

    def test_a_user_goes_on_at_another_endpoint(self) -> None:
        events = [*done(("open", 0), user_id="ann"), *done(("buy", 1), endpoint="phone-2", user_id="ann")]
        assert counts(events, "['open', 'buy']") == [1, 0]
        assert counts(events, "['open', 'buy']", ", subject := 'user'") == [1, 1]

    def test_an_endpoint_without_a_user_is_its_own_and_no_user_of_that_name(self) -> None:
        events = [*done(("open", 0), endpoint="ann"), *done(("buy", 1), endpoint="phone-2", user_id="ann")]
        assert counts(events, "['open', 'buy']", ", subject := 'user'") == [1, 0]

    def test_events_without_an_endpoint_are_nobodys(self) -> None:
        assert counts(
            [event(event_type="open", endpoint_id=None, user_id="ann"), event(event_type="open", endpoint_id="")], "['open']"
        ) == [0]

    def test_a_mail_counts_when_it_was_opened_not_when_it_was_sent(self) -> None:
        opened = event(event_type="_email.open", event_timestamp=at(0), arrival_timestamp=at(10))
        assert counts([opened, *done(("buy", 5))], "['_email.open', 'buy']") == [1, 0]
        assert counts([opened, *done(("buy", 15))], "['_email.open', 'buy']") == [1, 1]


class TestBreakdown:
    def test_each_value_has_all_steps_and_its_own_rates(self) -> None:
        events = [
            *done(("open", 0), platform="ios"),
            # The value is that of the event that the attempt begins with.
            *done(("buy", 1), platform="web"),
            *done(("open", 0), endpoint="phone-2", platform="android"),
            *done(("open", 0), endpoint="phone-3", platform="ios"),
            *done(("open", 0), endpoint="phone-4"),
        ]
        sql = f"select by_value, step_no, subject_count, rate_from_first from funnel(['open', 'buy'], {DAY}, by := 'platform')"
        assert sorted(ask(sql, events), key=str) == sorted(
            [("android", 1, 1, 1.0), ("android", 2, 0, 0.0), ("ios", 1, 2, 1.0), ("ios", 2, 1, 0.5), (None, 1, 1, 1.0), (None, 2, 0, 0.0)],
            key=str,
        )

    def test_what_is_no_column_is_an_attribute(self) -> None:
        events = [*done(("open", 0), attributes={"plan": "gold"}), *done(("buy", 1))]
        assert ask(f"select by_value, subject_count from funnel(['open', 'buy'], {DAY}, by := 'plan')", events) == [
            ("gold", 1),
            ("gold", 1),
        ]


class TestDaysOfAZone:
    def test_the_day_on_which_clocks_go_back_has_25_hours(self) -> None:
        # In Berlin 2026-10-25 is from 22:00 UTC of the 24th to 23:00 UTC of the 25th.
        minute = -(29 * 24 + 12) * 60
        events = [
            *done(("open", minute - 121), endpoint="before"),
            *done(("open", minute - 120), endpoint="first"),
            *done(("open", minute - 119), endpoint="second"),
            *done(("open", minute + 23 * 60 - 1), endpoint="last"),
            *done(("open", minute + 23 * 60), endpoint="after"),
        ]
        sql = "select subject_count from funnel(['open'], '2026-10-25', '2026-10-25')"
        assert ask(sql, events, load_settings(report_zone="Europe/Berlin")) == [(3,)]


class TestRefusals:
    def test_steps_must_be_there(self) -> None:
        assert "at least one step" in refusal(f"[], {DAY}")
        assert "at least one step" in refusal(f"null, {DAY}")

    def test_a_window_is_at_least_a_millisecond(self) -> None:
        # Less would be none, and the funnel without a row.
        assert "within is '00:00:00.000999'; expected" in refusal(f"['open'], {DAY}, within := interval '999 microseconds'")
        soon = [*done(("open", 0)), event(event_type="buy", event_timestamp=at(0, millis=1))]
        assert counts(soon, "['open', 'buy']", ", within := interval '1 millisecond'") == [1, 1]
        assert counts(
            [*done(("open", 0)), event(event_type="buy", event_timestamp=at(0, millis=2))], "['open', 'buy']", ", within := '1 millisecond'"
        ) == [1, 0]

    def test_a_window_must_not_be_negative_and_must_be_one(self) -> None:
        assert "within" in refusal(f"['open'], {DAY}, within := interval '-1 day'")
        assert "within" in refusal(f"['open'], {DAY}, within := 'soon'")

    def test_from_must_not_be_after_to(self) -> None:
        assert "from_date" in refusal("['open'], '2026-11-24', '2026-11-23'")
        assert "from_date" in refusal("['open'], 'yesterday', '2026-11-23'")

    def test_order_and_subject_are_of_a_list(self) -> None:
        assert "'strict', 'any'" in refusal(f"['open'], {DAY}, order_by := 'loose'").replace("strict, any", "'strict', 'any'")
        assert "subject" in refusal(f"['open'], {DAY}, subject := 'device'")
