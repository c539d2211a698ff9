"""`headwater funnel`: how many came how far, step by step."""

from typing import Annotated

import typer

from pipeline.answers.answer import AsCsv, AsJson, PngFile, write
from pipeline.answers.days import App, FromDay, Subject, ToDay, describe_zone, read_days
from pipeline.answers.funnel_question import FunnelAsked, ask_funnel
from pipeline.answers.output_check import check_output
from pipeline.ask.reader import open_reader
from pipeline.config import load_settings

app = typer.Typer()

_STEP = r"A type of event, with conditions in brackets: purchase\[category=shoes|boots][_item_price>=10]."


@app.command()
def funnel(
    steps: Annotated[list[str], typer.Argument(metavar="STEP...", help=_STEP)],
    from_day: FromDay = "",
    to_day: ToDay = "",
    within: Annotated[str, typer.Option("--within", help="Time from the first step to the last, for example 30m, 2h, 7d.")] = "1d",
    by: Annotated[str, typer.Option("--by", help="A column (platform, country, ...) or attribute of the first step's event.")] = "",
    order: Annotated[str, typer.Option("--order", help="strict: one after the other; any: in whatever order.")] = "strict",
    subject: Subject = "endpoint",
    app_id: App = "",
    png: PngFile = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """How many did the steps one after the other: counts, shares, times, the change against as many days just before, a chart."""
    check_output(as_json, as_csv, png)
    settings = load_settings()
    days = read_days(settings, from_day, to_day, app_id)
    asked = FunnelAsked(steps, within, by, order, subject, app_id)
    with open_reader(settings) as reader:
        answer = ask_funnel(reader, asked, days, describe_zone(settings, app_id))
    write(answer, as_json, as_csv, png)
