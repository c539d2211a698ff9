"""The views that others are made of, by themselves: staging, the steps of merging endpoints, the numbers under the charts of a page."""

from datetime import date
from typing import Any

import pytest

from pipeline.config import load_settings
from schemas.tables import load_table
from tests.endpoint_rows import delete, update
from tests.lake_rows import at, dead_letter, event, memory_lake, purchase
from tests.message_rows import ask, mail

STAGING = ("events", "endpoint_updates", "endpoint_states", "dead_letters", "dead_letter_replays", "imports")
MON, TUE = date(2026, 11, 23), date(2026, 11, 24)
# Monday: a view on phone-1, an iPhone; two mugs at 5 EUR on phone-2. Tuesday: a view on phone-1.
LAKE = [event(platform="ios"), purchase(5, 2, endpoint_id="phone-2"), event(platform="ios", event_timestamp=at(days=1))]
# Two e-mails of Monday: one is delivered, one comes back.
MAILS = [mail("send"), mail("delivered", 6), mail("softbounce", 6, message_id="m2")]


def test_staging_has_the_columns_and_the_rows_of_the_tables() -> None:
    states = [{"kind": "endpoint", "app_id": "shop", "endpoint_key": "a", "endpoint_id": "A"}]
    replay = {"replay_id": "r", "chunk_id": "c", "step": "begun", "origin_topic_id": "t", "origin_partition": 0, "origin_offset": 1}
    tables: dict[str, Any] = {"dead_letters": [dead_letter()], "endpoint_updates": [update()], "endpoint_states": states}
    with memory_lake(load_settings(), [event()], dead_letter_replays=[replay], **tables) as con:
        counts = {}
        for name in STAGING:
            found = con.execute(f"from staging.{name}")
            assert [column[0] for column in found.description] == load_table(name).column_names, name
            counts[name] = len(found.fetchall())
    assert counts == {name: 0 if name == "imports" else 1 for name in STAGING}


def test_merging_says_what_updates_touched_and_the_states_are_that_over_the_snapshot() -> None:
    known: list[dict[str, Any]] = [
        {"kind": "endpoint", "app_id": "shop", "endpoint_key": key, "endpoint_id": key.upper(), "endpoint_status": "ACTIVE"} for key in "cd"
    ]
    known += [{"kind": "user", "app_id": "shop", "user_id": "bob", "user_attributes": {"y": ["2"]}}]
    # A and b are new, b goes again, and so does d, which the snapshot has; nobody says anything of c and bob.
    said = [update("A", user_id="ann", user_attributes={"x": ["1"]}), update("b"), delete("b"), delete("D")]
    with memory_lake(load_settings(), endpoint_updates=said, endpoint_states=known) as con:
        tail = con.execute("select update_number, lower(endpoint_id) from core.endpoint_tail order by 1").fetchall()
        facts = con.execute("select endpoint_key, endpoint_id, opt_out from core.endpoint_facts order by 1").fetchall()
        merged = con.execute("select kind, coalesce(endpoint_key, user_id), is_deleted from core.endpoint_merges order by all").fetchall()
        states = con.execute("select kind, coalesce(endpoint_key, user_id), endpoint_id from core.endpoint_states order by all").fetchall()
        users = con.execute("select app_id, user_id, user_attributes from core.user_attributes order by all").fetchall()
    assert tail == [(1, "a"), (2, "b"), (3, "b"), (4, "d")]
    assert facts == [("a", "A", "NONE"), ("c", "C", "NONE")]
    assert merged == [("endpoint", "a", False), ("endpoint", "b", True), ("endpoint", "d", True), ("user", "ann", False)]
    assert states == [("endpoint", "a", "A"), ("endpoint", "c", "C"), ("user", "ann", None), ("user", "bob", None)]
    assert users == [("shop", "ann", {"x": ["1"]}), ("shop", "bob", {"y": ["2"]})]


# By page: numerator and denominator of a chart and part, by period. The 23rd is the Monday of the week too.
PAGES: list[tuple[str, str, str | None, dict[tuple[str, date], tuple[float, float | None]]]] = [
    ("usage", "usage_daily_active_endpoints", None, {("day", MON): (2, None), ("day", TUE): (1, None), ("week", MON): (2, None)}),
    # Nobody is new on Tuesday.
    ("usage", "usage_new_endpoints", None, {("day", MON): (2, None), ("day", TUE): (0, None), ("week", MON): (2, None)}),
    ("usage", "usage_sessions_per_endpoint", None, {("day", MON): (2, 2), ("day", TUE): (1, 1), ("week", MON): (3, 2)}),
    # Of the two of these thirty days one is there on Tuesday, the last day of which anything is known.
    ("usage", "usage_sticky_factor", None, {("day", MON): (2, 2), ("day", TUE): (1, 2), ("week", MON): (1, 2)}),
    ("revenue", "revenue_per_endpoint", "EUR", {("day", MON): (10, 2), ("day", TUE): (0, 1), ("week", MON): (10, 2)}),
    ("revenue", "revenue_per_paying_user", "EUR", {("day", MON): (10, 1), ("day", TUE): (0, 0), ("week", MON): (10, 1)}),
    ("revenue", "revenue_units_sold", "EUR", {("day", MON): (2, None), ("day", TUE): (0, None), ("week", MON): (2, None)}),
    ("events", "events_count", "screen.view", {("day", MON): (1, None), ("day", TUE): (1, None), ("week", MON): (2, None)}),
    ("events", "events_endpoint_count", "screen.view", {("day", MON): (1, None), ("day", TUE): (1, None), ("week", MON): (1, None)}),
    # Monday has two sessions, one of them without a view.
    ("events", "events_per_session", "screen.view", {("day", MON): (1, 2), ("day", TUE): (1, 1), ("week", MON): (2, 3)}),
    ("demographics", "demographics_platform", "ios", {("day", MON): (1, 2), ("day", TUE): (1, 1), ("week", MON): (1, 2)}),
    ("demographics", "demographics_platform", "unknown", {("day", MON): (1, 2), ("week", MON): (1, 2)}),
    ("messages", "transactional_email_sends", None, {("day", MON): (2, None), ("week", MON): (2, None)}),
    ("messages", "transactional_email_bounce_rate", None, {("day", MON): (1, 2), ("week", MON): (1, 2)}),
    ("messages", "funnels_email", "2 delivered", {("day", MON): (1, 2), ("week", MON): (1, 2)}),
    ("messages", "funnels_email", "3 opened", {("day", MON): (0, 2), ("week", MON): (0, 2)}),
]


@pytest.fixture(scope="module")
def page_rows() -> dict[str, list[tuple[Any, ...]]]:
    """By page: chart, part, period, period_date, numerator, denominator; each page asked once."""
    columns = "chart, part, period, period_date, numerator, denominator"
    return {
        page: ask(f"select {columns} from kpis.page_{page} where period <> 'month'", MAILS if page == "messages" else LAKE)
        for page in ("usage", "revenue", "events", "demographics", "messages")
    }


@pytest.mark.parametrize(("page", "chart", "part", "expected"), PAGES)
def test_numbers_under_a_chart_are_what_a_person_counts(
    page_rows: dict[str, list[tuple[Any, ...]]], page: str, chart: str, part: str | None, expected: dict[Any, Any]
) -> None:
    found = {(period, day): (above, below) for name, of, period, day, above, below in page_rows[page] if (name, of) == (chart, part)}
    assert found == expected
