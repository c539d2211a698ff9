"""A name that is not there: the error names the nearest, of views, of columns, of macros."""

from collections.abc import Iterator

import pytest

from pipeline.ask.reader import QueryError, Reader, open_empty_reader
from pipeline.ask.sql_tree import RefusedError
from pipeline.config import load_settings
from schemas.errors import HeadwaterError


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with open_empty_reader(load_settings()) as reader:
        yield reader


def error_of(reader: Reader, sql: str) -> HeadwaterError:
    with pytest.raises(HeadwaterError) as caught, reader.ask(sql):
        pass
    return caught.value


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select * from core.sesions", '"core.sessions"'),
        ("select * from sessions", '"core.sessions"'),
        ("select * from CORE.Purchase", '"core.purchases"'),
        ("select * from core.event join core.sessions using (app_id)", '"core.events"'),
        ("select * from setings", '"settings"'),
    ],
)
def test_misspelt_view(reader: Reader, sql: str, named: str) -> None:
    error = error_of(reader, sql)
    assert isinstance(error, RefusedError)
    assert f"Did you mean {named}?" in str(error)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select evnt_id from core.events", '"event_id"'),
        ("select count(*) from core.sessions where session_dat > today()", '"session_date"'),
        ("select e.evnt_id from core.events as e", 'Did you mean "event_id"?'),
        ("select core.purchases.Revenu from core.purchases", 'Did you mean "revenue"?'),
        ("with x as (from core.sessions) select x.startd_at from x", 'Did you mean "started_at"?'),
    ],
)
def test_misspelt_column(reader: Reader, sql: str, named: str) -> None:
    error = error_of(reader, sql)
    assert isinstance(error, QueryError)
    assert named in str(error)


def test_column_that_is_near_to_none_gets_no_hint(reader: Reader) -> None:
    assert "Did you mean" not in str(error_of(reader, "select e.qqq from core.events as e"))


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select local_dat(now(), 'UTC')", 'Did you mean "local_date"?'),
        ("select pars_step('x')", 'Did you mean "parse_step"?'),
        ("select * from genrate_series(3)", 'Did you mean "generate_series"?'),
    ],
)
def test_misspelt_macro_or_function(reader: Reader, sql: str, named: str) -> None:
    assert named in str(error_of(reader, sql))


FUNNEL = "It takes steps, from_date, to_date, app, within, by, order_by, subject."


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select local_date(now(), zon := 'UTC')", "Macro 'local_date' has no argument 'zon'. Did you mean 'zone'? It takes moment, zone."),
        (
            "from funnel(['a'], '2026-11-01', '2026-11-02', wihtin := '1 day')",
            f"Macro 'funnel' has no argument 'wihtin'. Did you mean 'within'? {FUNNEL}",
        ),
        (
            "from FUNNEL(['a'], '2026-11-01', '2026-11-02', \"By\" := 'country', orderby => 'any')",
            f"Macro 'funnel' has no argument 'orderby'. Did you mean 'order_by'? {FUNNEL}",
        ),
        # Near to none.
        ("from funnel(['a'], '2026-11-01', '2026-11-02', qqq := 1)", f"Macro 'funnel' has no argument 'qqq'. {FUNNEL}"),
    ],
)
def test_misspelt_argument_of_a_macro(reader: Reader, sql: str, message: str) -> None:
    error = error_of(reader, sql)
    assert isinstance(error, QueryError)
    assert str(error) == message


@pytest.mark.parametrize(
    "sql",
    [
        "from funnel(['a'])",
        "from funnel(['a'], within := '1 day')",
        # The name is right where it stands: in another macro's call, and in a text.
        "from funnel(['a']) cross join retention('2026-11-01', '2026-11-02', period := 'week') where 'wihtin := 1' <> ''",
    ],
)
def test_argument_that_is_missing_is_answered_with_those_that_there_are(reader: Reader, sql: str) -> None:
    error = str(error_of(reader, sql))
    assert "has no argument" not in error
    assert "funnel(steps, from_date, to_date, app := NULL" in error


def test_argument_that_is_refused_is_named_by_the_macro(reader: Reader) -> None:
    assert "from_date is 'x'; expected a day" in str(error_of(reader, "select check_range('x', '2026-11-01')"))
