"""The agent's work on a flush: redact, validate, deduplicate, enrich, land. No Kafka and no event loop in here."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.batch import Batch, build_records
from agents.dedup.window import NewKeys
from agents.dedup.windows import Windows
from agents.deduplicate import Deduplicated, DedupRules, deduplicate_batch
from agents.enrich import EnrichRules, enrich_batch
from agents.land import Judged, Landing, Position, Range
from agents.redact import RedactRules, redact_records
from agents.validate import ValidateRules, validate_batch
from schemas.records import DEAD, RECORDS, Reason
from schemas.tables import load_table


@dataclasses.dataclass(frozen=True)
class StepRules:
    """The rules of every step of a landing stream. `late_secs` and `future_secs` say which landed events are counted as such."""

    redact: RedactRules
    validate: ValidateRules
    deduplicate: DedupRules
    enrich: EnrichRules
    is_dedup_on: bool
    late_secs: float
    future_secs: float


@dataclasses.dataclass
class FlushReport:
    """What one flush did, for metrics and logs. Times of `stage_secs` are wall clock, seconds."""

    consumed: int = 0
    holes: int = 0
    events: int = 0
    dead: Counter[str] = dataclasses.field(default_factory=Counter)
    reused_ids: int = 0
    late: int = 0
    future: int = 0
    fenced: int = 0
    oldest_appended_ms: int | None = None
    stage_secs: dict[str, float] = dataclasses.field(default_factory=dict)


class Ingest:
    """Turns batches of one topic into rows of the lake. Runs in one thread.

    `judge` is pure in what it returns: the keys that it found are added to the dedup windows only once their range has landed.
    """

    def __init__(self, topic: str, landing: Landing, windows: Windows, rules: StepRules, connection: duckdb.DuckDBPyConnection) -> None:
        self.topic, self.landing, self.windows, self.rules = topic, landing, windows, rules
        self._connection = connection
        self._records = RECORDS.empty_table()
        self._keys: dict[Position, NewKeys] = {}
        self._report = FlushReport()

    def flush(
        self, batches: Sequence[Batch], topic_id: str, run: Callable[[str], None], report: FlushReport
    ) -> tuple[list[Range], list[Range]]:
        """Land batches of this topic; returns (landed, fenced) ranges.

        `run` is called with the name of each step before it is done. After an error of the store call it again with the same
        batches: what was committed by then is found out from the table.
        """
        self._report = report
        with _Stage(report, "records"):
            ordered = sorted(batches, key=lambda batch: (batch.partition, batch.start))
            self._records = build_records(ordered, [topic_id] * len(ordered))
        ranges = _ranges(ordered, topic_id)
        landed: list[Range] = []
        fenced: list[Range] = []
        for step in self.landing.flush(ranges, self.judge, fenced, landed):
            run(step)
        for one in landed:
            self.windows.add(one, self._keys.get(one.position))
        report.consumed += sum(one.record_count for one in landed)
        report.holes += sum(one.hole_count for one in landed)
        report.fenced += len(fenced)
        return landed, fenced

    def judge(self, ranges: Sequence[Range], held: Mapping[Position, frozenset[int]]) -> Judged:
        """Run the steps over the records of these ranges, less those that `dead_letters` holds already."""
        report, rules, connection = self._report, self.rules, self._connection
        records, held_count = _without_held(self._records, ranges, held)
        with _Stage(report, "redact"):
            redacted = redact_records(records, rules.redact)
        with _Stage(report, "validate"):
            validated = validate_batch(connection, redacted, rules.validate)
        deduplicated = self._deduplicate(validated.parsed, redacted, ranges)
        with _Stage(report, "enrich"):
            events = enrich_batch(connection, deduplicated.first, rules.enrich)
        dead = self._as_dead_letters(pa.concat_tables([validated.dead, deduplicated.dead]))
        self._keys = {
            one.position: deduplicated.keys[one.position.partition] for one in ranges if one.position.partition in deduplicated.keys
        }
        report.events, report.reused_ids = events.num_rows, deduplicated.reused_count
        report.dead = Counter(dict(zip(*_value_counts(dead["reason"]), strict=True)))
        report.late, report.future = _count_off_time(events, rules.late_secs, rules.future_secs)
        if records.num_rows:
            report.oldest_appended_ms = int(pc.min(records["_appended_at"]).value // 1000)
        return Judged(events, dead, held_count)

    def _deduplicate(self, parsed: pa.Table, records: pa.Table, ranges: Sequence[Range]) -> Deduplicated:
        if not self.rules.is_dedup_on or records.num_rows == 0:
            return Deduplicated(parsed, DEAD.empty_table(), {}, 0)
        with _Stage(self._report, "window"):
            windows = self.windows.ready(ranges, pc.min(records["_appended_at"]).as_py())
        with _Stage(self._report, "deduplicate"):
            return deduplicate_batch(self._connection, parsed, records, windows, self.rules.deduplicate)

    def _as_dead_letters(self, dead: pa.Table) -> pa.Table:
        """Add what is the same for the whole flush: the topic and the folder."""
        schema = load_table("dead_letters").arrow
        dead = dead.append_column("topic", pa.repeat(pa.scalar(self.topic), dead.num_rows))
        dead = dead.append_column("arrival_date", dead["_appended_at"].cast(pa.timestamp("us")).cast(pa.date32()))
        return dead.select(schema.names).cast(schema)


class _Stage:
    """Adds the time spent inside to the report."""

    def __init__(self, report: FlushReport, name: str) -> None:
        self._report, self._name = report, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self._started
        self._report.stage_secs[self._name] = self._report.stage_secs.get(self._name, 0) + spent


def _ranges(ordered: Sequence[Batch], topic_id: str) -> list[Range]:
    """One range for each partition; its batches are contiguous."""
    ranges: dict[int, Range] = {}
    for batch in ordered:
        before = ranges.get(batch.partition)
        if before is None:
            ranges[batch.partition] = Range(Position(topic_id, batch.partition), batch.start, batch.end, len(batch.values))
        else:
            assert before.end == batch.start, f"batches of partition {batch.partition} are not contiguous: {before.end} then {batch.start}"
            ranges[batch.partition] = dataclasses.replace(before, end=batch.end, record_count=before.record_count + len(batch.values))
    return list(ranges.values())


def _without_held(records: pa.Table, ranges: Sequence[Range], held: Mapping[Position, frozenset[int]]) -> tuple[pa.Table, int]:
    """Records of these ranges that are not dead letters already, and how many are."""
    partitions = pa.array([one.position.partition for one in ranges], pa.int32())
    wanted = records.filter(pc.is_in(records["_partition"], partitions))
    is_held = np.zeros(wanted.num_rows, bool)
    for one in ranges:
        offsets = held[one.position]
        if offsets:
            is_here = pc.equal(wanted["_partition"], one.position.partition).to_numpy()
            is_held |= is_here & np.isin(wanted["_offset"].to_numpy(), np.fromiter(offsets, np.int64, len(offsets)))
    if not is_held.any():
        return wanted, 0
    return wanted.filter(pa.array(~is_held)), int(is_held.sum())


def _value_counts(column: pa.ChunkedArray) -> tuple[list[str], list[int]]:
    counts = pc.value_counts(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    return [str(Reason(value)) for value in counts.field("values").to_pylist()], counts.field("counts").to_pylist()


def _count_off_time(events: pa.Table, late_secs: float, future_secs: float) -> tuple[int, int]:
    """How many events are late, and how many from the future, against the append time: is_late and is_future of core.events."""
    if events.num_rows == 0:
        return 0, 0
    # An e-mail event's own timestamp is the send; what happened, happened when it arrived.
    is_mail = pc.starts_with(events["event_type"], "_email.")
    occurred_at = pc.if_else(is_mail, pc.coalesce(events["arrival_timestamp"], events["event_timestamp"]), events["event_timestamp"])
    behind_us = events["_appended_at"].cast(pa.int64()).to_numpy() - occurred_at.cast(pa.int64()).to_numpy()
    return int((behind_us > late_secs * 1e6).sum()), int((-behind_us > future_secs * 1e6).sum())
