"""The agent's work on a flush: run the steps of its stream over what was consumed, and land it. No Kafka and no event loop in here."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.batch import Batch, build_records
from agents.dedup.window import NewKeys
from agents.flush_report import FlushReport
from agents.land import Judged, Landing, Position, Range
from schemas.records import RECORDS
from schemas.tables import load_table


@dataclasses.dataclass(frozen=True)
class Stepped:
    """What the steps made of RECORDS: rows of the stream's table, dead letters (DEAD), and keys by partition that the dedup
    windows learn once the rows have landed."""

    rows: pa.Table
    dead: pa.Table
    keys: Mapping[int, NewKeys]


class StreamWindows(Protocol):
    """What a stream remembers of the keys that have landed: agents.dedup.windows.Windows, or nothing."""

    @property
    def key_count(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def covered_secs(self) -> float: ...
    def assign(self, topic_id: str, starts: Mapping[int, int], partition_count: int) -> None: ...
    def add(self, one: Range, keys: NewKeys | None) -> None: ...


class Steps(Protocol):
    """The steps of a landing stream. Pure in what they return: they are run again for what remains after a conflict."""

    @property
    def windows(self) -> StreamWindows: ...

    def run(self, records: pa.Table, ranges: Sequence[Range], report: FlushReport) -> Stepped:
        """Every record (RECORDS) becomes one row of `rows` or of `dead`."""


class Ingest:
    """Turns batches of one topic into rows of the lake. Runs in one thread."""

    def __init__(self, topic: str, landing: Landing, steps: Steps) -> None:
        self.topic, self.landing, self.steps = topic, landing, steps
        self._records = RECORDS.empty_table()
        self._built_of: Sequence[Batch] | None = None
        self._keys: Mapping[int, NewKeys] = {}
        self._report = FlushReport()

    def flush(
        self, batches: Sequence[Batch], topic_id: str, run: Callable[[str], None], report: FlushReport
    ) -> tuple[list[Range], list[Range]]:
        """Land batches of this topic; returns (landed, fenced) ranges.

        `run` is called with the name of each step of landing before it is done. After an error of the store call it again with
        the same batches and report: what was committed by then is found out from the table.
        """
        self._report = report
        ordered = sorted(batches, key=lambda batch: (batch.partition, batch.start))
        if self._built_of is not batches:
            with report.stage("records"):
                self._records = build_records(ordered, [topic_id] * len(ordered))
            self._built_of = batches
            for batch in batches:
                # The records hold all of it now; both at once would be half of a flush's memory.
                batch.chunks = ()
        ranges = join_ranges(ordered, topic_id)
        landed: list[Range] = []
        fenced: list[Range] = []
        for step in self.landing.flush(ranges, self.judge, fenced, landed):
            run(step)
        self.let_go()
        for one in landed:
            self.steps.windows.add(one, self._keys.get(one.position.partition))
        report.note_landed(landed)
        return landed, fenced

    def let_go(self) -> None:
        """Forget the batches of the last flush, which will not come again."""
        self._records, self._built_of = RECORDS.empty_table(), None

    def judge(self, ranges: Sequence[Range], held: Mapping[Position, frozenset[int]]) -> Judged:
        """Run the steps over the records of these ranges, less those that `dead_letters` holds already."""
        records, held_counts = _without_held(self._records, ranges, held)
        stepped = self.steps.run(records, ranges, self._report)
        self._keys = stepped.keys
        self._report.note_judged(ranges, stepped.rows, stepped.dead)
        if records.num_rows:
            self._report.oldest_appended_ms = int(pc.min(records["_appended_at"]).value // 1000)
        return Judged(stepped.rows, self._as_dead_letters(stepped.dead), held_counts)

    def _as_dead_letters(self, dead: pa.Table) -> pa.Table:
        """Add what is the same for the whole flush: the topic and the folder."""
        schema = load_table("dead_letters").arrow
        dead = dead.append_column("topic", pa.repeat(pa.scalar(self.topic), dead.num_rows))
        dead = dead.append_column("arrival_date", dead["_appended_at"].cast(pa.timestamp("us")).cast(pa.date32()))
        return dead.select(schema.names).cast(schema)


def join_ranges(ordered: Sequence[Batch], topic_id: str) -> list[Range]:
    """One range for each partition; its batches are contiguous."""
    ranges: dict[int, Range] = {}
    for batch in ordered:
        before = ranges.get(batch.partition)
        if before is None:
            ranges[batch.partition] = Range(Position(topic_id, batch.partition), batch.start, batch.end, batch.record_count)
        else:
            assert before.end == batch.start, f"batches of partition {batch.partition} are not contiguous: {before.end} then {batch.start}"
            ranges[batch.partition] = dataclasses.replace(before, end=batch.end, record_count=before.record_count + batch.record_count)
    return list(ranges.values())


def _without_held(
    records: pa.Table, ranges: Sequence[Range], held: Mapping[Position, frozenset[int]]
) -> tuple[pa.Table, dict[Position, int]]:
    """Records of these ranges that are not dead letters already, and how many of each partition are."""
    partitions = pa.array([one.position.partition for one in ranges], pa.int32())
    is_wanted = pc.is_in(records["_partition"], partitions)
    # A filter copies the values, and mostly all are wanted.
    wanted = records if pc.all(is_wanted).as_py() in (True, None) else records.filter(is_wanted)
    is_held = np.zeros(wanted.num_rows, bool)
    counts: dict[Position, int] = {}
    for one in ranges:
        offsets = held[one.position]
        if offsets:
            is_here = pc.equal(wanted["_partition"], one.position.partition).to_numpy()
            is_held_here = is_here & np.isin(wanted["_offset"].to_numpy(), np.fromiter(offsets, np.int64, len(offsets)))
            counts[one.position] = int(is_held_here.sum())
            is_held |= is_held_here
    return (wanted.filter(pa.array(~is_held)) if is_held.any() else wanted), counts
