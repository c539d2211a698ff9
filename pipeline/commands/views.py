"""`headwater views`: what can be asked, with the grain of each view and macro."""

import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.syntax import Syntax

from pipeline.ask.library import Library, load_library
from pipeline.ask.nearest import hint
from pipeline.ask.query_files import Definition
from pipeline.ask.reader import Reader, open_empty_reader
from pipeline.ask.views import View
from pipeline.config import load_settings
from pipeline.dialects.engine import Engine
from pipeline.report import print_json, print_rows
from schemas.errors import UsageError

app = typer.Typer()

JSON = typer.Option(False, "--json", help="Print JSON.")
OUT = typer.Option(Path("build/views"), "--out", help="The folder of the site; it is made.")
DIALECT = typer.Option(None, "--dialect", help="In the SQL of another engine that reads the lake.")


@app.callback(invoke_without_command=True)
def views(context: typer.Context, as_json: bool = JSON, dialect: Engine | None = DIALECT) -> None:
    """List the views and macros with their grain, or show one: 'headwater views show core.sessions'.

    With --dialect, print a script that creates the views in Spark, Trino or Athena; at its end stands what is left out, and why.
    JSON: a list of {view, sql, reason}, one of the two being null.
    """
    if context.invoked_subcommand is not None:
        if as_json or dialect is not None:
            raise UsageError("--json and --dialect stand after the command: headwater views show NAME --dialect trino")
        return
    if dialect is None:
        list_views(as_json)
    else:
        print_script(dialect, as_json)


def print_script(engine: Engine, as_json: bool) -> None:
    """The library for another engine. Needs no lake."""
    from pipeline.dialects.script import translate_views, write_script

    settings = load_settings()
    with open_empty_reader(settings) as reader:
        translations = translate_views(reader, engine)
        if as_json:
            print_json([{"view": one.view.name, "sql": one.sql, "reason": one.reason} for one in translations])
        else:
            print(write_script(translations, reader, settings, engine))


@app.command("list")
def list_views(as_json: bool = JSON) -> None:
    """List the views, then the macros; those of HEADWATER_QUERIES_FOLDER too, and what of it is left out, and why.

    JSON: a list of {view, grain, reads}, {macro, grain, parameters, reads} and {left_out, reason}.
    """
    library = load_library(own=load_settings().queries_folder)
    found: list[Definition] = [*sorted(library.views, key=lambda one: one.name), *sorted(library.macros, key=lambda one: one.name)]
    if as_json:
        print_json(
            [*(_as_json(one) for one in found), *({"left_out": name, "reason": reason} for name, reason in library.left_out.items())]
        )
        return
    print_rows(["view or macro", "grain"], [(one.name if isinstance(one, View) else one.signature, one.grain) for one in found])
    for name, reason in library.left_out.items():
        print(f"Left out: {name}: {reason}", file=sys.stderr)


@app.command("show")
def show_view(
    name: str = typer.Argument(..., help="A view or macro, for example core.sessions."),
    as_json: bool = JSON,
    dialect: Engine | None = DIALECT,
) -> None:
    """Show one: grain, columns or parameters, SQL. Needs no lake.

    JSON: {view, grain, reads, columns: [{name, type}], sql}, or {macro, grain, parameters: [{name, default}], reads, sql}.
    """
    with open_empty_reader(load_settings()) as reader:
        one = _find(reader.library, name)
        sql = one.sql if dialect is None else _translate(reader, one, dialect)
        columns = [(column, kind.lower()) for column, kind in reader.columns(name)] if isinstance(one, View) else []
    if as_json:
        shown = {"columns": [{"name": column, "type": kind} for column, kind in columns]} if isinstance(one, View) else {}
        print_json(_as_json(one) | shown | {"sql": sql})
        return
    if isinstance(one, View):
        print_rows(["column", "type"], columns, title=f"{one.name}: {one.grain}")
    else:
        defaults = [(parameter.name, "(must be given)" if parameter.default is None else parameter.default) for parameter in one.parameters]
        print_rows(["parameter", "default"], defaults, title=f"{one.name}: {one.grain}")
    if sys.stdout.isatty():
        Console().print(Syntax(sql, "sql", background_color="default", word_wrap=True))
    else:
        # As it stands in the file: what is wrapped would not parse.
        print(sql)


@app.command("graph")
def show_graph(
    name: str = typer.Argument("", help="A view or macro; without it, everything."),
    is_mermaid: bool = typer.Option(False, "--mermaid", help="Print a flowchart for Markdown."),
    as_json: bool = JSON,
) -> None:
    """Show what a view stands on and what stands on it, all the way. Needs no lake.

    JSON: {names, edges: [{source, target}]}; the source is read by the target.
    """
    from pipeline.pages.site.graph import as_mermaid, as_trees, edges_of, walk_down, walk_up

    library = load_library(own=load_settings().queries_folder)
    edges = edges_of(library.definitions.values())
    # The lake's tables are in the graph, too.
    if name and name not in {source for source, _ in edges}:
        _find(library, name)
    shown = sorted({*walk_up(edges, name), *walk_down(edges, name)}) if name else edges
    if as_json:
        names = sorted({one for edge in shown for one in edge} | ({name} if name else set()))
        print_json({"names": names, "edges": [{"source": source, "target": target} for source, target in shown]})
    elif is_mermaid:
        print(as_mermaid(shown))
    else:
        for tree in as_trees(shown, name):
            Console(width=None if sys.stdout.isatty() else 160).print(tree)


@app.command("docs")
def write_docs(out: Path = OUT, as_json: bool = JSON) -> None:
    """Write a static site of the library: columns, types, meanings, lineage, who reads what. Needs no lake.

    JSON: {index, pages}, the page to open and how many there are.
    """
    from pipeline.pages.site.catalog import build_catalog
    from pipeline.pages.site.write import write_site

    settings = load_settings()
    with open_empty_reader(settings) as reader:
        pages = write_site(build_catalog(reader, settings.queries_folder), out)
    if as_json:
        print_json({"index": out / "index.html", "pages": len(pages)})
    else:
        print(f"{len(pages)} files; open {out / 'index.html'}")


def _find(library: Library, name: str) -> Definition:
    """Raises UsageError for a name that is not there, with the nearest, and for a file that is left out, with the reason."""
    if name in library.definitions:
        return library.definitions[name]
    if name in library.left_out:
        raise UsageError(f"'{name}' is left out: {library.left_out[name]}")
    raise UsageError(f"View '{name}' is not there.{hint(name, library.definitions, cutoff=0.3)} 'headwater views' lists them.")


def _translate(reader: Reader, one: Definition, engine: Engine) -> str:
    from pipeline.dialects.script import translate_views

    if not isinstance(one, View):
        raise UsageError(f"'{one.name}' is a macro; other engines have none. Views that call it are printed with what it stands for.")
    said = translate_views(reader, engine, one.name)[-1]
    if said.sql is None:
        raise UsageError(f"View '{one.name}' cannot be said for {engine}: {said.reason}.")
    return said.sql


def _as_json(one: Definition) -> dict[str, Any]:
    reads = [*one.reads, *one.calls]
    if isinstance(one, View):
        return {"view": one.name, "grain": one.grain, "reads": reads}
    parameters = [{"name": parameter.name, "default": parameter.default} for parameter in one.parameters]
    return {"macro": one.name, "grain": one.grain, "parameters": parameters, "reads": reads}
