"""Opens a file by its format and yields its rows in batches of bounded size, whatever was read before a break included."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.imports.columnar import read_avro, read_parquet
from pipeline.imports.delimited import read_csv
from pipeline.imports.formats import Format
from pipeline.imports.heads import read_head
from pipeline.imports.mapping import Mapping
from pipeline.imports.objects import Piece, split_objects
from pipeline.imports.places import StoredFile
from pipeline.imports.rows import FileError, Row, RowError, nearest
from pipeline.imports.shapes import Shape, detect_shape
from pipeline.imports.unpack import unpack

BATCH_ROWS = 2000
BATCH_BYTES = 8 << 20


@dataclass(frozen=True)
class Content:
    """What was found in a file: its rows, how many of its bytes are read by now, and `shape` where columns are read without a mapping."""

    rows: Iterator[Row]
    bytes_done: Callable[[], int]
    shape: Shape | None = None


@contextmanager
def open_content(file: StoredFile, file_format: Format, mapping: Mapping | None) -> Iterator[Content]:
    """The file's rows, while it is open.

    Raises FileError when the columns do not fit the mapping or no known shape; the rows raise BrokenFileError where a file breaks off.
    """
    with file.open() as stream:
        if file_format.kind == "json":
            rows = _read_json(file, unpack(stream, file.address, file_format.compression), mapping)
            yield Content(rows, stream.tell)
            return
        if file_format.kind == "csv":
            assert mapping is not None, "the format is CSV only under a mapping"
            columns, rows = read_csv(file, unpack(stream, file.address, file_format.compression), mapping.csv)
        elif file_format.kind == "avro":
            columns, rows = read_avro(file, stream)
        else:
            columns, rows = read_parquet(file, stream)
        if mapping is None:
            yield Content(rows, stream.tell, detect_shape(file.address, columns))
            return
        if columns:
            mapping.check_columns(file.address, columns)
        yield Content(rows, stream.tell)


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows in batches; before an error the rows that were read are yielded."""
    batch: list[Row] = []
    size = 0
    try:
        for row in rows:
            batch.append(row)
            size += len(row.content)
            if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
                full, batch, size = batch, [], 0
                yield full
    except FileError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _read_json(file: StoredFile, parts: Iterable[bytes], mapping: Mapping | None) -> Iterator[Row]:
    if mapping is None:
        return _rows(split_objects(parts, file.address, read_head))
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    return _checked(file, mapping, _rows(split_objects(parts, file.address, decode)))


def _rows(pieces: Iterable[Piece[Any]]) -> Iterator[Row]:
    for number, piece in enumerate(pieces, start=1):
        values = (
            piece.decoded if piece.reason is None else RowError(None, piece.content, piece.reason, kind="expected JSON of a stream record")
        )
        yield Row(number, piece.line, piece.content, values)


def _checked(file: StoredFile, mapping: Mapping, rows: Iterator[Row]) -> Iterator[Row]:
    """JSON has no header: a mapped column that none of the first rows has is taken for a mistake."""
    first = list(itertools.islice(rows, BATCH_ROWS))
    names = {name for row in first if isinstance(row.values, dict) for name in _paths(row.values)}
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
