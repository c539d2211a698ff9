"""`headwater retention`: who comes back, cohort by cohort."""

from typing import Annotated

import typer

from pipeline.answers.answer import AsCsv, AsJson, PngFile, write
from pipeline.answers.days import App, FromDay, Subject, ToDay, describe_zone, read_days
from pipeline.answers.output_check import check_output
from pipeline.answers.retention_question import RetentionAsked, ask_retention
from pipeline.ask.reader import open_reader
from pipeline.config import load_settings

app = typer.Typer()


@app.command()
def retention(
    from_day: FromDay = "",
    to_day: ToDay = "",
    period: Annotated[str, typer.Option("--period", help="day, week (from Monday) or month.")] = "day",
    start: Annotated[
        str, typer.Option("--start", metavar="STEP", help="What makes a start, as funnel reads steps. Without it, anything done.")
    ] = "",
    back: Annotated[str, typer.Option("--return", metavar="STEP", help="What makes a return. Without it, anything done.")] = "",
    kind: Annotated[
        str, typer.Option("--kind", help="first_time: cohorts of the first start ever; recurring: of each period with a start.")
    ] = "first_time",
    subject: Subject = "endpoint",
    app_id: App = "",
    png: PngFile = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Of those who started, the share that came back: by cohort, on the whole, and against as many periods just before."""
    check_output(as_json, as_csv, png)
    settings = load_settings()
    days = read_days(settings, from_day, to_day, app_id)
    asked = RetentionAsked(period, start, back, kind, subject, app_id)
    with open_reader(settings) as reader:
        answer = ask_retention(reader, asked, days, describe_zone(settings, app_id))
    write(answer, as_json, as_csv, png)
