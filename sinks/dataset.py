"""The files of a table version as one Arrow dataset.

Not `DeltaTable.to_pyarrow_dataset`: deltalake 1.6.6 gives a column without statistics the bounds `>= null and <= null`, and a
filter on it then silently skips every file.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs

from sinks.store import Store

# Columns whose bounds, where a file has them, let a filter skip it unread.
_BOUNDED = ("_offset", "_partition", "_appended_at")


def build_dataset(store: Store, key: str, actions: pa.Table, schema: pa.Schema) -> ds.Dataset:
    """A dataset over the files of `actions` (delta-rs' flattened add actions) with the columns of `schema`; what a file lacks is null."""
    file_format = ds.ParquetFileFormat()
    filesystem = _build_filesystem(store)
    fragments = [
        file_format.make_fragment(f"{store.bucket}/{key}/{action['path']}", filesystem, partition_expression=_bounds(action, schema))
        for action in actions.to_pylist()
    ]
    return ds.FileSystemDataset(fragments, schema, file_format, filesystem)


def _bounds(action: Mapping[str, Any], schema: pa.Schema) -> ds.Expression:
    """What is known of every row of a file."""
    known = ds.scalar(True)
    for name, value in action.items():
        if name.startswith("partition."):
            column = name.removeprefix("partition.")
            known &= ds.field(column) == pa.scalar(value, schema.field(column).type)
    for column in _BOUNDED:
        least, greatest = action.get(f"min.{column}"), action.get(f"max.{column}")
        if column in schema.names and least is not None and greatest is not None:
            kind = schema.field(column).type
            known &= (ds.field(column) >= pa.scalar(least, kind)) & (ds.field(column) <= pa.scalar(greatest, kind))
    return known


def _build_filesystem(store: Store) -> pyarrow.fs.S3FileSystem:
    key = store.credentials()
    scheme, _, host = store.endpoint.partition("://")
    return pyarrow.fs.S3FileSystem(
        access_key=key.access_key_id,
        secret_key=key.secret_access_key,
        session_token=key.session_token,
        region=store.region,
        endpoint_override=host or None,
        scheme=scheme or "https",
        connect_timeout=5,
        request_timeout=30,
    )
