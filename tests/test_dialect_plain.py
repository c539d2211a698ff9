"""Views in plain SQL: on DuckDB each says what the view itself says, over a dirty simulated week with endpoints; and each form by itself."""

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp
from sqlglot.schema import MappingSchema

from pipeline.ask.reader import open_empty_reader
from pipeline.config import Settings, load_settings
from pipeline.dialects import plain
from pipeline.dialects.plain import schema_of, to_plain
from pipeline.dialects.script import columns_read
from pipeline.dialects.untranslatable import UntranslatableError
from pipeline.simulate.plan import Plan
from tests.endpoint_rows import delete, delete_user, remove, update
from tests.lake_rows import library, memory_lake
from tests.simulated import messages_of
from tests.simulated_lake import Landed, land_messages

PLAN = Plan(users=60, days=8, start=date(2026, 10, 28), seed=4, dirty=0.2)
# Of these no plain form is known; tests/test_dialects.py has the reasons.
WITHOUT = {"checks.assert_duplicates_share_is_as_before", "checks.assert_late_share_is_as_before", "checks.assert_funnel_begins_with_trend"}
# Of nothing that is wrong, replayed or imported there is a row.
EMPTY = {"staging.dead_letter_replays", "staging.imports", "staging.endpoint_states", "core.dead_letter_replays"}


def week_settings() -> Settings:
    return load_settings(app_zones={PLAN.app: "America/New_York"}, report_zone="Asia/Tokyo")


@functools.cache
def landed() -> Landed:
    with tempfile.TemporaryDirectory() as folder:
        return land_messages(messages_of(PLAN), week_settings(), Path(folder))


@functools.cache
def columns() -> plain.Columns:
    with open_empty_reader(week_settings()) as reader:
        return columns_read(reader, reader.views)[0]


@functools.cache
def schema() -> MappingSchema:
    return schema_of(columns())


def plain_tree(sql: str) -> exp.Expr:
    return to_plain(sql, {macro.name: macro for macro in library().macros}, schema())


def as_plain(sql: str) -> str:
    return plain_tree(sql).sql(dialect="duckdb")


@contextmanager
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    """The week, with updates of some of its endpoints: of each kind, and an address that two claim."""
    ids = sorted({one for one in landed().events["endpoint_id"].to_pylist() if one})[:30]
    updates = [
        update(
            one,
            app_id=PLAN.app,
            user_id=f"user-{place % 7}" if place % 3 else None,
            channel_type="EMAIL",
            address=f"{place % 25}@example.org",
            timezone=["Asia/Tokyo", "nowhere", None][place % 3],
            make="acme",
            attributes={"team": ["red", "blue"], "size": [str(place)]},
            metrics={"score": float(place)},
            user_attributes={"since": ["2019"]},
        )
        for place, one in enumerate(ids)
    ]
    updates += [delete(ids[0], app_id=PLAN.app), update(ids[1], app_id=PLAN.app, city="Oslo", attributes={"size": []})]
    updates += [delete_user("user-1", app_id=PLAN.app), remove(["te*"], app_id=PLAN.app)]
    with memory_lake(week_settings(), landed().events, landed().dead_letters, endpoint_updates=updates) as con:
        yield con


def differences(con: duckdb.DuckDBPyConnection, name: str, sql: str) -> int:
    """Rows that the view has and the plain form has not, and the other way round, each as often as it stands there."""
    # One after the other: of two that name a window alike DuckDB refuses the second.
    return sum(len(con.execute(one).fetchall()) for one in (f"from {name} except all ({sql})", f"({sql}) except all from {name}"))


def test_each_view_says_in_plain_sql_what_it_says() -> None:
    refused, differing, empty = set(), {}, set()
    with lake() as con:
        for view in library().views:
            try:
                sql = as_plain(view.sql)
            except UntranslatableError:
                refused.add(view.name)
                continue
            names = [[column[0] for column in con.execute(f"select * from ({one}) limit 0").description] for one in (view.sql, sql)]
            assert names[0] == names[1]
            differing[view.name] = differences(con, view.name, sql)
            if view.layer != "checks" and not con.execute(f"select 1 from {view.name} limit 1").fetchone():
                empty.add(view.name)
    assert {name: count for name, count in differing.items() if count} == {}
    assert refused == WITHOUT
    assert empty == EMPTY


@pytest.mark.parametrize(
    ("form", "view"),
    [
        ("join_asof_by_range", "kpis.page_usage"),
        ("join_unnests", "kpis.page_messages"),
        ("group_by_place", "core.campaigns"),
    ],
)
def test_a_form_that_is_left_out_leaves_what_only_duckdb_knows(form: str, view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"join_asof_by_range": "ASOF", "join_unnests": "UNNEST", "group_by_place": "GROUP BY ALL"}[form]
    (sql,) = (one.sql for one in library().views if one.name == view)
    assert words not in as_plain(sql).upper()
    monkeypatch.setattr(plain, "_FORMS", tuple(one for one in plain._FORMS if one.__name__ != form))
    assert words in as_plain(sql).upper()


PLAIN = [
    # A moment between, before and after all; two of one moment.
    (
        "with a as (from (values (1, 5), (1, 1), (1, 9), (2, 5)) as v(k, t)), b as (from (values (1, 3, 'x'), (1, 7, 'y'), (1, 7, 'z')) as w(k, t, s)) "
        "select a.k, a.t, b.t as since from a asof left join b on a.k = b.k and a.t >= b.t",
        [(1, 1, None), (1, 5, 3), (1, 9, 7), (2, 5, None)],
    ),
    (
        "with a as (from (values (1, 7), (1, 8)) as v(k, t)), b as (from (values (1, 3), (1, 7)) as w(k, t)) "
        "select a.t, b.t as since from a asof join b on a.k = b.k and a.t > b.t",
        [(7, 3), (8, 7)],
    ),
    # Objects side by side with groups, and lists beside each other.
    (
        "select said.name, said.amount from (select k, unnest([{'name': 'sum', 'amount': sum(n)}, {'name': 'count', 'amount': count(*)}]) as said "
        "from (values ('a', 2), ('a', 3), ('b', 1)) as v(k, n) group by all)",
        [("count", 1), ("count", 2), ("sum", 1), ("sum", 5)],
    ),
    ("select unnest(['x', 'y']) as name, unnest([n, n + 1]) as number from (values (1)) as v(n)", [("x", 1), ("y", 2)]),
    ("select n + unnest(range(3)) as number from (values (10)) as v(n)", [(10,), (11,), (12,)]),
    (
        "select unnest(map_keys(m)) as k, unnest(map_values(m)) as v from (select map {'a': 1, 'b': 2} as m)",
        [("a", 1), ("b", 2)],
    ),
    ("select count(*) as n from (values (1), (2)) as v(n) group by all", [(2,)]),
    # A relation that the statement names so itself is no setting.
    (
        "with settings as (select 7.0 as session_gap_mins) select (select session_gap_mins from settings) as gap, (select settings.session_gap_mins from settings) as again",
        [(7, 7)],
    ),
    ("select 1 as a, 'x' as b union all by name select 'y' as b, 2.5 as c", [(1, "x", None), (None, "y", 2.5)]),
    # Of no rows with a value there is none, and a null is passed over.
    (
        "select k, arg_max(v, t) as v, arg_min(v, t) filter (t > 1) as w from (values ('a', 'x', 1), ('a', null, 2), ('b', null, 1)) as s(k, v, t) group by k",
        [("a", "x", None), ("b", None, None)],
    ),
    (
        "select day + 1 as next, day - 7 as before, (day - date '2026-01-01')::int as since from (select date '2026-03-01' as day)",
        [(date(2026, 3, 2), date(2026, 2, 22), 59)],
    ),
]


@pytest.mark.parametrize(("sql", "rows"), PLAIN)
def test_a_form_says_the_same(sql: str, rows: list[tuple[object, ...]]) -> None:
    with duckdb.connect() as con:
        for one in (sql, as_plain(sql)):
            assert sorted(con.execute(one).fetchall(), key=str) == sorted(rows, key=str)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select list(e) as all_rows from core.events as e", "'e' stands for a whole row"),
        ("select said from (select unnest([{'a': 1}]) as said from core.events)", "the object 'said' is passed on whole"),
        ("select unnest([1, 2]), unnest([1, 2, 3]) from core.events", "lists of different lengths"),
        (
            "select unnest(string_split(event_id, 'a')), unnest(string_split(app_id, 'b')) from core.events",
            "not the keys and values of a map",
        ),
        ("select coalesce(attributes, map {}) as a from core.events", "an empty map without its types"),
        ("select nothing from core.events", "sqlglot: Column 'nothing' could not be resolved"),
        ("select number from core.events cross join range(5) as numbers (number)", "stands in from"),
        (
            "select e.app_id from core.events as e asof join core.events as f on e.app_id = f.app_id and e.sent_at >= f.sent_at + interval 1 hour",
            "asof",
        ),
        ("select unnest([{'a': 1}, null]) as said from core.events", "not the same fields"),
        ("select unnest([{'a': 1}, {'b': 1}]) as said from core.events", "not the same fields"),
        ("select * from core.events as e asof join core.events as f on e.app_id = f.app_id and e._offset < f._offset", "an asof join"),
    ],
)
def test_what_has_no_plain_form_is_refused_with_the_reason(sql: str, why: str) -> None:
    with pytest.raises(UntranslatableError, match=why):
        as_plain(sql)
