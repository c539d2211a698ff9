"""A connection for tests that creates views and macros when a statement first names them: to create all takes longer than most tests."""

from collections.abc import Sequence
from typing import Any, cast

import duckdb
import pyarrow as pa

from pipeline.ask.library import Library, create_definitions
from pipeline.ask.sql_tree import RefusedError, survey_select
from pipeline.ask.views import names_read
from tests.definitions_named import note_names

Row = tuple[Any, ...]


class LazyLake:
    """Stands in for a DuckDB connection: `execute` creates first what the statement names, or everything when it is no SELECT.

    What a statement names is noted once rows of it are fetched that say something.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, library: Library) -> None:
        self._con, self._library = con, library
        self._created: set[str] = set()
        self._asked: list[str] = []

    def execute(self, sql: str, parameters: Any = None) -> duckdb.DuckDBPyConnection:
        self._asked = []
        try:
            survey = survey_select(self._con, sql)
            names = [*names_read(survey), *survey.functions, *survey.table_functions]
            self._asked = names
        except (RefusedError, duckdb.ParserException):
            names = list(self._library.definitions)
        missing = [one for one in self._library.needed_by(names) if one.name not in self._created]
        create_definitions(self._con, missing)
        self._created.update(one.name for one in missing)
        self._con.execute(sql, parameters)
        return cast(duckdb.DuckDBPyConnection, self)

    def fetchall(self) -> list[Row]:
        rows = self._con.fetchall()
        self._note(rows)
        return rows

    def fetchmany(self, size: int = 1) -> list[Row]:
        rows = self._con.fetchmany(size)
        self._note(rows)
        return rows

    def fetchone(self) -> Row | None:
        row = self._con.fetchone()
        self._note([row] if row else [])
        return row

    def to_arrow_table(self) -> pa.Table:
        table = self._con.to_arrow_table()
        self._note([tuple(row.values()) for row in table.slice(0, 1).to_pylist()])
        return table

    def _note(self, rows: Sequence[Row]) -> None:
        # A count over an empty lake is a row too, and says nothing.
        if any(any(row) for row in rows):
            note_names(self._asked)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)
