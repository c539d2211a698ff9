"""A batch: the records of one poll of a partition, a contiguous range of offsets; and batches as one Arrow table."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import xxhash

from schemas.records import RECORDS

# Header of a replayed dead letter: topic id/partition/offset of the record that it came from.
ORIGIN_HEADER = "headwater-origin"


@dataclass(slots=True)
class Batch:
    """Records of offsets [start, end) of one partition, in order; offsets between them that are missing are holes.

    `generation` counts the times that the worker's positions were set anew: a batch fetched before the last time is stale.
    """

    topic: str
    partition: int
    generation: int
    start: int
    end: int
    values: list[bytes | None] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    appended_ms: list[int] = field(default_factory=list)
    origins: dict[int, str] = field(default_factory=dict)
    """Origin header by place in `values`; few records have one."""
    value_bytes: int = 0


def build_records(batches: Sequence[Batch], topic_ids: Sequence[str]) -> pa.Table:
    """RECORDS of some batches, in the order given; `topic_ids` has the id of each batch's topic."""
    if not batches:
        return RECORDS.empty_table()
    return pa.concat_tables([_build_one(batch, topic_id) for batch, topic_id in zip(batches, topic_ids, strict=True)]).combine_chunks()


def _build_one(batch: Batch, topic_id: str) -> pa.Table:
    count = len(batch.values)
    values = pa.array(batch.values, pa.binary())
    digest = xxhash.xxh3_64_intdigest
    hashes = np.fromiter((digest(value or b"") for value in batch.values), np.uint64, count).view(np.int64)
    lengths = np.diff(np.frombuffer(values.buffers()[1], np.int32, count + 1)) if count else np.empty(0, np.int32)
    origins = pa.nulls(count, pa.string())
    if batch.origins:
        origins = pa.array([batch.origins.get(place) for place in range(count)], pa.string())
    columns = {
        "value": values,
        "value_bytes": pa.array(lengths.astype(np.int64)),
        "key": pa.array(batch.keys, pa.binary()),
        "origin": origins,
        "_topic_id": pa.repeat(pa.scalar(topic_id), count),
        "_partition": pa.array(np.full(count, batch.partition, np.int32)),
        "_offset": pa.array(np.asarray(batch.offsets, np.int64)),
        "_appended_at": pa.array(np.asarray(batch.appended_ms, np.int64) * 1000).cast(pa.timestamp("us", tz="UTC")),
        "_payload_hash": pa.array(hashes),
    }
    return pa.Table.from_arrays([columns[name] for name in RECORDS.names], schema=RECORDS)
