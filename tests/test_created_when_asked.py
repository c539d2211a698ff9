"""A reader creates what a query names, with what that reads, and no more."""

from collections.abc import Iterator

import pytest

from pipeline.ask.reader import Reader, open_empty_reader
from pipeline.config import load_settings

MADE = "select schema_name || '.' || view_name from duckdb_views() where not internal and schema_name not in ('main', 'lake') order by 1"


@pytest.fixture
def reader() -> Iterator[Reader]:
    with open_empty_reader(load_settings()) as reader:
        yield reader


def created(reader: Reader) -> list[str]:
    return [name for (name,) in reader.con.execute(MADE).fetchall()]


def test_query_of_no_view_creates_none(reader: Reader) -> None:
    with reader.ask("select 1 from settings"):
        pass
    assert created(reader) == []


def test_query_creates_what_it_names_and_what_that_reads(reader: Reader) -> None:
    with reader.ask("select count(*) from core.purchases"):
        pass
    assert created(reader) == ["core.events", "core.purchases", "staging.events"]


@pytest.mark.parametrize(
    "sql",
    [
        "describe core.purchases",
        "summarize core.purchases",
        "describe select * from core.purchases",
        "select (select count(*) from core.purchases)",
        "with core as (select 1), x as (select * from CORE.Purchases) select * from x",
        "select 1 where exists (from core.purchases)",
    ],
)
def test_view_is_found_wherever_it_stands(reader: Reader, sql: str) -> None:
    for _ in range(2):
        with reader.ask(sql):
            pass
    assert created(reader) == ["core.events", "core.purchases", "staging.events"]


def test_queries_of_our_own_create_what_they_name_too(reader: Reader) -> None:
    assert reader.rows("select count(*) from core.users") == [(0,)]
    assert reader.execute("select event_date from core.events").fetchall() == []
    assert reader.columns("core.sessions")[0] == ("session_id", "VARCHAR")


def test_macro_is_created_with_the_macros_that_it_calls(reader: Reader) -> None:
    with reader.ask("select parse_step('p[a=b]').event_type") as answer:
        assert answer.fetchall() == [("p",)]
    assert created(reader) == []
