"""The deep audit: what Kafka still holds of what has landed, record by record, against the hashes in the lake's rows.

The plain audit counts offsets; this one reads the values again. Memory is bounded: a window of offsets at a time is held
against the rows of the same offsets.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import xxhash
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from agents.land import Position
from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.kafka_records import OffsetsGoneError, Span, TopicReader
from pipeline.landed import Landed, read_landed
from pipeline.stores import build_store
from pipeline.topic_ids import look_up_topics
from pipeline.topology import LANDING_STREAMS, topic_name
from schemas.errors import UnavailableError
from schemas.tables import load_table
from sinks.lake import LakeTable
from sinks.reread import read_again

WINDOW_RECORDS = 500_000
NAMED_MAX = 20

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DeepAudit:
    """Offsets [start, end) of a partition, which are what Kafka still holds of what has landed.

    Of `compared` records `equal` have rows with the same hash and no other (that there is one only, the plain audit says); `differing` have a
    row of another hash, `missing` none. `lake_only` rows stand at offsets at which Kafka has no record: on a compacted topic it had one.
    `deleted` offsets Kafka let go of while they were being compared. `offsets` names the first of each kind.
    """

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    compared: int = 0
    equal: int = 0
    differing: int = 0
    missing: int = 0
    lake_only: int = 0
    deleted: int = 0
    is_compacted: bool = False
    offsets: dict[str, list[int]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not (self.differing or self.missing or (self.lake_only and not self.is_compacted))


def audit_deeply(settings: Settings, on_progress: Callable[[int], None] = lambda compared: None) -> list[DeepAudit]:
    """Compare every partition of the present topics; `on_progress` is told how many records more were compared.

    Raises UnavailableError when Kafka or the store does not answer.
    """
    store = build_store(settings, is_reader=True)
    audits: list[DeepAudit] = []
    for stream in LANDING_STREAMS:
        topic = topic_name(settings, stream.topic)
        rows = _Rows(LakeTable(store, load_table(stream.table)), LakeTable(store, load_table("dead_letters")))
        if not rows.events.exists() or not rows.dead_letters.exists():
            continue
        landed = rows.refresh()
        state = look_up_topics(settings, [topic]).get(topic)
        present = [one for one in landed if state and one.position.topic_id == state.topic_id]
        if not present:
            continue
        is_compacted = _is_compacted(settings, topic)
        with TopicReader(settings, topic) as reader:
            for one in present:
                empty = DeepAudit(topic, one.position.topic_id, one.position.partition, 0, 0, is_compacted=is_compacted)
                audits.append(_audit_partition(reader, one, rows, empty, on_progress))
    return audits


def summarize_deeply(audits: list[DeepAudit]) -> dict[str, Any]:
    """Totals, with each partition below: `deep` of `headwater audit --deep --json`."""
    names = ("compared", "equal", "differing", "missing", "lake_only")
    totals = {name: sum(getattr(audit, name) for audit in audits) for name in names}
    return {**totals, "is_clean": all(audit.is_clean for audit in audits), "partitions": [asdict(audit) for audit in audits]}


class _Rows:
    """The rows of both tables, as of one version of each."""

    def __init__(self, events: LakeTable, dead_letters: LakeTable) -> None:
        self.events, self.dead_letters = events, dead_letters

    def refresh(self) -> list[Landed]:
        """Look at both tables; what has landed by now."""
        # This table first: a dead letter is committed before the events beside it.
        self.events.refresh()
        landed = read_landed(self.events.name, self.events.transactions())
        self.dead_letters.refresh()
        return landed

    def hashes(self, position: Position, start: int, end: int) -> tuple[I64, I64]:
        """Offsets of [start, end) that have rows, in order, and the payload hash of each row."""
        is_wanted = (ds.field("_topic_id") == position.topic_id) & (ds.field("_partition") == position.partition)
        is_wanted &= (ds.field("_offset") >= start) & (ds.field("_offset") < end)
        columns = ["_offset", "_payload_hash"]
        found = pa.concat_tables([_read_rows(table, columns, is_wanted) for table in (self.events, self.dead_letters)])
        offsets, hashes = found["_offset"].to_numpy(), found["_payload_hash"].to_numpy()
        order = np.argsort(offsets, kind="stable")
        return offsets[order], hashes[order]


def _read_rows(table: LakeTable, columns: list[str], is_wanted: ds.Expression) -> pa.Table:
    return read_again(table, lambda: table.dataset().to_table(columns=columns, filter=is_wanted))


def _audit_partition(reader: TopicReader, one: Landed, rows: _Rows, audit: DeepAudit, on_progress: Callable[[int], None]) -> DeepAudit:
    number = one.position.partition
    start = max(one.first, reader.bounds([number])[number].start)
    audit = replace(audit, start=start, end=max(start, one.wanted))
    while start < audit.end:
        try:
            for window, offsets, hashes in _read_windows(reader, Span(number, start, audit.end)):
                landed_offsets, landed_hashes = rows.hashes(one.position, window.start, window.end)
                audit = _compare(audit, offsets, hashes, landed_offsets, landed_hashes)
                on_progress(len(offsets))
                start = window.end
        except OffsetsGoneError:
            # Retention was faster; what it deleted can no longer be compared.
            held = min(max(start, reader.bounds([number])[number].start), audit.end)
            audit, start = replace(audit, deleted=audit.deleted + held - start), held
    return audit


def _read_windows(reader: TopicReader, span: Span) -> Iterator[tuple[Span, I64, I64]]:
    """Windows of a span, one after the other, with the offsets that hold records and the hash of each value."""
    offsets: list[int] = []
    hashes: list[int] = []
    start, digest = span.start, xxhash.xxh3_64_intdigest
    for records in reader.read([span]):
        offsets += [record.offset for record in records]
        hashes += [digest(record.value or b"") for record in records]
        if len(offsets) >= WINDOW_RECORDS:
            window = Span(span.partition, start, offsets[-1] + 1)
            yield window, *_as_arrays(offsets, hashes)
            offsets, hashes, start = [], [], window.end
    if start < span.end:
        yield Span(span.partition, start, span.end), *_as_arrays(offsets, hashes)


def _as_arrays(offsets: list[int], hashes: list[int]) -> tuple[I64, I64]:
    return np.array(offsets, np.int64), np.array(hashes, np.uint64).view(np.int64)


def _compare(audit: DeepAudit, held: I64, held_hashes: I64, landed: I64, landed_hashes: I64) -> DeepAudit:
    """Add one window to the audit; both sides are in the order of offsets, a landed one may stand there twice."""
    places = np.searchsorted(held, landed)
    is_held = np.zeros(len(landed), np.bool_)
    within = places < len(held)
    is_held[within] = held[places[within]] == landed[within]
    differs = held_hashes[places[is_held]] != landed_hashes[is_held]
    differing = np.unique(landed[is_held][differs])
    missing, lake_only = np.setdiff1d(held, landed, assume_unique=False), np.unique(landed[~is_held])
    found = {"differing": differing, "missing": missing, "lake_only": lake_only}
    named = {name: (audit.offsets.get(name, []) + offsets[:NAMED_MAX].tolist())[:NAMED_MAX] for name, offsets in found.items()}
    return replace(
        audit,
        compared=audit.compared + len(held),
        equal=audit.equal + len(held) - len(differing) - len(missing),
        differing=audit.differing + len(differing),
        missing=audit.missing + len(missing),
        lake_only=audit.lake_only + len(lake_only),
        offsets=named,
    )


def _is_compacted(settings: Settings, topic: str) -> bool:
    with open_admin(settings) as admin:
        try:
            found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        except KafkaError as error:
            raise UnavailableError(
                f"Kafka at '{settings.kafka_servers}' does not say how topic '{topic}' is kept ({error}); expected the right to describe it: allow DescribeConfigs on the topic."
            ) from None
    return any("compact" in str(entry.get("cleanup.policy")) for topics in found.values() for entry in topics.values())
