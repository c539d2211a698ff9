"""The files of queries/macros/ are read, held to their rules, ordered with the views and created; each rule with a file that breaks it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from pipeline.ask.layers import FOLDER, ViewError
from pipeline.ask.library import Library, create_all, load_library
from pipeline.ask.reader import Reader, open_empty_reader
from pipeline.ask.sql_tree import RefusedError
from pipeline.commands.views import app
from pipeline.config import load_settings
from tests.query_folder import write_queries

GOOD = {
    "staging/events.sql": "-- One row per event.\nselect day_of(event_timestamp) as day from lake.events",
    "core/days.sql": "-- One row per day.\nselect distinct day from staging.events",
    "kpis/busy.sql": "-- One row per day.\nselect * from days_from('2026-11-01', sorted := true)",
    "macros/day_of.sql": "-- A value: the UTC day of a moment.\n-- More words.\ncreate macro day_of(moment) as\n  (moment at time zone 'UTC')::date;",
    "macros/days_from.sql": """
-- One row per day.
create macro days_from(from_date, sorted := false, words := ['a, b', 'c'], within := interval '1 day') as table
with days as (select * from core.days, main.settings)
select day, words as words, within as within from days where day >= is_day(from_date)
""".lstrip(),
    "macros/is_day.sql": "-- A value: a day.\ncreate macro is_day(given) as case when given is null then error('given: null') else given::date end",
}


def load(folder: Path, **changed: str) -> Library:
    """The library of these files; `changed` files by name with __ for /."""
    return load_library(write_queries(folder, GOOD | {f"{name.replace('__', '/')}.sql": text for name, text in changed.items()}))


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'; create schema lake")
        con.execute("create table lake.events as select timestamptz '2026-11-23 12:00:00+00' as event_timestamp")
        yield con


def test_macros_stand_after_what_they_read_and_before_what_calls_them(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    library = load(tmp_path)
    names = list(library.definitions)
    assert names.index("day_of") < names.index("staging.events") < names.index("core.days") < names.index("days_from")
    assert names.index("is_day") < names.index("days_from") < names.index("kpis.busy")
    create_all(con, library, load_settings())
    assert con.execute("select day::varchar, words, within::varchar from kpis.busy").fetchall() == [
        ("2026-11-23", ["a, b", "c"], "1 day"),
    ]
    assert con.execute("select comment from duckdb_functions() where function_name = 'days_from'").fetchall() == [("One row per day.",)]
    assert con.execute("select comment from duckdb_functions() where function_name = 'day_of'").fetchall() == [
        ("A value: the UTC day of a moment.",),
    ]


def test_parameters_are_told_with_their_defaults(tmp_path: Path) -> None:
    macro = next(macro for macro in load(tmp_path).macros if macro.name == "days_from")
    assert [(one.name, one.default) for one in macro.parameters] == [
        ("from_date", None),
        ("sorted", "false"),
        ("words", "['a, b', 'c']"),
        ("within", "interval '1 day'"),
    ]
    assert macro.signature == "days_from(from_date, sorted := false, words := ['a, b', 'c'], within := interval '1 day')"
    assert (macro.reads, macro.calls) == (("core.days", "settings"), ("is_day",))


TABLE, VALUE = "-- One row per x.\ncreate macro bad(a) as table ", "-- A value: x.\ncreate macro bad(a) as "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("create macro bad(a) as a", "expected what it gives: -- A value: "),
        ("-- One row per x.\ncreate macro bad(a) as a", "expected what it gives: -- A value: "),
        ("-- A value: x.\ncreate macro bad(a) as table select a", "expected what it gives: -- One row per "),
        ("-- A value: x.\nselect 1", "one 'create macro bad(parameters) as ...'"),
        ("-- A value: x.\ncreate or replace macro bad(a) as a", "one 'create macro bad(parameters) as ...'"),
        ("-- A value: x.\ncreate temp macro bad(a) as a", "one 'create macro bad(parameters) as ...'"),
        ("-- A value: x.\ncreate macro other(a) as a", "creates the macro 'other'; expected 'bad'"),
        (f"{VALUE}a; create macro worse(a) as a", "not one macro"),
        (f"{VALUE}a, (a, b) as a + b", "not one macro"),
        (f"{TABLE}select 1; select 2", "not one macro"),
        (f"{TABLE}drop table x", "not one macro"),
        (f"{TABLE};", "not one macro"),
        ("-- A value: x.\ncreate macro bad(a integer) as a", "parameter 'a integer'; expected a name, or name := default"),
        (f"{TABLE}select * from settings", "expected 'main.settings'"),
        (f"{TABLE}select * from lake.events", "only staging reads the lake"),
        (f"{TABLE}select * from staging.events", "a macro reads core and settings, never staging"),
        (f"{TABLE}select * from kpis.busy", "a macro reads core and settings, never kpis"),
        (f"{VALUE}(select max(day) from kpis.busy)", "a macro reads core and settings, never kpis"),
        (f"{TABLE}select * from core.dayz", "which is no view"),
        (f"{TABLE}select * from days_from", "which is no view"),
        (f"{VALUE}bad(a)", "circle: bad -> bad"),
    ],
)
def test_file_that_breaks_a_rule_of_macros_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ViewError, match=re.escape(message)) as caught:
        load(tmp_path, macros__bad=text)
    assert "bad" in str(caught.value)


def test_macro_that_hides_a_function_of_duckdb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ViewError, match=r"median\.sql hides DuckDB's own function 'median'"):
        load(tmp_path, macros__median="-- A value: x.\ncreate macro median(a) as a")


def test_no_macro_of_the_library_hides_a_function_of_duckdb() -> None:
    with duckdb.connect() as con:
        theirs = {name for (name,) in con.execute("select distinct function_name from duckdb_functions()").fetchall()}
    assert {macro.name for macro in load_library().macros} & theirs == set()


@pytest.mark.parametrize("layer", ["staging", "core"])
def test_macro_of_a_table_is_not_called_from_below(tmp_path: Path, layer: str) -> None:
    with pytest.raises(ViewError, match=rf"bad\.sql calls 'days_from', a macro of a table; a view of {layer} calls macros of values only"):
        load(tmp_path, **{f"{layer}__bad": "-- One row per x.\nselect * from days_from('2026-11-01')"})


def test_circle_through_a_macro_is_named(tmp_path: Path) -> None:
    with pytest.raises(ViewError, match=r"circle: (core\.days -> is_day|is_day -> core\.days)"):
        load(
            tmp_path,
            core__days="-- One row per day.\nselect is_day(day) as day from staging.events",
            macros__is_day="-- A value: a day.\ncreate macro is_day(given) as (select max(day) from core.days)",
        )


def test_macro_that_does_not_fit_what_it_reads_is_named(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    library = load(tmp_path, macros__bad=f"{TABLE}select dya from core.days")
    with pytest.raises(ViewError, match=r'(?s)bad\.sql does not fit .*"day"'):
        create_all(con, library, load_settings())


def test_ctes_of_the_caller_change_nothing_in_a_macro(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    """The control is the rule of main.settings above: an unqualified name would be the caller's CTE."""
    gap = "-- A value: the gap.\ncreate macro gap() as (select session_gap_mins from main.settings)"
    create_all(con, load(tmp_path, macros__gap=gap), load_settings())
    assert con.execute("with settings as (select 7 as session_gap_mins) select gap()").fetchall() == [(30,)]
    con.execute("create or replace macro gap() as (select session_gap_mins from settings)")
    assert con.execute("with settings as (select 7 as session_gap_mins) select gap()").fetchall() == [(7,)]


class TestAsked:
    @pytest.fixture
    def reader(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
        """A reader that is locked down, over an empty lake and a macro of each kind."""
        files = {name: text for name, text in GOOD.items() if name.startswith("macros/")}
        files |= {path.relative_to(FOLDER).as_posix(): path.read_text() for path in FOLDER.glob("*/*.sql")}
        files["macros/days_from.sql"] = files["macros/days_from.sql"].replace(
            "core.days", "(select activity_date as day from core.endpoint_days)"
        )
        write_queries(tmp_path, files)
        monkeypatch.setattr("pipeline.ask.reader.load_library", lambda own: load_library(tmp_path, own))
        with open_empty_reader(load_settings()) as reader:
            yield reader

    @pytest.mark.parametrize(
        "sql",
        [
            "select * from days_from('2026-11-01')",
            "select * from days_from(from_date := '2026-11-01', sorted := true) where day is not null",
            "select * from main.days_from('2026-11-01')",
            "with x as (from days_from('2026-11-01')) select count(*) from x join days_from('2026-11-02') using (day) having count(*) > 0",
            "select day_of(event_timestamp) from core.events where is_day('2026-11-01') > day_of(event_timestamp)",
        ],
    )
    def test_people_call_macros(self, reader: Reader, sql: str) -> None:
        with reader.ask(sql) as answer:
            assert answer.fetchall() == []

    @pytest.mark.parametrize(
        ("sql", "message"),
        [
            ("select days_from('2026-11-01')", "Macro 'days_from' gives a table; write it in from"),
            ("select * from day_of('2026-11-01')", "Macro 'day_of' gives a value and stands in no from"),
            ("select * from kpis.days_from('2026-11-01')", "'kpis.days_from' is not allowed"),
            ("select * from days_from(getenv('HOME'))", "Function 'getenv' is not allowed"),
            ("select * from days_from((select max(x) from glob('/*') t(x)))", "Table function 'glob' is not allowed"),
            ("select * from days_from((select max(event_id) from lake.events))", "Relation 'lake.events' is not a view"),
        ],
    )
    def test_what_macros_are_given_is_checked_as_all_else(self, reader: Reader, sql: str, message: str) -> None:
        with pytest.raises(RefusedError, match=re.escape(message)), reader.ask(sql):
            pass


def test_views_command_lists_macros_after_views_and_shows_parameters_and_text() -> None:
    listed = json.loads(CliRunner().invoke(app, ["--json"]).stdout)
    kinds = ["macro" if "macro" in one else "view" for one in listed]
    assert kinds == sorted(kinds, reverse=True)
    assert "macro" in kinds
    shown = json.loads(CliRunner().invoke(app, ["show", "local_date", "--json"]).stdout)
    parameters = [{"name": "moment", "default": None}, {"name": "zone", "default": None}]
    assert (shown["macro"], shown["parameters"], shown["reads"]) == ("local_date", parameters, [])
    assert shown["sql"] == (FOLDER / "macros/local_date.sql").read_text().strip()
    text = CliRunner().invoke(app, ["show", "local_date"]).stdout
    assert "(must be given)" in text
    assert "create macro local_date(moment, zone) as" in text
