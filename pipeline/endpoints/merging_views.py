"""The tables and views that merging needs, in a DuckDB that holds nothing else: the files of queries/, over tables in place of the lake's."""

import functools

import duckdb

from pipeline.ask.views import LAKE, View, load_views
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
    views = _views()
    wanted = _reads(views, _MERGES)
    for view in views.values():
        if view.name in wanted:
            con.execute(f"create view {view.name} as {view.sql}")


def load_view(name: str) -> View:
    """One view of queries/."""
    return _views()[name]


@functools.cache
def _views() -> dict[str, View]:
    """In their order; the files do not change while a process runs."""
    return {view.name: view for view in load_views()}


def _reads(views: dict[str, View], name: str) -> set[str]:
    """A view and all that it reads, the lake's tables left out."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in views and name not in found:
            found.add(name)
            waiting += views[name].reads
    return found
