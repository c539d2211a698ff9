"""Opens a file by its format and yields its rows in batches of bounded size, whatever was read before a break included."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.imports.columnar import read_avro, read_parquet
from pipeline.imports.delimited import read_csv
from pipeline.imports.formats import Format
from pipeline.imports.heads import Head, read_head
from pipeline.imports.mapping import Mapping
from pipeline.imports.objects import split_objects
from pipeline.imports.places import StoredFile
from pipeline.imports.rows import FileError, Row, RowError, nearest
from pipeline.imports.shapes import Shape, detect_shape
from pipeline.imports.unpack import unpack

BATCH_ROWS = 2000
BATCH_BYTES = 8 << 20


@dataclass(frozen=True)
class Content:
    """What was found in a file: its rows, and `shape` where columns are read without a mapping."""

    rows: Iterator[tuple[Row, int]]
    shape: Shape | None


def open_content(file: StoredFile, file_format: Format, mapping: Mapping | None) -> Content:
    """Rows, each with how many bytes of the stored file are read by then.

    Raises FileError when the columns do not fit the mapping or no known shape; the rows raise BrokenFileError where a file breaks off.
    """
    if file_format.kind == "json":
        if mapping is None:
            return Content(_read_json(file, file_format.compression, read_head), None)
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        return Content(_checked(file, mapping, _read_json(file, file_format.compression, decode)), None)
    if file_format.kind == "csv":
        assert mapping is not None, "the format is CSV only under a mapping"
        columns, rows = read_csv(file, file_format.compression, mapping.csv)
    elif file_format.kind == "avro":
        columns, rows = read_avro(file)
    else:
        columns, rows = read_parquet(file)
    if mapping is not None:
        if columns:
            mapping.check_columns(file.address, columns)
        return Content(rows, None)
    return Content(rows, detect_shape(file.address, columns))


def batches(rows: Iterable[tuple[Row, int]]) -> Iterator[tuple[list[Row], int]]:
    """Rows in batches, each with the bytes read by then; before an error the rows that were read are yielded."""
    batch: list[Row] = []
    size = done = 0
    iterator = iter(rows)
    while True:
        try:
            found = next(iterator, None)
        except FileError:
            if batch:
                yield batch, done
            raise
        if found is None:
            if batch:
                yield batch, done
            return
        row, done = found
        batch.append(row)
        size += len(row.content)
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch, done
            batch, size = [], 0


def _read_json(file: StoredFile, compression: str, decode: Any) -> Iterator[tuple[Row, int]]:
    with file.open() as stream:
        pieces = split_objects(unpack(stream, file.address, compression), file.address, decode)
        for number, piece in enumerate(pieces, start=1):
            values: Head | dict[str, Any] | RowError | None = piece.decoded
            if piece.reason is not None:
                values = RowError(None, piece.content, piece.reason)
            yield Row(number, piece.line, piece.content, values), stream.tell()


def _checked(file: StoredFile, mapping: Mapping, rows: Iterator[tuple[Row, int]]) -> Iterator[tuple[Row, int]]:
    """JSON has no header: a mapped column that none of the first rows has is taken for a mistake."""
    first: list[tuple[Row, int]] = []
    for found in rows:
        first.append(found)
        if len(first) >= BATCH_ROWS:
            break
    names = {name for row, _ in first if isinstance(row.values, dict) for name in _paths(row.values)}
    for column in sorted(mapping.columns):
        if names and column not in names:
            raise FileError(
                f"File '{file.address}' has no column '{column}'{nearest(column, names)} in its first {len(first)} rows, which mapping "
                f"'{mapping.path}' names; correct the mapping."
            )
    yield from first
    yield from rows


def _paths(value: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, inner in value.items():
        yield before + name
        if isinstance(inner, dict):
            yield from _paths(inner, f"{before}{name}.")
