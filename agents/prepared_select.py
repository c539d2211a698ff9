"""A select over Arrow tables that is planned once: planning costs 3 to 13 ms, as much as running it over ten thousand rows."""

import itertools
from typing import Any

import duckdb
import pyarrow as pa

_numbers = itertools.count()


class PreparedSelect:
    """Runs `sql`, which reads the relation `name`, over one table after another. One thread.

    It is planned anew only when the table's columns change. It works on a cursor of its own: what is registered on a connection makes
    DuckDB plan again what was prepared there.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
        self._con, self._name, self._sql = con.cursor(), name, sql
        self._statement = f"select_{next(_numbers)}"
        self._feed = _Feed()
        self._schema: pa.Schema | None = None

    def run(self, table: pa.Table) -> pa.Table:
        """The rows of the select over this table, in the table's order unless the select has another."""
        self._feed.table = table
        try:
            if self._schema is None or not self._schema.equals(table.schema):
                self._prepare(table.schema)
            return self._con.execute(f"execute {self._statement}").to_arrow_table()
        finally:
            self._feed.table = None

    def _prepare(self, schema: pa.Schema) -> None:
        if self._schema is not None:
            self._con.execute(f"deallocate {self._statement}")
            self._con.unregister(self._name)
        self._schema = None
        self._con.register(self._name, self._feed)
        self._con.execute(f"prepare {self._statement} as {self._sql}")
        self._schema = schema


class _Feed:
    """What DuckDB reads each time that the statement runs: the table of that time."""

    def __init__(self) -> None:
        self.table: pa.Table | None = None

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        assert self.table is not None
        return self.table.__arrow_c_stream__(requested_schema)
