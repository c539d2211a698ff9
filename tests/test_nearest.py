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


def test_misspelt_parameter_is_answered_with_the_parameters_that_there_are(reader: Reader) -> None:
    assert "local_date(moment, zone)" in str(error_of(reader, "select local_date(now(), zon := 'UTC')"))


def test_argument_that_is_refused_is_named_by_the_macro(reader: Reader) -> None:
    assert "from_date is 'x'; expected a day" in str(error_of(reader, "select check_range('x', '2026-11-01')"))
