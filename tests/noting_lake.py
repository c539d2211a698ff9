"""A connection for tests that notes which views and macros a statement names, once its rows say something."""

from collections.abc import Sequence
from typing import Any, cast

import duckdb
import pyarrow as pa

from pipeline.ask.sql_tree import RefusedError, survey_select
from pipeline.ask.views import names_read
from tests.definitions_named import note_names

Row = tuple[Any, ...]


class NotingLake:
    """Stands in for a DuckDB connection. Of a statement that is no SELECT nothing is noted."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._asked: list[str] = []

    def execute(self, sql: str, parameters: Any = None) -> duckdb.DuckDBPyConnection:
        try:
            survey = survey_select(self._con, sql)
            self._asked = [*names_read(survey), *survey.functions, *survey.table_functions]
        except (RefusedError, duckdb.ParserException):
            self._asked = []
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
