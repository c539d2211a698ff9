"""Kafka's append time is the clock of the dedup windows and of the lake's folders. Without this guard it is the worker's own."""

import time
from collections.abc import Sequence
from unittest import mock

import pyarrow as pa

import agents.ingest
from agents.batch import Batch, build_records
from schemas.records import RECORDS


def remove() -> None:
    def build_by_own_clock(batches: Sequence[Batch], topic_ids: Sequence[str]) -> pa.Table:
        records = build_records(batches, topic_ids)
        now = pa.repeat(pa.scalar(int(time.time() * 1e6)), records.num_rows).cast(pa.timestamp("us", tz="UTC"))
        columns = [now if name == "_appended_at" else records[name] for name in RECORDS.names]
        return pa.Table.from_arrays(columns, schema=RECORDS)

    mock.patch.object(agents.ingest, "build_records", build_by_own_clock).start()
