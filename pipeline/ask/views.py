"""The views: each file of queries/<layer>/ is one bare select; they are read, checked against the layers, ordered and created."""

import graphlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.ask.sql_tree import RefusedError, Relation, survey_select
from pipeline.bare_duckdb import open_duckdb
from pipeline.config import Settings
from schemas.errors import UsageError

FOLDER = Path(__file__).parent.parent.parent / "queries"

# A layer reads its own and those below it. kpis and segments stand side by side: neither reads the other.
LAYERS = {"staging": 0, "core": 1, "kpis": 2, "segments": 2, "checks": 3}
LAKE = "lake"
SETTINGS = "settings"


class ViewError(UsageError):
    """A file of queries/ breaks a rule of its folder."""


@dataclass(frozen=True)
class View:
    """A file of queries/: `name` is layer.stem, `grain` its first line, `reads` the relations that it names, in order of name."""

    name: str
    grain: str
    sql: str
    reads: tuple[str, ...]
    path: Path

    @property
    def layer(self) -> str:
        return self.name.split(".")[0]


def load_views(folder: Path = FOLDER) -> list[View]:
    """All views of a folder, each after those that it reads.

    Raises ViewError, which names the file, for a file that is not one bare select with its grain in the first line, reads what
    does not exist or what its layer may not read, or stands in a circle.
    """
    with open_duckdb() as parser:
        found = {
            view.name: view
            for layer in LAYERS
            for path in sorted((folder / layer).glob("*.sql"))
            for view in [_load_view(parser, path, layer)]
        }
    for view in found.values():
        for name in view.reads:
            _check_layer(view, name, found)
    graph = {view.name: [name for name in view.reads if name in found] for view in found.values()}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ViewError(f"Views of {folder} read each other in a circle: {circle}. Move what they share into a view of its own.") from None
    return [found[name] for name in order]


def create_views(con: duckdb.DuckDBPyConnection, views: Iterable[View], settings: Settings) -> None:
    """Create the view `settings` and all views, in the order given, over relations `lake.<table>` that exist already."""
    con.execute(settings_view_sql(settings))
    for layer in LAYERS:
        con.execute(f"create schema if not exists {layer}")
    for view in views:
        try:
            con.execute(f"create or replace view {view.name} as {view.sql}")
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise ViewError(f"{view.path} does not fit what it reads: {error}") from None
        con.execute(f"comment on view {view.name} is '{view.grain.replace(chr(39), chr(39) * 2)}'")


def settings_view_sql(settings: Settings) -> str:
    """The one-row view `settings`: those settings that decide what a view says, under their own names."""
    return f"""
        create or replace view {SETTINGS} as
        select
            {settings.session_gap_mins!r}::double as session_gap_mins,
            {settings.late_hours!r}::double as late_hours,
            {settings.future_secs!r}::double as future_secs,
            {settings.dedup_enabled} as dedup_enabled,
            {settings.dedup_window_hours!r}::double as dedup_window_hours
    """


def askable(views: Sequence[View]) -> frozenset[str]:
    """The names that SQL from people may read: the views and `settings`, never the lake's tables under them."""
    return frozenset([SETTINGS, *(view.name for view in views)])


def _load_view(parser: duckdb.DuckDBPyConnection, path: Path, layer: str) -> View:
    text = path.read_text()
    first = text.split("\n", 1)[0]
    if not first.startswith("-- One row "):
        raise ViewError(f"{path} begins with '{first[:60]}'; expected its grain, for example: -- One row per event.")
    try:
        survey = survey_select(parser, text)
    except (RefusedError, duckdb.ParserException) as error:
        raise ViewError(f"{path} is not one bare select: {error}") from None
    return View(
        name=f"{layer}.{path.stem}",
        grain=first.removeprefix("-- ").strip(),
        sql=text.strip().rstrip(";"),
        reads=tuple(sorted(str(_unqualified_main(relation)) for relation in survey.relations)),
        path=path,
    )


def _unqualified_main(relation: Relation) -> Relation:
    return Relation("", "", relation.name) if relation.schema == "main" else relation


def _check_layer(view: View, name: str, found: dict[str, View]) -> None:
    schema = name.rpartition(".")[0]
    if name == SETTINGS:
        return
    if schema == LAKE:
        if view.layer != "staging":
            raise ViewError(f"{view.path} reads '{name}'; only staging reads the lake. Read the staging view of that table.")
        return
    if name not in found:
        raise ViewError(f"{view.path} reads '{name}', which is no view; expected layer.name, one of {', '.join(sorted(found))}.")
    if schema != view.layer and LAYERS[schema] >= LAYERS[view.layer]:
        raise ViewError(f"{view.path} reads '{name}'; a view of {view.layer} reads its own layer and those below it, never {schema}.")
