"""`headwater sql`: ask the lake, read-only; a shell when called bare."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.ask.output_formats import ROWS_SHOWN, SUFFIXES, Format, choose_format, write_answer
from pipeline.ask.reader import open_reader
from pipeline.config import load_settings
from schemas.errors import UsageError

app = typer.Typer()

_PARAMETER = "Text bound as $NAME; SQL casts it: $NAME::int."


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(metavar="[SELECT]", help="One SELECT. Without it: --file, standard input, or a shell.")] = "",
    file: Annotated[Path | None, typer.Option("--file", help="Read the SELECT from this file.")] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="How the answer is written; without it, as the file's suffix says, or a table.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=f"Write the whole answer to this file: {', '.join(SUFFIXES)}.")
    ] = None,
    parameter: Annotated[list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help=_PARAMETER)] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows that a table shows.")] = ROWS_SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Ask the lake, read-only: the views of queries/, all pinned to one version. A shell when called bare."""
    form = Format.JSON if as_json else form or choose_format(output)
    text = _read_statement(statement, file)
    settings = load_settings()
    if not text and sys.stdin.isatty():
        from pipeline.ask.sql_shell import Shell

        shell = Shell(settings, Console(), rows)
        try:
            shell.run()
        finally:
            shell.close()
        return
    if not text:
        text = sys.stdin.read()
    parameters = dict(_split(given) for given in parameter or ())
    with Console(stderr=True).status("Asking the lake"), open_reader(settings) as reader, reader.ask(text, parameters) as answer:
        row_count = write_answer(answer, form, output, rows)
    if output is not None:
        print(f"Wrote {output}: {row_count:,} {'row' if row_count == 1 else 'rows'}, {form}.", file=sys.stderr)


def _read_statement(statement: str, file: Path | None) -> str:
    if file is None:
        return statement
    if statement:
        raise UsageError("There are a SELECT and --file; expected one of the two.")
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"File '{file}' cannot be read: {error}; expected a text file with one SELECT.") from None


def _split(given: str) -> tuple[str, str]:
    name, found, value = given.partition("=")
    if not found or not name.isidentifier():
        raise UsageError(f"Parameter '{given}' is not NAME=VALUE; expected for example -p day=2026-11-01, used as $day::date.")
    return name, value
