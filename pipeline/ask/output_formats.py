"""How the answer to a query is written: a table for people; csv, json, parquet and markdown for what comes next."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.bare_duckdb import open_duckdb
from schemas.errors import UsageError

# Of an answer as a table, this many rows are shown unless told; the other formats write all.
ROWS_SHOWN = 100
_BATCH_ROWS = 50_000
# A column narrower than this cannot be read: then each row is shown as a list of names and values.
_COLUMN_CHARS_MIN = 9


class Format(StrEnum):
    """What `headwater sql --format` takes."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    MARKDOWN = "markdown"


SUFFIXES = {
    ".csv": Format.CSV,
    ".json": Format.JSON,
    ".md": Format.MARKDOWN,
    ".parquet": Format.PARQUET,
    ".txt": Format.TABLE,
}


def choose_format(file: Path | None) -> Format:
    """The format that a file's suffix stands for; a table when there is no file.

    Raises UsageError for a suffix that stands for none.
    """
    if file is None:
        return Format.TABLE
    if file.suffix.lower() not in SUFFIXES:
        raise UsageError(f"File '{file}' has the suffix '{file.suffix}'; expected one of {', '.join(SUFFIXES)}, or a --format.")
    return SUFFIXES[file.suffix.lower()]


def write_answer(answer: duckdb.DuckDBPyConnection, form: Format, file: Path | None, rows_shown: int = ROWS_SHOWN) -> int | None:
    """Write the pending result of `answer` to a file, or to standard output; return the number of rows when it was a file.

    A file appears whole or not at all. csv and json: times in ISO 8601, UTC; in csv, maps, lists and structs are JSON. json is one
    list of objects, one a line.

    Raises UsageError when the file cannot be written.
    """
    if form is Format.TABLE and file is None:
        print_table(answer, Console(), rows_shown)
        return None
    if form is Format.PARQUET and file is None and sys.stdout.isatty():
        raise UsageError("Format 'parquet' is not text; name a file with -o FILE, or pipe it into one.")
    with tempfile.TemporaryDirectory(prefix="headwater-sql-") as folder:
        made = Path(folder) / "answer"
        row_count = _WRITERS[form](answer, made)
        if file is None:
            with made.open("rb") as source:
                shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return None
        _place(made, file)
        return row_count


def print_table(answer: duckdb.DuckDBPyConnection, console: Console, rows_shown: int = ROWS_SHOWN) -> None:
    """Print an answer for people: numbers to the right; row by row when the columns do not fit side by side."""
    names = [column[0] for column in answer.description]
    rows = answer.fetchmany(rows_shown + 1)
    has_more = len(rows) > rows_shown
    rows = rows[:rows_shown]
    if not console.is_terminal:
        console = Console(file=console.file, width=100_000, soft_wrap=True)
    if console.is_terminal and len(names) * _COLUMN_CHARS_MIN > console.width:
        for number, row in enumerate(rows, start=1):
            console.print(Text(f"row {number}", style="bold"))
            console.print(_list_of(names, row))
    else:
        console.print(_table_of(names, rows))
    count = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
    console.print(Text(f"the first {count}; --rows N shows more, -o FILE writes all" if has_more else count, style="dim"))


def _table_of(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(header_style="bold")
    for index, name in enumerate(names):
        values = [row[index] for row in rows if row[index] is not None]
        is_number = bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(as_text(value)) for value in row))
    return table


def _list_of(names: Sequence[str], row: Sequence[Any]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in zip(names, row, strict=True):
        table.add_row(Text(name), Text(as_text(value)))
    return table


def as_text(value: Any) -> str:
    """A value as people read it: nothing for null, times in ISO 8601, twelve digits of a float, JSON for maps and lists."""
    match value:
        case None:
            return ""
        case float():
            return f"{value:.12g}"
        case datetime():
            text = value.isoformat(timespec="milliseconds" if value.microsecond % 1000 == 0 else "microseconds")
            return text.replace("+00:00", "Z")
        case bool() | dict() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=as_text)
        case bytes():
            return value.decode(errors="backslashreplace")
    return str(value)


def _write_csv(answer: duckdb.DuckDBPyConnection, file: Path) -> int:
    return _copy(answer, file, "(format csv, header)", nested="to_json({})::varchar")


def _write_json(answer: duckdb.DuckDBPyConnection, file: Path) -> int:
    return _copy(answer, file, "(format json, array true)", nested="{}")


def _write_parquet(answer: duckdb.DuckDBPyConnection, file: Path) -> int:
    with open_duckdb() as writer:
        writer.register("answer", _reader(answer))
        return _count(writer.execute(f"copy (from answer) to '{file}' (format parquet, compression zstd)"))


def _write_markdown(answer: duckdb.DuckDBPyConnection, file: Path) -> int:
    names = [column[0] for column in answer.description]
    with file.open("w") as out:
        out.write(_markdown_line(names) + _markdown_line(["---"] * len(names)))
        row_count = 0
        for row in iter(answer.fetchone, None):
            out.write(_markdown_line([as_text(value) for value in row]))
            row_count += 1
    return row_count


def _write_table(answer: duckdb.DuckDBPyConnection, file: Path) -> int:
    names, rows = [column[0] for column in answer.description], answer.fetchall()
    with file.open("w") as out:
        Console(file=out, width=100_000).print(_table_of(names, rows))
    return len(rows)


_WRITERS: dict[Format, Callable[[duckdb.DuckDBPyConnection, Path], int]] = {
    Format.TABLE: _write_table,
    Format.CSV: _write_csv,
    Format.JSON: _write_json,
    Format.PARQUET: _write_parquet,
    Format.MARKDOWN: _write_markdown,
}


def _markdown_line(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|").replace("\n", "<br>") for value in values) + " |\n"


def _copy(answer: duckdb.DuckDBPyConnection, file: Path, options: str, nested: str) -> int:
    """Let a second DuckDB, one that may write files, write the answer as it streams by."""
    kinds = [str(column[1]) for column in answer.description]
    reader = _reader(answer)
    columns = []
    for field, kind in zip(reader.schema, kinds, strict=True):
        name = '"' + field.name.replace('"', '""') + '"'
        if pa.types.is_timestamp(field.type):
            columns.append(f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%f{'Z' if field.type.tz else ''}') as {name}")
        elif pa.types.is_nested(field.type):
            columns.append(f"{nested.format(name)} as {name}")
        elif kind == "JSON" and "json" in options:
            columns.append(f"{name}::json as {name}")
        else:
            columns.append(name)
    with open_duckdb() as writer:
        writer.execute("set TimeZone = 'UTC'")
        writer.register("answer", reader)
        return _count(writer.execute(f"copy (select {', '.join(columns)} from answer) to '{file}' {options}"))


def _count(copied: duckdb.DuckDBPyConnection) -> int:
    (row_count,) = copied.fetchall()[0]
    return int(row_count)


def _reader(answer: duckdb.DuckDBPyConnection) -> pa.RecordBatchReader:
    """The answer as batches; a column name that is there twice gets a number, as in DuckDB's own sub-selects."""
    source = answer.to_arrow_reader(_BATCH_ROWS)
    names: list[str] = []
    for field in source.schema:
        name, number = field.name, 0
        while name.lower() in {taken.lower() for taken in names}:
            number += 1
            name = f"{field.name}_{number}"
        names.append(name)
    schema = pa.schema([field.with_name(name) for field, name in zip(source.schema, names, strict=True)])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in source:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _place(made: Path, file: Path) -> None:
    beside = file.with_name(file.name + ".part")
    try:
        shutil.copyfile(made, beside)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"File '{file}' cannot be written: {error.strerror}; name another with -o FILE.") from None
