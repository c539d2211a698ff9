"""`headwater check`: run queries/checks and those of one's own; exit 1 when one fails."""

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from pipeline.ask.checks import CheckResult, State, choose_checks, left_out_checks, run_check
from pipeline.ask.output_formats import as_text
from pipeline.ask.reader import open_reader
from pipeline.config import load_settings
from pipeline.report import print_json, print_rows

app = typer.Typer()

_SHOWN = {State.OK: "ok", State.WARN: "warning", State.FAIL: "FAILED", State.ERROR: "NOT RUN"}


@app.command()
def check(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A check to run, for example sessions_cover_activity; may be given several times."),
    ] = None,
    as_json: bool = typer.Option(
        False,
        "--json",
        help="Print JSON: {ok, checks: [{check, severity, state, ok, grain, secs, row_count, rows, error}]}; rows: the first; state: ok, warn, fail, error.",
    ),
) -> None:
    """Run every check of queries/checks and of HEADWATER_QUERIES_FOLDER over the lake as it is now, or those of --only.

    Exit 1 when one of severity fail returns rows, or one could not be run; rows of severity warn are shown.
    """
    with open_reader(load_settings()) as reader:
        names = track(
            choose_checks(reader.views, only or [], reader.library.left_out), "Checking", console=Console(stderr=True), transient=True
        )
        results = [run_check(reader, name) for name in names]
        # Whoever asks for some by name has those; whoever asks for all learns of each that is not among them.
        results += [] if only else left_out_checks(reader.library.left_out)
    is_ok = all(result.is_ok for result in results)
    if as_json:
        print_json({"ok": is_ok, "checks": [_as_json(result) for result in results]})
    else:
        print_rows(
            ["check", "severity", "result", "rows"],
            [(result.name, result.severity, _SHOWN[result.state], result.row_count) for result in results],
        )
        for result in results:
            _print_findings(result)
    if not is_ok:
        raise typer.Exit(1)


def _as_json(result: CheckResult) -> dict[str, object]:
    return {
        "check": result.name,
        "severity": result.severity,
        "state": result.state,
        "ok": result.is_ok,
        "grain": result.grain,
        "secs": round(result.secs, 3),
        "row_count": result.row_count,
        "rows": result.rows,
        "error": result.error,
    }


def _print_findings(result: CheckResult) -> None:
    if result.error is not None:
        print(f"{result.name} could not be run: {result.error}")
    elif result.rows:
        rows = [[as_text(value) for value in row.values()] for row in result.rows]
        print_rows(list(result.rows[0]), rows, title=f"{result.name}: {result.grain} First {len(rows)} of {result.row_count:,}.")
