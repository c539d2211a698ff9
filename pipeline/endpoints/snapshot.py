"""The snapshot of merged endpoints as the lake has it: table endpoint_states, and what of the updates it covers."""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.dataset as ds

from agents.land import Position
from sinks.dataset import read_tables
from sinks.lake import LakeTable


def read_covered(states: LakeTable) -> tuple[dict[Position, int], datetime | None]:
    """As of the last refresh: of each partition the offset below which it is merged, and until when every update is."""
    columns = ["_topic_id", "_partition", "_offset", "_appended_at"]
    rows = [row for part in read_tables(states.dataset(), columns, ds.field("kind") == "covered") for row in part.to_pylist()]
    moments = [row["_appended_at"] for row in rows if row["_appended_at"] is not None]
    return {Position(row["_topic_id"], row["_partition"]): row["_offset"] for row in rows}, max(moments, default=None)


def read_states(states: LakeTable) -> pa.RecordBatchReader:
    """All rows as of the last refresh, as a stream: two row groups ahead, whatever the size of the table."""
    dataset = states.dataset()
    columns = [name for name in states.schema.column_names if name in dataset.schema.names]
    schema = pa.schema([dataset.schema.field(name) for name in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for rows in read_tables(dataset, columns, ds.scalar(True)):
            yield from rows.cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())
