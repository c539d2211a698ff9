"""A simulated run as a worker lands it: its records go batch by batch through the steps of the stream of events, into Delta tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, cast

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from agents.batch import Batch, build_chunk, build_records
from agents.dedup.window import KeyWindow, MemoryBudget
from agents.dedup.windows import Windows
from agents.event_steps import EventSteps
from agents.flush_report import FlushReport
from agents.land import Position, Range
from pipeline.config import Settings
from pipeline.event_stream import build_connection, build_event_rules
from pipeline.simulate.records import Message
from schemas.tables import load_table
from tests.lake_rows import memory_lake

TOPIC, TOPIC_ID = "raw-events", "topic-1"
BATCH_RECORDS = 5000


class Landed(NamedTuple):
    """The two tables that a worker writes, in the lake's schemas."""

    events: pa.Table
    dead_letters: pa.Table


class _OneWindow:
    """The dedup window of a topic of one partition whose worker never stops."""

    def __init__(self, folder: Path) -> None:
        self.window = KeyWindow(folder, MemoryBudget(1 << 30))

    def ready(self, ranges: Sequence[Range], oldest_at: datetime) -> Mapping[int, KeyWindow]:
        return {0: self.window}


def land_messages(messages: Sequence[Message], settings: Settings, folder: Path) -> Landed:
    """What is in the lake once `messages` have landed in the order of sending, written to Delta tables in `folder` and read back."""
    windows, rules = _OneWindow(folder), build_event_rules(settings)
    steps = EventSteps(rules, cast(Windows, windows), build_connection())
    events, dead = [], []
    for start in range(0, len(messages), BATCH_RECORDS):
        some = messages[start : start + BATCH_RECORDS]
        end = start + len(some)
        sent_ms = [message.sent_ms for message in some]
        chunk = build_chunk(start, end, [one.value for one in some], [one.key for one in some], range(start, end), sent_ms)
        records = build_records([Batch(TOPIC, 0, 0, start, end, [chunk])], [TOPIC_ID])
        stepped = steps.run(records, [Range(Position(TOPIC_ID, 0), start, end, len(some))], FlushReport())
        for keys in stepped.keys.values():
            windows.window.add(keys)
            windows.window.expire(rules.deduplicate.window_secs)
        events.append(stepped.rows)
        dead.append(stepped.dead)
    letters = pa.concat_tables(dead)
    letters = letters.append_column("topic", pa.repeat(pa.scalar(TOPIC), len(letters)))
    letters = letters.append_column("arrival_date", letters["_appended_at"].cast(pa.timestamp("us")).cast(pa.date32()))
    return Landed(_keep("events", pa.concat_tables(events), folder), _keep("dead_letters", letters, folder))


def _keep(name: str, rows: pa.Table, folder: Path) -> pa.Table:
    schema = load_table(name)
    write_deltalake(folder / name, rows.select(schema.column_names), partition_by=list(schema.partition_by))
    return pa.table(DeltaTable(folder / name).to_pyarrow_table()).select(schema.column_names)


@contextmanager
def simulated_lake(landed: Landed, settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """All views and macros over what landed, by these settings."""
    with memory_lake(settings, landed.events, landed.dead_letters) as con:
        yield con
