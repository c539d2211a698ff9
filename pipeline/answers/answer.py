"""An answer: its figures beside those of the period before, its definition, its rows and its picture; and the ways in which it is written."""

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.answers.change import Figure, write_number
from pipeline.answers.days import Days
from pipeline.answers.picture import Picture
from pipeline.answers.terminal_chart import draw_picture
from pipeline.ask.output_formats import Format, write_answer
from pipeline.bare_duckdb import open_duckdb
from pipeline.report import as_shown_text, print_json

# In a pipe there is no width; a table of a terminal's usual one is read everywhere.
_PIPE_WIDTH = 100

AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print JSON: {title, from, to, before: {from, to}, is_over, definition, figures: [{name, value, before, change, change_share, kind}], rows, notes}.",
    ),
]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV.")]
PngFile = Annotated[Path | None, typer.Option("--png", metavar="FILE", help=r"Draw the picture into this file too; needs headwater\[png].")]


@dataclass(frozen=True)
class Answer:
    """What a command says. `definition` says what is counted: meaning, numerator, denominator, clock, zone, and where its SQL is."""

    title: str
    days: Days
    before: Days
    definition: Mapping[str, str]
    figures: Sequence[Figure]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    picture: Picture
    notes: Sequence[str] = field(default=())
    # Where nothing was found the text has no picture: an empty one would only show a scale.
    is_empty: bool = False


def write(answer: Answer, as_json: bool, as_csv: bool, png: Path | None) -> None:
    """Write it to standard output, and its picture to a file when there is one.

    The two formats and the file are those that `pipeline.answers.output_check` found to be good.
    """
    if png is not None:
        from pipeline.answers.png_picture import write_png

        write_png(answer.picture, png)
        print(f"Wrote {png}.", file=sys.stderr)
    if as_json:
        print_json(as_dict(answer))
    elif as_csv:
        _write_csv(answer)
    else:
        console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
        print_answer(answer, console)


def as_dict(answer: Answer) -> dict[str, Any]:
    """For programs."""
    return {
        "title": answer.title,
        **answer.days.texts,
        "before": answer.before.texts,
        "is_over": answer.days.is_over,
        "definition": dict(answer.definition),
        "figures": [figure.as_json() for figure in answer.figures],
        "rows": [dict(zip(answer.columns, row, strict=True)) for row in answer.rows],
        "notes": list(answer.notes),
    }


def print_answer(answer: Answer, console: Console) -> None:
    """For people: the figures first, then the picture, then what they mean."""
    console.print(Text.assemble((answer.title, "bold"), f"  {answer.days}"))
    figures = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, side in (("", "left"), ("", "right"), (f"before ({answer.before})", "right"), ("change", "right")):
        figures.add_column(name, justify="left" if side == "left" else "right", overflow="fold")
    for figure in answer.figures:
        figures.add_row(
            Text(as_shown_text(figure.name)),
            Text.assemble((write_number(figure.value, figure.kind), "bold"), f" {figure.unit}" if figure.unit else ""),
            Text(write_number(figure.before, figure.kind)),
            Text(figure.change_text),
        )
    console.print(figures)
    console.print()
    if not answer.is_empty:
        console.print(draw_picture(answer.picture, console.width))
        console.print()
    said = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    said.add_column(style="dim", no_wrap=True)
    said.add_column(overflow="fold")
    for name, text in answer.definition.items():
        said.add_row(Text(name), Text(text))
    console.print(said)
    for note in answer.notes:
        console.print(Text(as_shown_text(note), style="yellow"))


def note_running(days: Days) -> list[str]:
    """Days that are not over are said: their numbers still grow, those before do not."""
    return [] if days.is_over else [f"{days.today} is not over, the days before are: a fall may only be the hour."]


def _write_csv(answer: Answer) -> None:
    """As headwater sql --format csv writes it."""
    columns = {name: [_plain(row[place]) for row in answer.rows] for place, name in enumerate(answer.columns)}
    with open_duckdb() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("rows", pa.table(columns))
        write_answer(con.execute("from rows"), Format.CSV, None)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, (dt.date, dt.datetime)) else value
