"""`headwater dead-letters`: what did not become an event, and why; commands/replay.py sends it again."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import typer

from agents.avro.schemas import AvroSchemas
from agents.decode_avro import decode_values, find_avro
from pipeline.bare_duckdb import open_duckdb
from pipeline.commands.replay import replay
from pipeline.config import load_settings
from pipeline.event_stream import build_avro_schemas
from pipeline.replay.selection import parse_position
from pipeline.report import as_base64, as_shown_text, print_figures, print_json, print_rows
from pipeline.stores import build_store
from schemas.errors import UnavailableError, UsageError
from schemas.records import Reason
from schemas.tables import load_table
from sinks.lake import LakeTable

app = typer.Typer(no_args_is_help=True, help="List, show or replay what did not become an event.")

_LIST_COLUMNS = ("appended_at", "reason", "error", "value", "value_bytes", "event_id", "position")
_VALUE_SHOWN_MAX = 60


@app.command("list")
def list_dead_letters(
    reason: str = typer.Option("", help="Only those of this reason."),
    limit: int = typer.Option(20, min=1, help="At most so many, newest first."),
    count: bool = typer.Option(False, "--count", help="Only how many there are of each reason."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: a list with the same columns, values in base64."),
) -> None:
    """List dead letters, newest first; POSITION is what `show` takes."""
    if reason and reason not in {one.value for one in Reason}:
        raise UsageError(f"Option '--reason' is '{reason}'; expected one of {', '.join(one.value for one in Reason)}.")
    rows = _dataset(ds.field("reason") == reason if reason else None)
    connection = open_duckdb()
    connection.register("rows", rows)
    if count:
        found = connection.sql("select reason, count(*) as dead_letters from rows group by all order by 2 desc, 1")
        _print(found.columns, found.fetchall(), as_json)
        return
    found = connection.sql(
        f"""
        select _appended_at::varchar as appended_at, reason, error, value, value_bytes, event_id,
            topic || '/' || _partition || '/' || _offset as position
        from rows order by _appended_at desc, _partition, _offset desc limit {limit:d}
        """
    )
    listed = found.fetchall()
    if as_json:
        _print(_LIST_COLUMNS, listed, as_json)
        return
    shown = [_LIST_COLUMNS.index(name) for name in ("position", "reason", "event_id", "error")]
    _print([_LIST_COLUMNS[place] for place in shown], [tuple(row[place] for place in shown) for row in listed], as_json)
    total = rows.count_rows()
    if total > len(listed):
        print(
            f"The newest {len(listed)} of {total:,}; --limit shows more, --reason fewer, --count how many of each, `show POSITION` one whole."
        )


@app.command()
def show(
    position: str = typer.Argument(help="topic/partition/offset, as `list` prints it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: every column, bytes in base64."),
) -> None:
    """Show one dead letter whole; one that came as Avro also as the JSON that it says."""
    topic, partition, offset = parse_position(position)
    is_wanted = (ds.field("topic") == topic) & (ds.field("_partition") == partition) & (ds.field("_offset") == offset)
    rows = _dataset(is_wanted).to_table().to_pylist()
    if not rows:
        raise UsageError(f"No dead letter lies at '{position}'; 'headwater dead-letters list' shows those that there are.")
    schemas = build_avro_schemas(load_settings())
    for row in rows:
        if (said := explain_avro(row["value"] or b"", schemas)) is not None:
            # Only of what came as Avro: the bytes say little to people.
            row["value_as_json"] = said
        if as_json:
            print_json({name: as_base64(value) for name, value in row.items()})
        else:
            # Numbers as they are, to be copied.
            print_figures({name: str(value) if isinstance(value, int) else as_shown_text(value) for name, value in row.items()})


app.command()(replay)


def explain_avro(value: bytes, schemas: AvroSchemas) -> str | None:
    """The JSON that an Avro value says, or why it says none; None for what does not begin like Avro."""
    values = pa.array([value], pa.binary())
    if not len(find_avro(values, np.ones(1, np.bool_))):
        return None
    try:
        (found,) = decode_values(values, schemas, load_settings().message_bytes_max)
    except UnavailableError as error:
        return str(error)
    return found.decode() if isinstance(found, bytes) else found.error


def _dataset(is_wanted: Any) -> Any:
    table = LakeTable(build_store(load_settings(), is_reader=True), load_table("dead_letters"))
    if not table.exists():
        return ds.dataset(table.schema.arrow.empty_table())
    table.refresh()
    return table.dataset().filter(is_wanted) if is_wanted is not None else table.dataset()


def _print(columns: Any, rows: list[tuple[Any, ...]], as_json: bool) -> None:
    if as_json:
        print_json([dict(zip(columns, map(as_base64, row), strict=True)) for row in rows])
    else:
        print_rows(columns, [[_shorten(value) for value in row] for row in rows])


def _shorten(value: Any) -> Any:
    text = as_shown_text(value)
    return text if not isinstance(text, str) or len(text) <= _VALUE_SHOWN_MAX else text[: _VALUE_SHOWN_MAX - 1] + "…"
