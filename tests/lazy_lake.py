"""A connection for tests that creates views and macros when a statement first names them: to create all takes longer than most tests."""

from typing import Any

import duckdb

from pipeline.ask.library import Library, create_definitions
from pipeline.ask.sql_tree import RefusedError, survey_select
from pipeline.ask.views import names_read
from tests.definitions_named import note_names


class LazyLake:
    """Stands in for a DuckDB connection: `execute` creates first what the statement names, or everything when it is no SELECT."""

    def __init__(self, con: duckdb.DuckDBPyConnection, library: Library) -> None:
        self._con, self._library = con, library
        self._created: set[str] = set()

    def execute(self, sql: str, parameters: Any = None) -> duckdb.DuckDBPyConnection:
        try:
            survey = survey_select(self._con, sql)
            names = [*names_read(survey), *survey.functions, *survey.table_functions]
            note_names(names)
        except (RefusedError, duckdb.ParserException):
            names = list(self._library.definitions)
        missing = [one for one in self._library.needed_by(names) if one.name not in self._created]
        create_definitions(self._con, missing)
        self._created.update(one.name for one in missing)
        return self._con.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)
