"""Over random events, SQL says of sessions, retention and cohorts what plain Python says by the same definitions."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tests import plain_answers
from tests.lake_rows import event
from tests.plain_answers import Asked
from tests.refilled_lakes import Lakes

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"]
BUY = "_monetization.purchase"
TYPES = ["screen.view", "sign_up", BUY, "_campaign.send"]

# Around the two changes of Europe's and New York's clocks, at the full hours that are borders of days somewhere, and a millisecond beside them.
START = datetime(2026, 10, 17, tzinfo=UTC)
MOMENTS = st.builds(
    lambda hours, millis: START + timedelta(hours=hours, milliseconds=millis), st.integers(0, 21 * 24), st.sampled_from([-1, 0, 1])
)
# Within two hours and at steps of the gap, or a millisecond beside them: sessions that touch.
CLOSE_MOMENTS = st.builds(
    lambda steps, millis: START + timedelta(minutes=15 * steps, milliseconds=millis), st.integers(0, 12), st.sampled_from([-1, 0, 1])
)
SESSIONS = "select endpoint_id, session_id, started_at, stopped_at, event_count from core.sessions"
COHORTS = "cohort_date, period_no, cohort_size, buyer_count, purchase_count, revenue, cumulative_revenue, is_complete"
DAYS = st.dates(date(2026, 10, 17), date(2026, 11, 9))


def rows(moments: st.SearchStrategy[datetime]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Events of few endpoints and users, some without; a user may be called as an endpoint is."""
    one = st.builds(
        event,
        event_type=st.sampled_from(TYPES),
        event_timestamp=moments,
        endpoint_id=st.sampled_from(["a", "b", "c", "", None]),
        user_id=st.sampled_from(["a", "u", "", None]),
        session_id=st.sampled_from(["s1", "s2", "", None]),
        metrics=st.sampled_from([{}, {"_item_price": 2.5}, {"_item_price": -1.0, "_quantity": 2.0}]),
    )
    return st.lists(one, max_size=25)


def arguments() -> st.SearchStrategy[Asked]:
    """Arguments that are right."""

    def build(days: list[date], period: str, subject: str, today: date, zone: str) -> Asked:
        return Asked(min(days), max(days), period, subject, today, ZoneInfo(zone))

    days = st.lists(DAYS, min_size=2, max_size=2)
    return st.builds(
        build, days, st.sampled_from(["day", "week", "month"]), st.sampled_from(["endpoint", "user"]), DAYS, st.sampled_from(ZONES)
    )


@pytest.fixture(scope="module")
def lakes() -> Iterator[Lakes]:
    with ExitStack() as stack:
        yield Lakes(stack)


def call(macro: str, asked: Asked, **arguments: str | None) -> str:
    """A call of a macro with these arguments."""
    given = {"period": asked.period, "subject": asked.subject, "today": str(asked.today)}
    given |= {name: value for name, value in arguments.items() if value is not None}
    named = "".join(f", {name} := '{value}'" for name, value in given.items())
    return f"{macro}('{asked.from_date}', '{asked.to_date}'{named})"


@settings(max_examples=100, deadline=None)
@given(events=st.one_of(rows(CLOSE_MOMENTS), rows(MOMENTS)))
def test_sessions_are_those_of_plain_python(lakes: Lakes, events: list[dict[str, Any]]) -> None:
    found = lakes.ask(SESSIONS, events)
    assert len(found) == len(set(found))
    assert set(found) == plain_answers.sessions(events)


@settings(max_examples=150, deadline=None)
@given(
    events=rows(MOMENTS),
    asked=arguments(),
    kind=st.sampled_from(["first_time", "recurring"]),
    start_event=st.sampled_from([None, *TYPES]),
    return_event=st.sampled_from([None, *TYPES]),
)
def test_retention_is_that_of_plain_python(
    lakes: Lakes, events: list[dict[str, Any]], asked: Asked, kind: str, start_event: str | None, return_event: str | None
) -> None:
    sql = call("retention", asked, kind=kind, start_event=start_event, return_event=return_event)
    expected = plain_answers.retention(events, asked, kind, start_event, return_event)
    assert lakes.ask(f"from {sql}", events, asked.zone.key) == expected


@settings(max_examples=100, deadline=None)
@given(events=rows(MOMENTS), asked=arguments())
def test_cohorts_are_those_of_plain_python(lakes: Lakes, events: list[dict[str, Any]], asked: Asked) -> None:
    # Prices are halves: their sums are exact, in whatever order.
    assert lakes.ask(f"select {COHORTS} from {call('cohorts', asked)}", events, asked.zone.key) == plain_answers.cohorts(events, asked)


# Until the first example that shows it; a smaller one would say no more.
SEARCH = settings(max_examples=300, deadline=None, database=None, phases=[Phase.generate])


def test_a_gap_of_29_minutes_would_be_seen(lakes: Lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a rule that is another in plain Python differs on events that the strategies make; `find` fails where it does not."""
    monkeypatch.setattr(plain_answers, "GAP", timedelta(minutes=29))
    find(rows(CLOSE_MOMENTS), lambda events: set(lakes.ask(SESSIONS, events)) != plain_answers.sessions(events), settings=SEARCH)


ASKED = Asked(date(2026, 10, 17), date(2026, 11, 9), "day", "endpoint", date(2026, 12, 1), ZoneInfo("UTC"))
OTHERS: list[dict[str, Any]] = [
    {"subject": "user"},
    {"to_date": date(2026, 10, 30)},
    {"zone": ZoneInfo("Pacific/Auckland")},
    {"period": "week"},
    {"today": date(2026, 11, 1)},
]


def test_events_of_messages_that_opened_sessions_would_be_seen(lakes: Lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_answers, "MESSAGES", ("_email.",))
    find(rows(CLOSE_MOMENTS), lambda events: set(lakes.ask(SESSIONS, events)) != plain_answers.sessions(events), settings=SEARCH)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_another_subject_window_zone_or_period_of_retention_would_be_seen(lakes: Lakes, other: dict[str, Any]) -> None:
    def differs(events: list[dict[str, Any]]) -> bool:
        return lakes.ask(f"from {call('retention', ASKED)}", events) != plain_answers.retention(
            events, replace(ASKED, **other), "first_time"
        )

    find(rows(MOMENTS), differs, settings=SEARCH)


def test_cohorts_of_every_start_would_be_seen_where_the_first_is_asked_for(lakes: Lakes) -> None:
    def differs(events: list[dict[str, Any]]) -> bool:
        return lakes.ask(f"from {call('retention', ASKED, kind='first_time')}", events) != plain_answers.retention(
            events, ASKED, "recurring"
        )

    find(rows(MOMENTS), differs, settings=SEARCH)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_another_subject_window_zone_or_period_of_cohorts_would_be_seen(lakes: Lakes, other: dict[str, Any]) -> None:
    def differs(events: list[dict[str, Any]]) -> bool:
        found = lakes.ask(f"select {COHORTS} from {call('cohorts', ASKED)}", events)
        return found != plain_answers.cohorts(events, replace(ASKED, **other))

    find(rows(MOMENTS), differs, settings=SEARCH)
