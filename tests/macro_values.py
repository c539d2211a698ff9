"""Values of macros for tests: a DuckDB with all macros that read no views."""

import functools
from typing import Any

import duckdb
import pytest

from pipeline.ask.library import create_definitions, load_library
from pipeline.ask.settings_view import settings_view_sql
from pipeline.ask.sql_tree import survey_select
from pipeline.config import load_settings
from tests.definitions_named import note_names


def value(sql: str) -> Any:
    """The value of one expression."""
    con = _con()
    names = survey_select(con, f"select {sql}").functions
    row = con.execute(f"select {sql}").fetchone()
    assert row is not None
    if row[0] is not None:
        note_names(names)
    return row[0]


def refused(sql: str) -> str:
    """The error of one expression, as people see it."""
    with pytest.raises(duckdb.InvalidInputException) as caught:
        value(sql)
    return str(caught.value).removeprefix("Invalid Input Error: ")


@functools.cache
def _con() -> duckdb.DuckDBPyConnection:
    con, library = duckdb.connect(), load_library()
    con.execute("set TimeZone = 'UTC'")
    con.execute(settings_view_sql(load_settings()))
    create_definitions(con, library.needed_by(macro.name for macro in library.macros if not macro.is_table))
    return con
