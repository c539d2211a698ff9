"""The tables and views that merging needs, in a DuckDB that holds nothing else: the files of queries/, over tables in place of the lake's."""

import functools

import duckdb

from pipeline.ask.layers import LAKE
from pipeline.ask.library import Library, create_definitions, load_library
from pipeline.ask.query_files import Definition
from schemas.tables import load_table

STATES, UPDATES = "endpoint_states", "endpoint_updates"
_MERGES = "core.endpoint_merges"


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create lake.endpoint_states and lake.endpoint_updates, empty, with the columns of their schemas."""
    con.execute(f"create schema {LAKE}")
    for name in (STATES, UPDATES):
        columns = ", ".join(f"{column.name} {column.duckdb}" for column in load_table(name).columns)
        con.execute(f"create table {LAKE}.{name} ({columns})")


def create_merging_views(con: duckdb.DuckDBPyConnection) -> None:
    """Create core.endpoint_merges over both tables, with the views that it reads."""
    for schema in ("staging", "core"):
        con.execute(f"create schema {schema}")
    create_definitions(con, _library().needed_by([_MERGES]))


def load_view(name: str) -> Definition:
    """One view of queries/."""
    return _library().definitions[name]


@functools.cache
def _library() -> Library:
    """The files do not change while a process runs."""
    return load_library()
