"""A flush is one file whatever its records hold: unknown names are text in one column, attributes a map. Without this guard a file ends where the
shape of the records changes, as sinks have it that take a schema from the data."""

import itertools
from typing import Any
from unittest import mock

import msgspec
import pyarrow as pa

import pipeline.worker
from sinks.lake import LakeTable, Upload


class ShapedTable(LakeTable):
    """Begins a file at every change of shape."""

    def upload(self, rows: pa.Table) -> list[Upload]:
        if self.name != "events":
            return super().upload(rows)
        shapes = [_shape(row) for row in rows.select(["attributes", "metrics", "extra"]).to_pylist()]
        uploads: list[Upload] = []
        start = 0
        for _, run in itertools.groupby(shapes):
            count = sum(1 for _ in run)
            uploads += super().upload(rows.slice(start, count))
            start += count
        return uploads


def _shape(row: dict[str, Any]) -> Any:
    extra = msgspec.json.decode(row["extra"] or "{}")
    return [name for name, _ in row["attributes"]], [name for name, _ in row["metrics"]], [*extra]


def remove() -> None:
    mock.patch.object(pipeline.worker, "LakeTable", ShapedTable).start()
