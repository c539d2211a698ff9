"""The library: all views and macros of queries/, each after those that it names; made in a DuckDB whole, or as far as is asked for."""

import graphlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.ask.layers import FOLDER, LAKE, LAYERS, MACROS, SETTINGS, VIEW_LAYERS, ViewError, may_read
from pipeline.ask.macros import Macro, load_macro
from pipeline.ask.settings_view import settings_view_sql
from pipeline.ask.sql_text import quoted
from pipeline.ask.views import View, load_view
from pipeline.bare_duckdb import open_duckdb
from pipeline.config import Settings

Definition = View | Macro


@dataclass(frozen=True)
class Library:
    """Views by name, layer.stem, and macros by theirs, in an order in which each can be created after those before it."""

    definitions: Mapping[str, Definition]

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
                waiting += _needs(self.definitions[name], self.definitions)
        return [one for one in self.definitions.values() if one.name in wanted]


def load_library(folder: Path = FOLDER) -> Library:
    """All views and macros of a folder.

    Raises ViewError, which names the file, for a file that is not what its folder holds, names what does not exist or what its
    layer may not read, or stands in a circle.
    """
    macro_paths = sorted((folder / MACROS).glob("*.sql"))
    macros = {path.stem for path in macro_paths}
    with open_duckdb() as parser:
        found: dict[str, Definition] = {path.stem: load_macro(parser, path, macros) for path in macro_paths}
        for layer in VIEW_LAYERS:
            for path in sorted((folder / layer).glob("*.sql")):
                found[f"{layer}.{path.stem}"] = load_view(parser, path, layer, macros)
    for one in found.values():
        for name in one.reads:
            _check_read(one, name, found)
        for name in one.calls:
            _check_call(one, found[name])
    try:
        order = list(graphlib.TopologicalSorter({name: _needs(one, found) for name, one in found.items()}).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ViewError(f"Files of {folder} read each other in a circle: {circle}. Move what they share into a view of its own.") from None
    return Library({name: found[name] for name in order})


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
        except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
            raise ViewError(f"{one.path} does not fit what it reads: {error}") from None
        kind = "view" if isinstance(one, View) else "macro table" if one.is_table else "macro"
        con.execute(f"comment on {kind} {one.name} is {quoted(one.grain)}")


def create_all(con: duckdb.DuckDBPyConnection, library: Library, settings: Settings) -> None:
    """Create `settings` and everything of the library."""
    create_base(con, settings)
    create_definitions(con, library.definitions.values())


def _needs(one: Definition, found: Collection[str]) -> list[str]:
    return [*(name for name in one.reads if name in found), *one.calls]


def _check_read(one: Definition, name: str, found: Mapping[str, Definition]) -> None:
    schema = name.rpartition(".")[0]
    if name == SETTINGS:
        return
    if schema == LAKE:
        if one.layer != "staging":
            raise ViewError(f"{one.path} reads '{name}'; only staging reads the lake. Read the staging view of that table.")
        return
    if not schema or name not in found:
        views = sorted(view for view in found if "." in view)
        raise ViewError(f"{one.path} reads '{name}', which is no view; expected layer.name, one of {', '.join(views)}.")
    if one.layer == MACROS and schema != "core":
        raise ViewError(f"{one.path} reads '{name}'; a macro reads core and settings, never {schema}.")
    if not may_read(one.layer, schema):
        raise ViewError(f"{one.path} reads '{name}'; a view of {one.layer} reads its own layer and those below it, never {schema}.")


def _check_call(one: Definition, macro: Definition) -> None:
    """A macro of values alone may be called everywhere; one of tables only from above core."""
    assert isinstance(macro, Macro)
    if macro.is_table and LAYERS[one.layer] < LAYERS[MACROS]:
        raise ViewError(f"{one.path} calls '{macro.name}', a macro of a table; a view of {one.layer} calls macros of values only.")
