"""`headwater kpi`: a number by its name, with its definition and the change against the days before."""

from typing import Annotated

import typer

from pipeline.answers.answer import AsCsv, AsJson, PngFile, write
from pipeline.answers.days import App, FromDay, ToDay, describe_zone, read_days
from pipeline.answers.kpi_list import list_kpis
from pipeline.answers.kpi_question import ask_kpi
from pipeline.answers.output_check import check_output
from pipeline.ask.reader import open_reader
from pipeline.config import load_settings

app = typer.Typer()


@app.command()
def kpi(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="A KPI, for example txn-emails-delivery-rate. Without it, all are listed.")
    ] = "",
    from_day: FromDay = "",
    to_day: ToDay = "",
    by: Annotated[
        str,
        typer.Option("--by", help="A column to break it down by, for example campaign_id. Without it, what the name groups by, or days."),
    ] = "",
    app_id: App = "",
    png: PngFile = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """A KPI over days: the number, its definition, the change against as many days just before, a chart. Without a name, list them all."""
    check_output(as_json, as_csv, png)
    settings = load_settings()
    if not name:
        list_kpis(settings, as_json, as_csv)
        return
    days = read_days(settings, from_day, to_day, app_id)
    with open_reader(settings) as reader:
        answer = ask_kpi(reader, name, days, describe_zone(settings, app_id), by, app_id)
    write(answer, as_json, as_csv, png)
