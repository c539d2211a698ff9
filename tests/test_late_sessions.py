"""An event that comes late changes the sessions that it touches, and no other."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from tests.lake_rows import Row, at, event
from tests.message_rows import ask

SESSIONS = "select endpoint_id, session_id, event_count, started_at, stopped_at from core.sessions"
LATE = at(days=3)


def sessions_of(events: Sequence[Row]) -> set[tuple[Any, ...]]:
    return set(ask(SESSIONS, events))


def late(moment: datetime, **given: Any) -> Row:
    """An event of `moment` that was appended three days afterwards."""
    return event(event_timestamp=moment, _appended_at=LATE, **given)


def derived(moment: datetime) -> str:
    return f"gap:{int(moment.timestamp() * 1000)}"


# Of phone-1 three sessions by silence (0 to 10, 60 to 65, 200) and one of the client; phone-2 has one at the same time.
EVENTS = [event(event_timestamp=at(minute)) for minute in (0, 10, 60, 65, 200)]
EVENTS += [event(event_timestamp=at(minute), session_id="s1") for minute in (300, 400)]
EVENTS += [event(event_timestamp=at(minute), endpoint_id="phone-2") for minute in (0, 60)]
FIRST = ("phone-1", derived(at(0)), 2, at(0), at(10))
SECOND = ("phone-1", derived(at(60)), 2, at(60), at(65))
THIRD = ("phone-1", derived(at(200)), 1, at(200), at(200))
CLIENTS = ("phone-1", "s1", 2, at(300), at(400))
BEFORE = {FIRST, SECOND, THIRD, CLIENTS, *[("phone-2", derived(at(minute)), 1, at(minute), at(minute)) for minute in (0, 60)]}


def changed_by(*events: Row) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """Sessions that are there no more, and sessions that are new."""
    after = sessions_of([*EVENTS, *events])
    return BEFORE - after, after - BEFORE


def test_before_anything_comes_late_the_sessions_are_these() -> None:
    assert sessions_of(EVENTS) == BEFORE


@pytest.mark.parametrize(
    ("minute", "millis", "gone", "new"),
    [
        pytest.param(5, 0, {FIRST}, {("phone-1", derived(at(0)), 3, at(0), at(10))}, id="falls into a session"),
        # 28 minutes after the first session, 22 before the second: the two are one.
        pytest.param(38, 0, {FIRST, SECOND}, {("phone-1", derived(at(0)), 5, at(0), at(65))}, id="closes a gap"),
        # 30 minutes after 10 exactly, 20 before 60.
        pytest.param(40, 0, {FIRST, SECOND}, {("phone-1", derived(at(0)), 5, at(0), at(65))}, id="closes a gap at its very edge"),
        # A millisecond more: it belongs to the second session alone, which starts earlier now.
        pytest.param(40, 1, {SECOND}, {("phone-1", derived(at(40, 1)), 3, at(40, 1), at(65))}, id="a millisecond beyond the edge"),
        pytest.param(95, 0, {SECOND}, {("phone-1", derived(at(60)), 3, at(60), at(95))}, id="prolongs a session by exactly the gap"),
        pytest.param(130, 0, set(), {("phone-1", derived(at(130)), 1, at(130), at(130))}, id="touches none"),
        # The event without an id follows the client's session.
        pytest.param(410, 0, {CLIENTS}, {("phone-1", "s1", 3, at(300), at(410))}, id="joins the session before it"),
    ],
)
def test_late_event_reopens_only_what_it_touches(minute: float, millis: int, gone: set[tuple[Any, ...]], new: set[tuple[Any, ...]]) -> None:
    assert changed_by(late(at(minute, millis))) == (gone, new)


def test_late_event_of_a_client_s_session_prolongs_that_session_however_far() -> None:
    assert changed_by(late(at(250), session_id="s1")) == ({CLIENTS}, {("phone-1", "s1", 3, at(250), at(400))})


def test_late_event_with_another_session_takes_over_the_events_without_one_that_follow_it() -> None:
    # s2 at 5 comes between 0 and 10: what followed 0 now follows s2.
    gone, new = changed_by(late(at(5), session_id="s2"))
    assert gone == {FIRST}
    assert new == {("phone-1", derived(at(0)), 1, at(0), at(0)), ("phone-1", "s2", 2, at(5), at(10))}


def test_late_stop_that_comes_twice_changes_one_session() -> None:
    stops = [late(at(12), event_type="_session.stop", event_id="same"), late(at(12), event_type="_session.stop", event_id="same")]
    assert changed_by(*stops) == ({FIRST}, {("phone-1", derived(at(0)), 4, at(0), at(12))})


def test_late_event_of_another_endpoint_or_app_changes_no_session_of_this_one() -> None:
    events = [late(at(5), endpoint_id="phone-3"), late(at(5), app_id="blog", endpoint_id="phone-4")]
    gone, new = changed_by(*events)
    assert (gone, {endpoint for endpoint, *_ in new}) == (set(), {"phone-3", "phone-4"})


def test_late_message_and_late_event_without_an_endpoint_change_nothing() -> None:
    assert changed_by(late(at(5), event_type="_email.open"), late(at(5), endpoint_id=None)) == (set(), set())


def test_in_time_or_late_the_answer_is_the_same() -> None:
    events = [*EVENTS, late(at(38))]
    assert sessions_of(events) == sessions_of([*EVENTS, event(event_timestamp=at(38))]) == sessions_of(events[::-1])


def test_events_of_a_session_bear_its_id_and_there_is_one_row_for_each_activity_event() -> None:
    sql = "select session_id, client_session_id, event_type, attributes['a'] from core.session_events order by event_timestamp"
    events = [
        event(event_timestamp=at(0), attributes={"a": "b"}),
        event(event_timestamp=at(1), session_id="s1"),
        event(event_type="_email.open"),
    ]
    assert ask(sql, events) == [(derived(at(0)), None, "screen.view", "b"), ("s1", "s1", "screen.view", None)]
    counted = "select count(*) from core.session_events union all select sum(event_count)::bigint from core.sessions"
    assert ask(counted, EVENTS) == [(9,), (9,)]
