"""`headwater views`: what can be asked, with the grain of each view."""

import difflib
import sys

import typer
from rich.console import Console
from rich.syntax import Syntax

from pipeline.ask.reader import open_empty_reader
from pipeline.ask.views import load_views
from pipeline.config import load_settings
from pipeline.report import print_json, print_rows
from schemas.errors import UsageError

app = typer.Typer()

JSON = typer.Option(False, "--json", help="Print JSON.")


@app.callback(invoke_without_command=True)
def views(context: typer.Context, as_json: bool = JSON) -> None:
    """List the views with their grain, or show one: 'headwater views show core.sessions'."""
    if context.invoked_subcommand is None:
        list_views(as_json)


@app.command("list")
def list_views(as_json: bool = JSON) -> None:
    """List the views. JSON: a list of {view, grain, reads}."""
    found = sorted(load_views(), key=lambda view: view.name)
    if as_json:
        print_json([{"view": view.name, "grain": view.grain, "reads": list(view.reads)} for view in found])
    else:
        print_rows(["view", "grain"], [(view.name, view.grain) for view in found])


@app.command("show")
def show_view(name: str = typer.Argument(..., help="A view, for example core.sessions."), as_json: bool = JSON) -> None:
    """Show one view: grain, columns, SQL. JSON: {view, grain, reads, columns: [{name, type}], sql}. Needs no lake."""
    with open_empty_reader(load_settings()) as reader:
        found = {view.name: view for view in reader.views}
        if name not in found:
            close = difflib.get_close_matches(name, sorted(found), n=1, cutoff=0.3)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise UsageError(f"View '{name}' is not there.{hint} 'headwater views' lists them.")
        view, columns = found[name], reader.columns(name)
    if as_json:
        print_json(
            {
                "view": view.name,
                "grain": view.grain,
                "reads": list(view.reads),
                "columns": [{"name": column, "type": kind.lower()} for column, kind in columns],
                "sql": view.sql,
            }
        )
    else:
        print_rows(["column", "type"], [(column, kind.lower()) for column, kind in columns], title=f"{view.name}: {view.grain}")
        if sys.stdout.isatty():
            Console().print(Syntax(view.sql, "sql", background_color="default", word_wrap=True))
        else:
            # As it stands in the file: what is wrapped would not parse.
            print(view.sql)
