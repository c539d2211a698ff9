"""Parquet and Avro: rows as columns by name, times as ms since 1970."""

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import duckdb
import fastavro
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bare_duckdb import open_duckdb
from pipeline.imports.places import StoredFile
from pipeline.imports.rows import BrokenFileError, FileError, Row

BATCH_ROWS = 2000


def read_parquet(file: StoredFile, stream: BinaryIO) -> tuple[list[str], Iterator[Row]]:
    """Column names, and rows; each row's content is its values as JSON, written by DuckDB.

    Raises FileError when there is no footer to read: nothing of such a file can be told.
    """
    try:
        parquet = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise FileError(
            f"File '{file.address}' cannot be read as Parquet: {error}; expected a footer that ends with PAR1 (it is written last, so a file "
            "that was cut off has none). Nothing of it was read: fetch the whole file."
        ) from None
    return list(parquet.schema_arrow.names), _read_parquet_rows(file, parquet)


def _read_parquet_rows(file: StoredFile, parquet: pq.ParquetFile) -> Iterator[Row]:
    total = parquet.metadata.num_rows
    number = 0
    with open_duckdb(threads=1) as connection:
        connection.execute("set TimeZone = 'UTC'")
        arrow_batches = parquet.iter_batches(batch_size=BATCH_ROWS)
        while True:
            try:
                batch = next(arrow_batches, None)
                texts = [] if batch is None else _as_json(connection, batch)
            except (pa.ArrowException, OSError, duckdb.Error) as error:
                raise BrokenFileError(
                    f"File '{file.address}' is damaged: after row {number} of {total} its Parquet pages cannot be read ({error}); "
                    "every row before was read; fetch the file again."
                ) from None
            if batch is None:
                return
            for text in texts:
                number += 1
                yield Row(number, None, text.encode(), _decode(text))


def _as_json(connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch) -> list[str]:
    """Each row as one JSON object: maps and structs as objects, times of the top level as ms."""
    columns = []
    for name in batch.schema.names:
        kind = batch.schema.field(name).type
        quoted = '"' + name.replace('"', '""') + '"'
        if pa.types.is_timestamp(kind):
            columns.append(f"{quoted} := epoch_ms({quoted})")
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            columns.append(f"{quoted} := coalesce(try(decode({quoted})), {quoted}::varchar)")
        else:
            columns.append(f"{quoted} := {quoted}")
    rows = connection.from_arrow(pa.Table.from_batches([batch])).project(f"to_json(struct_pack({', '.join(columns)}))").fetchall()
    return [text for (text,) in rows]


def _decode(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        # DuckDB writes NaN and Infinity, which JSON does not have.
        found: dict[str, Any] = json.loads(text)
        return found


def read_avro(file: StoredFile, stream: BinaryIO) -> tuple[list[str], Iterator[Row]]:
    """Field names, and rows.

    Raises FileError when the header is not one of an Avro file of records.
    """
    try:
        reader = fastavro.reader(stream)
        schema: Any = reader.writer_schema
        columns = [field["name"] for field in schema["fields"]]
    except (ValueError, EOFError, KeyError, TypeError, IndexError, fastavro.schema.SchemaParseException) as error:
        raise FileError(f"File '{file.address}' cannot be read as Avro: its header is damaged ({error!r}); fetch it again.") from None
    return columns, _read_avro_rows(file, reader)


def _read_avro_rows(file: StoredFile, reader: Any) -> Iterator[Row]:
    number = 0
    while True:
        try:
            found = next(reader, None)
        except (ValueError, EOFError, IndexError, OSError, struct.error, zlib.error) as error:
            raise BrokenFileError(
                f"File '{file.address}' is cut off or damaged after row {number} ({error!r}); every row before was read; "
                "fetch the whole file and import it from here: its rows keep the ids that they got."
            ) from None
        if found is None:
            return
        number += 1
        yield Row(number, None, msgspec.json.encode(found, enc_hook=str), found)
