"""`headwater import`: archives of events and files of endpoints, through Kafka, each file once for ever."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer
from typer.core import TyperGroup

from pipeline.config import load_settings
from pipeline.definitions.apps import require_app
from pipeline.definitions.database import opened_definitions, reading
from pipeline.endpoints.files.imports import EndpointImportOptions, import_endpoints
from pipeline.imports.event_files import ImportOptions
from pipeline.imports.mapping_file import load_mapping, require_fields
from pipeline.imports.outcome import Outcome, Status
from pipeline.imports.run import import_addresses
from pipeline.lean_memory import collect_seldom
from pipeline.report import format_value, print_json, print_rows
from schemas.errors import UsageError

SHOWN_FILES = 20
COUNTS = ("rows", "sent", "acknowledged", "rejected", "identical", "left_out")


class _EventsUnlessSaid(TyperGroup):
    """`headwater import PATHS...` imports events: a first word that is none of the commands below belongs to `events`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_said = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if is_said else ["events", *args])


app = typer.Typer(cls=_EventsUnlessSaid, help="Send archives of events, or files of endpoints, through Kafka, each file once for ever.")


@app.command()
def endpoints(
    paths: Annotated[list[str], typer.Argument(help="Files or folders, local or s3://bucket/prefix: CSV, NDJSON; .gz, .zst.")],
    app_id: Annotated[str, typer.Option("--app", help="The app that the endpoints belong to.")],
    again: Annotated[bool, typer.Option("--again", help="Import files that were imported before once more.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON: files (one object each) and totals.")] = False,
) -> None:
    """Send files of endpoints, as Pinpoint imports and exports them, as updates; goes on where it was stopped.

    Exit status 1 when a file was not read to its end or a row was rejected.
    """
    collect_seldom()
    settings = load_settings()
    # The API would show endpoints of no other app.
    with opened_definitions(settings) as engine, reading(engine) as connection:
        require_app(connection, app_id)
    options = EndpointImportOptions(app_id, again, dry_run, shows_progress=not as_json)
    _report(import_endpoints(settings, paths, options), as_json)


@app.command()
def events(
    paths: Annotated[
        list[str], typer.Argument(help="Files or folders, local or s3://bucket/prefix: NDJSON, Parquet, Avro, CSV; .gz, .zst.")
    ],
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="TOML file: which column is which field. Default: stream records.")
    ] = None,
    app_id: Annotated[str | None, typer.Option("--app", help="App of rows that name none; wins over the mapping's.")] = None,
    identical_rows: Annotated[
        str, typer.Option("--identical-rows", help="keep: rows equal to an earlier one are events too; one: leave them out.")
    ] = "keep",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and map everything, send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON: files (one object each) and totals.")] = False,
) -> None:
    """Send archives through Kafka as stream records, each file once for ever; goes on where it was stopped.

    Exit status 1 when a file was not read to its end or a row was rejected.
    """
    if identical_rows not in {"keep", "one"}:
        raise UsageError(f"Option --identical-rows is '{identical_rows}'; expected keep or one.")
    found = load_mapping(mapping) if mapping is not None else None
    if found is not None:
        require_fields(found, app_id)
    options = ImportOptions(found, app_id, cast(Literal["keep", "one"], identical_rows), dry_run, shows_progress=not as_json)
    _report(import_addresses(load_settings(), paths, options), as_json)


def _report(outcomes: list[Outcome], as_json: bool) -> None:
    if as_json:
        print_json({"files": [outcome.as_json() for outcome in outcomes], "totals": totals(outcomes)})
    else:
        print_outcomes(outcomes)
    if not all(outcome.is_well for outcome in outcomes):
        raise typer.Exit(1)


def totals(outcomes: list[Outcome]) -> dict[str, int]:
    """Counts of all files together, and how many files ended in each way."""
    counts = {name: sum(getattr(outcome, name) for outcome in outcomes) for name in COUNTS}
    return counts | {f"files_{status}": sum(outcome.status == status for outcome in outcomes) for status in Status}


def print_outcomes(outcomes: list[Outcome]) -> None:
    """A table of the files (of the ones with something to say, when there are many), then what did not map and what was rejected."""
    shown = outcomes if len(outcomes) <= SHOWN_FILES else [outcome for outcome in outcomes if not outcome.is_well][:SHOWN_FILES]
    rows: list[list[Any]] = [[outcome.file, str(outcome.status), *(getattr(outcome, name) for name in COUNTS)] for outcome in shown]
    if len(outcomes) > 1:
        summed = totals(outcomes)
        rows.append([f"{len(outcomes)} files", "", *(summed[name] for name in COUNTS)])
    print_rows(["file", "", *(name.replace("_", " ") for name in COUNTS)], rows)
    for outcome in shown:
        for line in _remarks(outcome):
            print(f"{Path(outcome.file).name}: {line}")


def _remarks(outcome: Outcome) -> list[str]:
    remarks = [outcome.message] if outcome.message else []
    if outcome.first_event_at is not None and outcome.last_event_at is not None:
        remarks.append(f"events from {_moment(outcome.first_event_at)} to {_moment(outcome.last_event_at)}")
    if outcome.unmapped:
        remarks.append(f"did not map: {', '.join(outcome.unmapped)}")
    if outcome.rejected:
        reasons = [f"{format_value(count)} x {reason}" for reason, count in outcome.rejected_reasons.most_common(3)]
        remarks.append(f"rejected: {'; '.join(reasons)}; each row is in {outcome.rejected_file}")
    return remarks


def _moment(milliseconds: int) -> str:
    return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)).strftime("%Y-%m-%d %H:%M:%S UTC")
