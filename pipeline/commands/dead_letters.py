"""`headwater dead-letters`: what did not become an event, and why."""

import base64
from typing import Any

import duckdb
import pyarrow.dataset as ds
import typer

from pipeline.config import load_settings
from pipeline.report import print_figures, print_json, print_rows
from pipeline.stores import build_store
from schemas.errors import UsageError
from schemas.records import Reason
from schemas.tables import load_table
from sinks.lake import LakeTable

app = typer.Typer(no_args_is_help=True, help="List or show what did not become an event, and why.")

_LIST_COLUMNS = ("appended_at", "reason", "error", "value", "value_bytes", "event_id", "position")
_VALUE_SHOWN_MAX = 60
_ESCAPED = {code: chr(code).encode("unicode_escape").decode() for code in (*range(32), *range(127, 160))}


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
    connection = duckdb.connect(":memory:")
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
    _print(_LIST_COLUMNS, found.fetchall(), as_json)


@app.command()
def show(
    position: str = typer.Argument(help="topic/partition/offset, as `list` prints it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: every column, bytes in base64."),
) -> None:
    """Show one dead letter whole."""
    topic, _, rest = position.rpartition("/")[0].rpartition("/")[0], "", position.split("/")[-2:]
    if len(rest) != 2 or not topic or not all(part.isdecimal() for part in rest):
        raise UsageError(f"Argument POSITION is '{position}'; expected topic/partition/offset, for example raw-events/0/41.")
    is_wanted = (ds.field("topic") == topic) & (ds.field("_partition") == int(rest[0])) & (ds.field("_offset") == int(rest[1]))
    rows = _dataset(is_wanted).to_table().to_pylist()
    if not rows:
        raise UsageError(f"No dead letter lies at '{position}'; 'headwater dead-letters list' shows those that there are.")
    for row in rows:
        if as_json:
            print_json({name: _as_base64(value) for name, value in row.items()})
        else:
            # Numbers as they are, to be copied.
            print_figures({name: str(value) if isinstance(value, int) else _as_text(value) for name, value in row.items()})


def _dataset(is_wanted: Any) -> Any:
    table = LakeTable(build_store(load_settings(), is_reader=True), load_table("dead_letters"))
    if not table.exists():
        return ds.dataset(table.schema.arrow.empty_table())
    table.refresh()
    return table.dataset().filter(is_wanted) if is_wanted is not None else table.dataset()


def _print(columns: Any, rows: list[tuple[Any, ...]], as_json: bool) -> None:
    if as_json:
        print_json([dict(zip(columns, map(_as_base64, row), strict=True)) for row in rows])
    else:
        print_rows(columns, [[_shorten(value) for value in row] for row in rows])


def _shorten(value: Any) -> Any:
    text = _as_text(value)
    return text if not isinstance(text, str) or len(text) <= _VALUE_SHOWN_MAX else text[: _VALUE_SHOWN_MAX - 1] + "…"


def _as_text(value: Any) -> Any:
    """Text that a terminal only shows: what would steer it (C0, DEL, C1) is escaped."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    return text.translate(_ESCAPED) if isinstance(text, str) else text


def _as_base64(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
