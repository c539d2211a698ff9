"""An attribute or metric that no event has is refused by the macros that name it, with the nearest; one that is only not there on the days asked for is not."""

from collections.abc import Iterator

import duckdb
import pytest

from pipeline.ask.library import load_library
from pipeline.config import load_settings
from tests.lake_rows import at, event, memory_lake
from tests.macro_calls import ask
from tests.macro_values import value

DAYS = "'2026-11-23', '2026-11-23'"
# Noon of the 23rd: look, and a minute later buy. A month before: look with a coupon. Of another app: look with a size, and play without a name of anything.
EVENTS = [
    event(event_type="look", attributes={"color": "red", "Shade": "dark"}),
    event(event_type="buy", event_timestamp=at(1), attributes={"store": "Rome"}, metrics={"price": 2.0, "tax": 0.5}),
    event(event_type="look", event_timestamp=at(days=-30), attributes={"coupon": "X"}, metrics={"height": 1.0}),
    event(event_type="look", app_id="other", attributes={"size": "L"}),
    event(event_type="play", app_id="other"),
]

# The call, what the error says.
UNKNOWN = [
    (
        f"funnel(['look', 'buy'], {DAYS}, by := 'colour')",
        "by is 'colour'; no event look has the attribute 'colour'. Expected .*; the nearest are color, ",
    ),
    (f"funnel(['look', 'buy'], {DAYS}, by := 'platfrom')", "by is 'platfrom'; .*; the nearest are platform, platform_version, "),
    (f"funnel(['look', 'buy'], {DAYS}, by := 'COLOR')", "by is 'COLOR'; .*; the nearest are color, "),
    # An attempt begins with look, which has no store; in any order it may begin with buy, which has one.
    (f"funnel(['look', 'buy'], {DAYS}, by := 'store')", "by is 'store'; no event look has the attribute 'store'"),
    (
        f"funnel(['look', 'buy'], {DAYS}, by := 'stor', order_by := 'any')",
        "by is 'stor'; no event buy, look has the attribute 'stor'.* are store, ",
    ),
    (
        f"funnel(['look[colr=red]', 'buy'], {DAYS})",
        r"steps is 'look\[colr=red\]'; no event look has the attribute 'colr'.* are color, coupon, Shade",
    ),
    (
        f"funnel(['look', 'buy[price>=1][taxes>1]'], {DAYS})",
        "steps is .*; no event buy has the metric 'taxes'.*; the nearest are tax, price",
    ),
    # What the other app has is not known here.
    (f"funnel(['look[size=L]'], {DAYS}, app := 'shop')", "no event look has the attribute 'size'"),
    (f"trend('look', {DAYS}, by := 'colr')", "by is 'colr'; no event look has the attribute 'colr'"),
    (
        f"trend('buy', {DAYS}, measure := 'sum:prise')",
        "measure is 'sum:prise'; no event buy has the metric 'prise'.*; the nearest are price, tax",
    ),
    (f"trend('buy[store=Rome][color=red]', {DAYS})", "event is .*; no event buy has the attribute 'color'.*; the nearest are store"),
    (
        f"trend('play[level=1]', {DAYS})",
        "event is .*; no event play has the attribute 'level'. Expected one that such events have, and they have none",
    ),
    (
        f"attribution('buy', {DAYS}, value := 'revnue')",
        "value is 'revnue'; no event buy has the metric 'revnue'.*; the nearest are revenue, ",
    ),
    (f"attribution('buy[prise>1]', {DAYS})", "conversion is .*; no event buy has the metric 'prise'"),
    ("lift('autumn', 'buy[prise>1]')", "conversion is .*; no event buy has the metric 'prise'"),
    (f"paths({DAYS}, label := 'colr')", "label is 'colr'; no event .*look.* has the attribute 'colr'.*; the nearest are color, "),
    (f"paths({DAYS}, start_event := 'look[colr=red]')", "start_event is .*; no event look has the attribute 'colr'"),
    (f"paths({DAYS}, end_event := 'buy[prise>1]')", "end_event is .*; no event buy has the metric 'prise'"),
    (f"retention({DAYS}, start_event := 'look[colr=red]')", "start_event is .*; no event look has the attribute 'colr'"),
    (f"retention({DAYS}, return_event := 'buy[prise>1]')", "return_event is .*; no event buy has the metric 'prise'"),
]
# Not there on the days asked for, or with another value: known all the same.
KNOWN = [
    f"funnel(['look', 'buy'], {DAYS}, by := 'coupon')",
    f"funnel(['look', 'buy'], {DAYS}, by := 'store', order_by := 'any')",
    f"funnel(['look', 'buy'], {DAYS}, by := 'make')",
    f"funnel(['look[color=blue]', 'buy[price>=10]'], {DAYS})",
    f"funnel(['look[size=L]'], {DAYS})",
    # Where there is no such event nothing can be said of its names.
    f"funnel(['jump[height>1]'], {DAYS}, by := 'colour')",
    f"funnel(['look[colr=red]'], {DAYS}, app := 'none')",
    f"trend('look', {DAYS}, by := 'coupon', measure := 'sum:height')",
    f"trend('look[coupon=Y]', {DAYS})",
    f"attribution('buy', {DAYS}, value := 'revenue')",
    f"attribution('look', {DAYS}, value := 'height')",
    "lift('autumn', 'buy[price>10]')",
    f"paths({DAYS}, label := 'coupon', start_event := 'buy[price>10]')",
    f"retention({DAYS}, start_event := 'look[color=blue]', return_event := 'buy[tax>3]')",
]


@pytest.fixture(scope="module")
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_lake(load_settings(), EVENTS) as con:
        yield con


@pytest.fixture(scope="module")
def empty_lake() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_lake(load_settings()) as con:
        yield con


@pytest.mark.parametrize(("call", "text"), UNKNOWN, ids=[call for call, _ in UNKNOWN])
def test_name_that_no_event_has_is_refused_with_the_nearest(lake: duckdb.DuckDBPyConnection, call: str, text: str) -> None:
    # Which columns are asked for does not matter.
    for sql in (f"from {call}", f"select count(*) from {call}"):
        with pytest.raises(duckdb.InvalidInputException, match=text):
            lake.execute(sql)


@pytest.mark.parametrize("call", [call for call, _ in UNKNOWN])
def test_empty_lake_knows_no_names_and_refuses_none(empty_lake: duckdb.DuckDBPyConnection, call: str) -> None:
    rows = empty_lake.execute(f"from {call}").fetchall()
    if call.startswith("funnel"):
        assert {row[3] for row in rows} == {0}
    elif call.startswith("trend"):
        assert {row[2] for row in rows} == {0.0}
    elif call.startswith("lift"):
        assert [row[1:3] for row in rows] == [(0, 0)]
    else:
        assert rows == []


@pytest.mark.parametrize("call", KNOWN)
def test_name_that_is_not_there_on_these_days_is_none_that_is_misspelt(lake: duckdb.DuckDBPyConnection, call: str) -> None:
    lake.execute(f"from {call}").fetchall()


def test_quiet_day_is_zeros() -> None:
    # The coupon was used a month before.
    assert ask(f"select value from trend('look[coupon=X]', {DAYS}, as_of := '2027-01-01')", EVENTS) == [(0.0,)]


def test_columns_of_a_breakdown_are_those_that_it_knows() -> None:
    breakdown = next(macro for macro in load_library().macros if macro.name == "breakdown")
    columns = [one.name for one in breakdown.parameters[2:]]
    assert value("breakdown_columns()") == columns
    # Each gives what stands in its place, here its own name.
    places = ", ".join(f"'{name}'" for name in columns)
    assert value(f"list_transform(breakdown_columns(), lambda name: breakdown(name, map {{}}, {places}))") == columns


def test_nearest_names_are_three_whatever_their_case() -> None:
    assert value("near_names('Prise', ['tax', 'PRICE', 'prise_net', 'store'])") == ["prise_net", "PRICE", "store"]
    assert value("near_names('x', ['', 'a', 'a'])") == ["a"]
    assert value("near_names('x', []::varchar[])") == []
