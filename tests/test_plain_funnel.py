"""Over random events, the macro funnel says what plain Python says by the same definition. Moments are minutes after noon of 2026-11-23, UTC."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tests.lake_rows import at, event
from tests.plain_funnel import Attempt, Event, best_attempt
from tests.refilled_lakes import Lakes

DAY = "'2026-11-23', '2026-11-23'"
# Of each subject: minute, name, topic.
Told = list[list[tuple[int, str, str]]]
# Until the first example that shows it; a smaller one would say no more.
SEARCH = settings(max_examples=500, deadline=None, database=None, phases=[Phase.generate])

SUBJECTS = st.lists(
    st.lists(
        st.tuples(
            # A few minutes only, so that moments are shared; the day ends at minute 720.
            st.integers(712, 724),
            st.sampled_from(["a0", "a1", "b", "c"]),
            # Each topic counts its own offsets, so that those are shared too.
            st.sampled_from(["t1", "t2"]),
        ),
        max_size=12,
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def lakes() -> Iterator[Lakes]:
    with ExitStack() as stack:
        yield Lakes(stack)


def matches(one: Event, step: str) -> bool:
    """Step a takes all events whose name begins with a; a[x=1] those named a1 alone."""
    return one.name == "a1" if step == "a[x=1]" else one.name[0] == step


def lines(told: Told) -> list[list[Event]]:
    """The events of each subject, with their records."""
    found = []
    for one in told:
        offsets = {topic: count() for topic in ("t1", "t2")}
        found.append([Event(minute, (topic, next(offsets[topic])), name, minute < 720) for minute, name, topic in one])
    return found


def asked(lakes: Lakes, told: Told, steps: list[str], within: int, order: str) -> list[tuple[int, float | None]]:
    """By step: how many came, and the median of seconds from the start, by SQL."""
    rows: list[dict[str, Any]] = [
        event(
            endpoint_id=f"e{number}",
            event_type=one.name[0],
            attributes={"x": one.name[1:]},
            event_timestamp=at(one.minute),
            _topic_id=one.record[0],
            _offset=one.record[1],
        )
        for number, line in enumerate(lines(told))
        for one in line
    ]
    sql = f"""
        select subject_count, median_secs_from_first
        from funnel({steps}, {DAY}, within := interval '{within} minutes', order_by := '{order}')
    """
    return lakes.ask(sql, rows)


def counted(told: list[list[Event]], steps: Sequence[str], within: int, order: str) -> list[tuple[int, float | None]]:
    """The same by plain Python."""
    attempts: list[Attempt] = [found for line in told if (found := best_attempt(line, steps, within, order, matches)) is not None]
    reached = Counter(step for attempt in attempts for step in range(len(attempt.served)))
    times = [sorted(attempt.minutes()[step] * 60 for attempt in attempts if len(attempt.served) > step) for step in range(len(steps))]
    medians = [(secs[(len(secs) - 1) // 2] + secs[len(secs) // 2]) / 2 if secs else None for secs in times]
    return [(reached[step], medians[step]) for step in range(len(steps))]


@settings(max_examples=60, deadline=None)
@given(
    told=SUBJECTS,
    steps=st.lists(st.sampled_from(["a", "a[x=1]", "b", "c"]), min_size=1, max_size=4),
    within=st.integers(1, 9),
    order=st.sampled_from(["strict", "any"]),
)
def test_random_events_come_as_far_and_as_fast(lakes: Lakes, told: Told, steps: list[str], within: int, order: str) -> None:
    assert asked(lakes, told, steps, within, order) == counted(lines(told), steps, within, order)


def seen(lakes: Lakes, wrong: Any) -> None:
    """The control: a rule that is another in plain Python differs on events that the strategy makes; `find` fails where it does not."""
    find(SUBJECTS, lambda told: asked(lakes, told, ["a", "b"], 4, "strict") != wrong(told), settings=SEARCH)


def test_steps_in_any_order_would_be_seen(lakes: Lakes) -> None:
    seen(lakes, lambda told: counted(lines(told), ["a", "b"], 4, "any"))


@pytest.mark.parametrize("within", [3, 5])
def test_a_window_of_a_minute_more_or_less_would_be_seen(lakes: Lakes, within: int) -> None:
    seen(lakes, lambda told: counted(lines(told), ["a", "b"], within, "strict"))


def test_a_condition_that_is_not_held_would_be_seen(lakes: Lakes) -> None:
    seen(lakes, lambda told: counted(lines(told), ["a[x=1]", "b"], 4, "strict"))


def test_one_subject_for_all_would_be_seen(lakes: Lakes) -> None:
    # Records of two subjects may then have one place: a number before it tells them apart.
    def merged(told: Told) -> list[list[Event]]:
        every = [
            Event(one.minute, (f"{number}{one.record[0]}", one.record[1]), one.name, one.is_on_days)
            for number, line in enumerate(lines(told))
            for one in line
        ]
        return [every]

    seen(lakes, lambda told: counted(merged(told), ["a", "b"], 4, "strict"))


def test_attempts_that_begin_after_the_last_day_would_be_seen(lakes: Lakes) -> None:
    def on_days(told: Told) -> list[list[Event]]:
        return [[Event(one.minute, one.record, one.name, True) for one in line] for line in lines(told)]

    seen(lakes, lambda told: counted(on_days(told), ["a", "b"], 4, "strict"))
