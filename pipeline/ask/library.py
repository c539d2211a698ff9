"""The library: all views and macros of queries/ and of one's own, each after those that it names; made in a DuckDB whole, or as far as is asked for."""

import graphlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from pipeline.ask.layers import FOLDER, MACROS, SETTINGS, VIEW_LAYERS, ViewError
from pipeline.ask.macros import Macro
from pipeline.ask.own_queries import add_own
from pipeline.ask.query_files import Definition, check_uses, list_files, load_file, names_used, put_in_order
from pipeline.ask.settings_view import settings_view_sql
from pipeline.ask.sql_text import quoted
from pipeline.ask.views import View
from pipeline.bare_duckdb import open_duckdb
from pipeline.config import Settings


@dataclass(frozen=True)
class Library:
    """Views by name, layer.stem, and macros by theirs, in an order in which each can be created after those before it.

    `left_out`: files of one's own that cannot be used, by the same names, with the reason.
    """

    definitions: Mapping[str, Definition]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def views(self) -> list[View]:
        return [one for one in self.definitions.values() if isinstance(one, View)]

    @property
    def macros(self) -> list[Macro]:
        return [one for one in self.definitions.values() if isinstance(one, Macro)]

    @property
    def relations(self) -> frozenset[str]:
        """The names that SQL from people may read: the views and `settings`, never the lake's tables under them."""
        return frozenset([SETTINGS, *(view.name for view in self.views)])

    @property
    def value_macros(self) -> frozenset[str]:
        return frozenset(macro.name for macro in self.macros if not macro.is_table)

    @property
    def table_macros(self) -> frozenset[str]:
        return frozenset(macro.name for macro in self.macros if macro.is_table)

    def needed_by(self, names: Iterable[str]) -> list[Definition]:
        """These definitions with all that they name, in order; names that are no definition are passed over."""
        wanted: set[str] = set()
        waiting = [name for name in names if name in self.definitions]
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting += names_used(self.definitions[name], self.definitions)
        return [one for one in self.definitions.values() if one.name in wanted]


def load_library(folder: Path = FOLDER, own: Path | None = None) -> Library:
    """All views and macros of a folder, and with `own` those of a folder of one's own, as far as they can be used.

    Raises ViewError, which names the file, for a file of `folder` that is not what its layer holds, names what does not exist or
    what its layer may not read, or stands in a circle; UsageError when `own` is no folder.
    """
    with open_duckdb() as parser:
        files = list(list_files(folder))
        macros = {file.name for file in files if file.layer == MACROS}
        found = {file.name: load_file(parser, file, macros) for file in files}
        for one in found.values():
            check_uses(one, found)
        try:
            ours = put_in_order(found)
        except graphlib.CycleError as error:
            circle = " -> ".join(reversed(error.args[1]))
            raise ViewError(
                f"Files of {folder} read each other in a circle: {circle}. Move what they share into a view of its own."
            ) from None
        return Library(ours) if own is None else Library(*add_own(parser, own, ours))


def create_base(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Create the view `settings` and the schemas of the layers."""
    con.execute(settings_view_sql(settings))
    for layer in VIEW_LAYERS:
        con.execute(f"create schema if not exists {layer}")


def create_definitions(con: duckdb.DuckDBPyConnection, definitions: Iterable[Definition]) -> None:
    """Create views and macros in the order given, over relations `lake.<table>` that exist already; `create_base` comes before.

    DuckDB binds both when they are created: what a macro names must be there.
    """
    for one in definitions:
        try:
            con.execute(one.create_sql)
        except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
            raise ViewError(f"{one.path} does not fit what it reads: {error}") from None
        kind = "view" if isinstance(one, View) else "macro table" if one.is_table else "macro"
        con.execute(f"comment on {kind} {one.name} is {quoted(one.grain)}")


def create_all(con: duckdb.DuckDBPyConnection, library: Library, settings: Settings) -> None:
    """Create `settings` and everything of the library."""
    create_base(con, settings)
    create_definitions(con, library.definitions.values())
