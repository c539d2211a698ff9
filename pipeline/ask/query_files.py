"""The files of a folder of queries: what each is called, what it holds, whether it uses only what its layer may, and in which order they can be created."""

import graphlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import duckdb

from pipeline.ask.layers import LAKE, LAYERS, MACROS, SETTINGS, VIEW_LAYERS, ViewError, may_read
from pipeline.ask.macros import Macro, load_macro
from pipeline.ask.views import View, load_view

Definition = View | Macro


class QueryFile(NamedTuple):
    """A file of a layer's folder: `name` is layer.stem, of a macro the stem."""

    name: str
    layer: str
    path: Path


def list_files(folder: Path) -> Iterator[QueryFile]:
    """The files of the layers, macros first, in order of name."""
    for layer in (MACROS, *VIEW_LAYERS):
        for path in sorted((folder / layer).glob("*.sql")):
            yield QueryFile(path.stem if layer == MACROS else f"{layer}.{path.stem}", layer, path)


def load_file(parser: duckdb.DuckDBPyConnection, file: QueryFile, macros: Collection[str]) -> Definition:
    """Read one; `macros` are the names of all there are. Raises ViewError when it cannot be read, or is not what its folder holds."""
    try:
        return load_macro(parser, file.path, macros) if file.layer == MACROS else load_view(parser, file.path, file.layer, macros)
    except (OSError, UnicodeDecodeError) as error:
        raise ViewError(f"{file.path} cannot be read ({error}); expected a file of SQL in UTF-8.") from None


def check_uses(one: Definition, known: Mapping[str, Definition]) -> None:
    """Raises ViewError, which names the file, when it names what does not exist or what its layer may not read or call."""
    for name in one.reads:
        _check_read(one, name, known)
    for name in one.calls:
        _check_call(one, known[name])


def names_used(one: Definition, known: Collection[str]) -> list[str]:
    """The views that it reads and the macros that it calls."""
    return [*(name for name in one.reads if name in known), *one.calls]


def put_in_order(found: Mapping[str, Definition]) -> dict[str, Definition]:
    """Each after those that it names. Raises graphlib.CycleError for a circle."""
    order = graphlib.TopologicalSorter({name: names_used(one, found) for name, one in found.items()}).static_order()
    return {name: found[name] for name in order}


def _check_read(one: Definition, name: str, known: Mapping[str, Definition]) -> None:
    schema = name.rpartition(".")[0]
    if name == SETTINGS:
        return
    if schema == LAKE:
        if one.layer != "staging":
            raise ViewError(f"{one.path} reads '{name}'; only staging reads the lake. Read the staging view of that table.")
        return
    if not schema or name not in known:
        views = sorted(view for view in known if "." in view)
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
