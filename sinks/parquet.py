"""How rows become a Parquet file: zstd 1 while hot, dictionaries only where values repeat, numbers and lengths by their differences."""

import functools

import pyarrow as pa
import pyarrow.parquet as pq

# Every value is its own: a dictionary would be built and thrown away.
_DISTINCT = frozenset(
    {"event_id", "update_id", "message_id", "facets", "extra", "value", "key", "error", "origin", "_payload_hash", "_offset"}
    | {"id", "rest"}
    | {
        "event_timestamp",
        "event_timestamp_as_sent",
        "arrival_timestamp",
        "sent_at",
        "received_at",
        "session_start_timestamp",
        "session_stop_timestamp",
    }
)
_ENCODINGS = {name: "DELTA_BINARY_PACKED" for name in ("_offset", "event_timestamp", "arrival_timestamp", "sent_at", "received_at")}
# All of one length: without the four bytes of length before each, 19 bytes for a random UUID in place of 20.
_ENCODINGS["event_id"] = _ENCODINGS["update_id"] = "DELTA_LENGTH_BYTE_ARRAY"


def encode_parquet(rows: pa.Table) -> bytes:
    """One Parquet file of all rows in one row group; times as microseconds, as Delta reads them."""
    sink = pa.BufferOutputStream()
    dictionary, encodings = column_encodings(rows.schema)
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=list(dictionary),
        column_encoding=dict(encodings),
        write_statistics=["event_timestamp", "_appended_at", "event_type", "app_id", "_offset"],
        row_group_size=max(rows.num_rows, 1),
        store_schema=False,
    )
    body: bytes = sink.getvalue().to_pybytes()
    return body


@functools.lru_cache(maxsize=8)
def column_encodings(schema: pa.Schema) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Paths of the leaves that get a dictionary, and the encoding of those that have a better one."""
    dictionary: list[str] = []
    encodings: list[tuple[str, str]] = []
    for field in schema:
        if field.name in _ENCODINGS:
            encodings.append((field.name, _ENCODINGS[field.name]))
        elif field.name not in _DISTINCT:
            dictionary.extend(_leaf_paths(field.name, field.type))
    return tuple(dictionary), tuple(encodings)


def _leaf_paths(path: str, kind: pa.DataType) -> list[str]:
    if pa.types.is_map(kind):
        return [*_leaf_paths(f"{path}.key_value.key", kind.key_type), *_leaf_paths(f"{path}.key_value.value", kind.item_type)]
    if pa.types.is_list(kind):
        return _leaf_paths(f"{path}.list.element", kind.value_type)
    return [path]
