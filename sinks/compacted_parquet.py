"""Compacted files: rows of small files, read a stretch at a time, sorted, written as one Parquet file on local disk.

A stretch is as many rows as fit into a bound of memory; each is sorted for itself. So a row is rewritten once and memory does
not grow with the file. Sorting the whole of 128 MB takes 2 GB of memory, or writing every row twice.
"""

import json
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sinks.lake import LakeTable, Upload, file_statistics
from sinks.parquet import column_encodings

# What cannot be made smaller is not tried at: zstd 3 spends twice the time of zstd 1 on ids, for more bytes.
_LEVEL, _LEVELS = 3, {"event_id": 1}
_PLAIN = ("_payload_hash", "id", "rest")
_COUNTED = ("event_timestamp", "_appended_at", "event_type", "app_id", "_offset", "_partition", "_topic_id")
_BATCH_ROWS = 131_072


def read_stretches(bodies: Iterable[bytes], schema: pa.Schema, stretch_bytes: int) -> Iterator[pa.Table]:
    """Rows of Parquet files in tables of `schema` (its texts that repeat as dictionaries), each of about `stretch_bytes`."""
    dictionaries = _dictionary_columns(schema)
    target = _with_dictionaries(schema, dictionaries)
    parts: list[pa.Table] = []
    held_bytes = 0
    for body in bodies:
        file = pq.ParquetFile(pa.BufferReader(body), read_dictionary=dictionaries)
        for batch in file.iter_batches(_BATCH_ROWS):
            part = _as_schema(pa.Table.from_batches([batch]), target)
            parts.append(part)
            held_bytes += part.nbytes
            if held_bytes >= stretch_bytes:
                yield pa.concat_tables(parts).unify_dictionaries()
                parts, held_bytes = [], 0
    if parts:
        yield pa.concat_tables(parts).unify_dictionaries()


def sort_rows(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Rows in the order of these columns; columns that the table does not have are passed over."""
    keys = [name for name in names if name in rows.column_names]
    if not keys:
        return rows
    if len(keys) == 1 and pa.types.is_integer(rows[keys[0]].type):
        # A third of what Arrow takes for it.
        return rows.take(pa.array(np.argsort(rows[keys[0]].to_numpy())))
    by = pa.table({name: _rank(rows[name]) for name in keys})
    return rows.take(pc.sort_indices(by, sort_keys=[(name, "ascending") for name in keys]))


class CompactedFile:
    """A Parquet file that grows by stretches, in a file of `folder` without a name: gone when it is let go, after a kill too."""

    def __init__(self, folder: Path, group_rows: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # It lives as long as this object: __exit__ closes it.
        self._file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._group_rows = group_rows
        self._writer: pq.ParquetWriter | None = None
        self._statistics: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            # It would write its footer when it is collected, and then the file is gone.
            self._writer.close()
        self._file.close()

    def add(self, rows: pa.Table) -> None:
        """Write rows, which have no column of the folder, as row groups."""
        if self._writer is None:
            self._writer = _open_writer(self._file, rows.schema)
        self._writer.write_table(rows, row_group_size=self._group_rows)
        counted = [name for name in _COUNTED if name in rows.column_names]
        plain = {name: _decode(rows[name]) for name in counted}
        self._statistics.append(file_statistics(pa.table(plain) if plain else rows))

    def upload(self, table: LakeTable, partition_values: Mapping[str, str]) -> Upload:
        """Finish the file and put it into the store; the row count is that of the file's own footer."""
        assert self._writer is not None, "a file of no rows is not written"
        self._writer.close()
        row_count = pq.read_metadata(self._file).num_rows
        folder = "".join(f"{column}={value}/" for column, value in partition_values.items())
        path = f"{folder}part-{uuid.uuid4()}.parquet"
        size_bytes = table.store.put_file(f"{table.key}/{path}", self._file)
        return Upload(path, size_bytes, partition_values, merge_statistics(self._statistics), row_count, time.monotonic())


def merge_statistics(parts: Sequence[str]) -> str:
    """Delta's statistics of a file from those of its parts."""
    rows = 0
    least: dict[str, Any] = {}
    greatest: dict[str, Any] = {}
    null_count: dict[str, int] = {}
    for part in map(json.loads, parts):
        rows += part["numRecords"]
        for name, value in part["minValues"].items():
            least[name] = min(least.get(name, value), value)
        for name, value in part["maxValues"].items():
            greatest[name] = max(greatest.get(name, value), value)
        for name, value in part["nullCount"].items():
            null_count[name] = null_count.get(name, 0) + value
    return json.dumps({"numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": null_count})


def _open_writer(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    plain_schema = pa.schema([field.with_type(_plain_type(field.type)) for field in schema])
    dictionary, encodings = column_encodings(plain_schema)
    paths = _leaves(schema)
    return pq.ParquetWriter(
        file,
        schema,
        compression={path: "none" if path in _PLAIN else "zstd" for path in paths},
        compression_level={path: _LEVELS.get(path, _LEVEL) for path in paths if path not in _PLAIN},
        use_dictionary=list(dictionary),
        column_encoding=dict(encodings),
        write_statistics=[name for name in ("event_timestamp", "_appended_at", "event_type", "app_id", "_offset") if name in schema.names],
        store_schema=False,
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """Paths of the leaf columns, as Parquet writes them."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink, store_schema=False)
    columns = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    return [columns.column(number).path for number in range(len(columns))]


def _dictionary_columns(schema: pa.Schema) -> list[str]:
    """Texts that repeat: read, sorted and written as dictionaries they cost half."""
    dictionary, _ = column_encodings(schema)
    return [name for name in dictionary if name in schema.names and pa.types.is_string(schema.field(name).type)]


def _with_dictionaries(schema: pa.Schema, dictionaries: Sequence[str]) -> pa.Schema:
    kind = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([field.with_type(kind) if field.name in dictionaries else field for field in schema])


def _as_schema(rows: pa.Table, target: pa.Schema) -> pa.Table:
    """Rows of one file in these columns; what the file lacks is null."""
    columns, sent = [], set(rows.column_names)
    for name, kind in zip(target.names, target.types, strict=True):
        column = rows[name] if name in sent else pa.chunked_array([pa.nulls(len(rows), kind)])
        columns.append(column if column.type.equals(kind) else column.cast(kind))
    return pa.Table.from_arrays(columns, schema=target)


def _rank(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers in the order of a dictionary's texts: few texts are sorted, not many rows."""
    if not pa.types.is_dictionary(column.type):
        return column
    combined = column.combine_chunks()
    combined = combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined
    ranks = pc.rank(combined.dictionary, tiebreaker="dense")
    return pa.chunked_array([ranks.take(combined.indices)])


def _decode(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(_plain_type(column.type))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
