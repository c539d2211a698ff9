"""Charts that look at what is known of endpoints: traits, who may be reached, sessions in the endpoint's own time."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.config import load_settings
from tests.endpoint_rows import update
from tests.lake_rows import Row, at, event, memory_lake

# Three phones come on Monday; two are known: one of Berlin that plays chess and go, one whose zone is no zone.
KNOWN = [
    update("phone-1", channel_type="GCM", address="a", make="Acme", timezone="Europe/Berlin", attributes={"games": ["chess", "go"]}),
    update("phone-2", channel_type="GCM", address="b", make="Acme", timezone="Nowhere/Land", opt_out="ALL"),
    update("mail-1", channel_type="EMAIL", address="c@example.com"),
]
EVENTS = [event(endpoint_id=f"phone-{number}") for number in (1, 2, 3)]


def seen(sql: str, events: Sequence[Row] = EVENTS, updates: Sequence[Row] = KNOWN) -> list[tuple[Any, ...]]:
    with memory_lake(load_settings(), events, endpoint_updates=updates) as con:
        return con.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("chart", "rows"),
    [
        ("make", [("Acme", 2, 3), ("unknown", 1, 3)]),
        # An endpoint with two values counts for both.
        ("attributes", [("games=chess", 1, 3), ("games=go", 1, 3)]),
    ],
)
def test_traits_are_shares_of_the_endpoints_that_were_active(chart: str, rows: list[tuple[str, float, float]]) -> None:
    sql = f"select part, numerator, denominator from kpis.demographics where chart = 'demographics_{chart}' and period = 'day' order by 1"
    assert seen(sql) == rows


def test_endpoint_whose_id_is_sent_in_two_spellings_has_one_voice() -> None:
    # Core knows one endpoint phone-1; the other two that came are phone-2 and phone-3.
    events = [*EVENTS, event(endpoint_id="PHONE-1", event_timestamp=at(1))]
    sql = "select part, numerator, denominator from kpis.demographics where chart = 'demographics_make' and period = 'day' order by 1"
    assert seen(sql, events) == [("Acme", 2, 3), ("unknown", 1, 3)]
    # Activity is of ids as they were sent.
    counts = "select (select count(*) from core.endpoint_days), (select count(*) from core.sessions)"
    assert seen(counts, events) == [(4, 4)]


def test_part_that_nobody_was_of_on_a_day_is_a_share_of_nought() -> None:
    events = [event(), event(endpoint_id="phone-3", event_timestamp=at(days=1)), event(event_timestamp=at(days=2))]
    sql = "select value from kpis.demographics where chart = 'demographics_make' and part = 'Acme' and period = 'day' order by period_date"
    assert seen(sql, events) == [(1,), (0,), (1,)]


def test_targetable_are_those_that_are_active_and_have_not_opted_out() -> None:
    assert seen("select part, value from kpis.campaigns_targetable_endpoints order by part nulls first") == [
        (None, 2),
        ("EMAIL", 1),
        ("GCM", 1),
    ]


def test_endpoint_that_no_message_can_reach_is_not_targetable() -> None:
    # Apps send endpoints of which they know nothing yet, and some only later an address; a message in an app needs none.
    updates = [*KNOWN, update("bare"), update("late", channel_type="GCM"), update("app", channel_type="IN_APP")]
    updates += [update("blank", channel_type="SMS", address="")]
    assert seen("select part, value from kpis.campaigns_targetable_endpoints order by part nulls first", updates=updates) == [
        (None, 3),
        ("EMAIL", 1),
        ("GCM", 1),
        ("IN_APP", 1),
    ]


def test_heat_map_shows_the_endpoint_s_own_time_and_the_app_s_where_that_is_not_known() -> None:
    # Noon in UTC is 13 o'clock in Berlin; of the other two nobody knows, or the zone is none.
    sql = "select part, value from kpis.usage where chart = 'usage_session_heat_map' and period = 'day' order by 1"
    assert seen(sql) == [("1 12", 2), ("1 13", 1)]
