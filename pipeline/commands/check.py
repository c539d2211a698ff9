"""`headwater check`: run queries/checks; exit 1 when one returns rows."""

import typer
from rich.console import Console
from rich.progress import track

from pipeline.ask.checks import CheckResult, check_names, run_check
from pipeline.ask.output_formats import as_text
from pipeline.ask.reader import open_reader
from pipeline.config import load_settings
from pipeline.report import print_json, print_rows

app = typer.Typer()


@app.command()
def check(
    as_json: bool = typer.Option(False, "--json", help="Print JSON: {ok, checks: [{check, ok, grain, row_count, rows}]}; rows: the first."),
) -> None:
    """Run every check of queries/checks over the lake as it is now. Exit 1 when one returns rows."""
    with open_reader(load_settings()) as reader:
        names = track(check_names(reader), "Checking", console=Console(stderr=True), transient=True)
        results = [run_check(reader, name) for name in names]
    if as_json:
        print_json({"ok": all(result.is_ok for result in results), "checks": [_as_json(result) for result in results]})
    else:
        print_rows(["check", "result", "rows"], [(result.name, "ok" if result.is_ok else "FAILED", result.row_count) for result in results])
        for result in results:
            _print_failure(result)
    if not all(result.is_ok for result in results):
        raise typer.Exit(1)


def _as_json(result: CheckResult) -> dict[str, object]:
    return {"check": result.name, "ok": result.is_ok, "grain": result.grain, "row_count": result.row_count, "rows": result.rows}


def _print_failure(result: CheckResult) -> None:
    if result.is_ok:
        return
    rows = [[as_text(value) for value in row.values()] for row in result.rows]
    print_rows(list(result.rows[0]), rows, title=f"{result.name}: {result.grain} First {len(rows)} of {result.row_count:,}.")
