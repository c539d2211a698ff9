"""`headwater views`: what can be asked, with the grain of each view and macro."""

import sys
from typing import Any

import typer
from rich.console import Console
from rich.syntax import Syntax

from pipeline.ask.library import Definition, load_library
from pipeline.ask.nearest import hint
from pipeline.ask.reader import open_empty_reader
from pipeline.ask.views import View
from pipeline.config import load_settings
from pipeline.report import print_json, print_rows
from schemas.errors import UsageError

app = typer.Typer()

JSON = typer.Option(False, "--json", help="Print JSON.")


@app.callback(invoke_without_command=True)
def views(context: typer.Context, as_json: bool = JSON) -> None:
    """List the views and macros with their grain, or show one: 'headwater views show core.sessions'."""
    if context.invoked_subcommand is None:
        list_views(as_json)


@app.command("list")
def list_views(as_json: bool = JSON) -> None:
    """List the views, then the macros. JSON: a list of {view, grain, reads} and {macro, grain, parameters, reads}."""
    library = load_library()
    found: list[Definition] = [*sorted(library.views, key=lambda one: one.name), *sorted(library.macros, key=lambda one: one.name)]
    if as_json:
        print_json([_as_json(one) for one in found])
    else:
        print_rows(["view or macro", "grain"], [(one.name if isinstance(one, View) else one.signature, one.grain) for one in found])


@app.command("show")
def show_view(name: str = typer.Argument(..., help="A view or macro, for example core.sessions."), as_json: bool = JSON) -> None:
    """Show one: grain, columns or parameters, SQL. Needs no lake.

    JSON: {view, grain, reads, columns: [{name, type}], sql}, or {macro, grain, parameters: [{name, default}], reads, sql}.
    """
    with open_empty_reader(load_settings()) as reader:
        found = reader.library.definitions
        if name not in found:
            raise UsageError(f"View '{name}' is not there.{hint(name, found, cutoff=0.3)} 'headwater views' lists them.")
        one = found[name]
        columns = [(column, kind.lower()) for column, kind in reader.columns(name)] if isinstance(one, View) else []
    if as_json:
        shown = {"columns": [{"name": column, "type": kind} for column, kind in columns]} if isinstance(one, View) else {}
        print_json(_as_json(one) | shown | {"sql": one.sql})
        return
    if isinstance(one, View):
        print_rows(["column", "type"], columns, title=f"{one.name}: {one.grain}")
    else:
        defaults = [(parameter.name, "(must be given)" if parameter.default is None else parameter.default) for parameter in one.parameters]
        print_rows(["parameter", "default"], defaults, title=f"{one.name}: {one.grain}")
    if sys.stdout.isatty():
        Console().print(Syntax(one.sql, "sql", background_color="default", word_wrap=True))
    else:
        # As it stands in the file: what is wrapped would not parse.
        print(one.sql)


def _as_json(one: Definition) -> dict[str, Any]:
    reads = [*one.reads, *one.calls]
    if isinstance(one, View):
        return {"view": one.name, "grain": one.grain, "reads": reads}
    parameters = [{"name": parameter.name, "default": parameter.default} for parameter in one.parameters]
    return {"macro": one.name, "grain": one.grain, "parameters": parameters, "reads": reads}
