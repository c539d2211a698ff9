"""Which names are CTEs and which are relations: the survey of a statement sees every table that DuckDB's own binder finds."""

import re
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import HealthCheck, assume, find, given, settings
from hypothesis import strategies as st

from pipeline.ask.sql_tree import survey_select

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Three tables whose names the CTEs take, too."""
    with duckdb.connect() as con:
        for name in NAMES:
            con.execute(f"create table {name} (x int)")
        yield con


def _query(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    name = st.sampled_from(NAMES)
    sub = inner.map(lambda query: f"({query})")
    cte = st.tuples(name, inner).map(lambda given: f"{given[0]}(x) as ({given[1]})")
    recursive_cte = st.tuples(name, inner, inner).map(lambda given: f"{given[0]}(x) as ({given[1]} union all {given[2]})")
    ctes = st.lists(cte | recursive_cte, min_size=1, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(name, sub).map(lambda given: f"select x from {given[0]} where x in {given[1]}"),
        st.tuples(sub, sub).map(lambda given: f"{given[0]} union all {given[1]}"),
        st.tuples(name, sub).map(lambda given: f"select t.x from {given[0]} t, {given[1]} s(x)"),
        st.tuples(st.sampled_from(["with", "with recursive"]), ctes, inner).map(
            lambda given: f"{given[0]} {given[1]} select * from ({given[2]})"
        ),
        st.tuples(st.sampled_from(["with", "with recursive"]), ctes, name).map(
            lambda given: f"{given[0]} {given[1]} select x from {given[2]}"
        ),
    )


QUERIES = st.recursive(st.sampled_from(NAMES).map(lambda name: f"select x from {name}"), _query, max_leaves=8)


def tables_bound(con: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """The tables that DuckDB binds; empty when it does not bind the statement at all."""
    try:
        return con.get_table_names(sql)
    except duckdb.Error:
        return set()


def surveyed(con: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    return {str(relation) for relation in survey_select(con, sql).relations}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(sql=QUERIES)
def test_every_table_that_duckdb_binds_is_surveyed(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    bound = tables_bound(con, sql)
    assume(bound)
    assert bound <= surveyed(con, sql)


def test_names_that_are_taken_out_wherever_a_cte_has_them_would_miss_some(con: duckdb.DuckDBPyConnection) -> None:
    """The control of the test above: with one flat set of CTE names, tables stay unseen."""

    def is_missed(sql: str) -> bool:
        flat = surveyed(con, sql) - set(re.findall(r"(\w)\(x\) as", sql))
        return not tables_bound(con, sql) <= flat

    assert find(QUERIES, is_missed, settings=settings(max_examples=5000, deadline=None))


@pytest.mark.parametrize(
    ("sql", "relations"),
    [
        ("with a as (select x from a) select x from a", {"a"}),
        ("with recursive a as (select x from a) select x from a", {"a"}),
        ("with recursive a as (select x from a union all select x from a) select x from a", {"a"}),
        ("with recursive a as (select 1 as x union all select x from a) select x from a", set()),
        ("with a as (select x from b), b as (select 1 as x) select x from a", {"b"}),
        ("with b as (select 1 as x), a as (select x from b) select x from a", set()),
        ("select x from (with a as (select 1 as x) select x from a) t union all select x from a", {"a"}),
        ("with a as (select 1 as x) select x from b where x in (select x from a)", {"b"}),
        ("with a as (with b as (select 1 as x) select x from b) select a.x from a, b", {"b"}),
    ],
)
def test_cte_is_seen_where_duckdb_sees_it_and_nowhere_else(con: duckdb.DuckDBPyConnection, sql: str, relations: set[str]) -> None:
    assert surveyed(con, sql) == relations == tables_bound(con, sql)
