"""The snapshot of dedup keys: table `dedup_keys`, which maintenance extends, and what of a window it spares reading.

Application transactions of the table say what it covers. All rows of `events` whose folder is `complete_from` or later and whose
offset is below the covered one of their (topic id, partition) have their keys in it:

    dedup_keys/<topic id>/<partition>   offset covered, that one not included
    dedup_keys/complete_from            first folder that is whole, days since 1970
    dedup_keys/of                       of which table `events`, by which hashes: xxh3 of its id and HASH_VERSION

So a window is the snapshot's keys and those of the other rows, whatever was compacted, landed or died meanwhile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import xxhash

from agents.dedup.event_keys import HASH_VERSION, I64, U64, hash_events
from agents.dedup.identity import EVENTS, Identity
from agents.dedup.partitioner import key_hashes
from agents.land import Position
from sinks.dataset import read_tables
from sinks.lake import LakeTable

NAME = "dedup_keys"
_POSITION = ("_appended_at", "_topic_id", "_partition")
_COLUMNS = ["id", "rest", "key_hash", "place", "_appended_at"]
_TIME = pa.timestamp("us", tz="UTC")
_EPOCH = date(1970, 1, 1)
# Taken off the ids, so that their order as signed numbers, which is what a table has, is that of the unsigned.
_SIGN = np.uint64(1 << 63)
_COMPLETE_FROM, _OF = f"{NAME}/complete_from", f"{NAME}/of"


@dataclass(frozen=True)
class Coverage:
    """What the snapshot holds: folders from `complete_from` on, and of each partition the offsets below the covered one."""

    complete_from: date
    offsets: Mapping[Position, int]

    def transactions(self, events_id: str) -> dict[str, int]:
        """The application transactions that say so."""
        covered = {position.app_id(NAME): offset for position, offset in self.offsets.items()}
        return covered | {_COMPLETE_FROM: (self.complete_from - _EPOCH).days, _OF: _identify(events_id)}

    def lacks(self, landed: Mapping[Position, int]) -> ds.Expression:
        """Which rows of `events` have no key in the snapshot; `landed` has every partition with the offset up to which it landed."""
        lacking = ds.field("arrival_date") < pa.scalar(self.complete_from)
        for position, offset in landed.items():
            covered = self.offsets.get(position, 0)
            if offset > covered:
                lacking |= is_of(position) & (ds.field("_offset") >= covered)
        return lacking


@dataclass(frozen=True)
class SnapshotKeys:
    """Keys in the order in which they are stored: mostly ascending. `key_hashes` and `places` say to which partitions they belong."""

    ids: U64
    rests: U64
    times: I64
    key_hashes: npt.NDArray[np.int32]
    places: I64


def read_coverage(table: LakeTable, events_id: str) -> Coverage | None:
    """What the table covers as of its last refresh; None when it is not of this table `events` or its hashes are of another version."""
    transactions = table.transactions()
    if _COMPLETE_FROM not in transactions or transactions.get(_OF) != _identify(events_id):
        return None
    offsets = {position: offset for position, offset in parse_positions(NAME, transactions).items() if offset}
    return Coverage(_EPOCH + timedelta(days=transactions[_COMPLETE_FROM]), offsets)


def read_landed_offsets(events: LakeTable) -> dict[Position, int]:
    """Of every partition the offset up to which it has landed, as of the last refresh."""
    return parse_positions(events.name, events.transactions())


def parse_positions(table: str, transactions: Mapping[str, int]) -> dict[Position, int]:
    """The transactions `<table>/<topic id>/<partition>`."""
    found = {}
    for app_id, offset in transactions.items():
        name, *place = app_id.split("/")
        if name == table and len(place) == 2 and place[1].isdigit():
            found[Position(place[0], int(place[1]))] = offset
    return found


def is_of(position: Position) -> ds.Expression:
    """Rows of `events` that landed in this partition."""
    return (ds.field("_topic_id") == position.topic_id) & (ds.field("_partition") == position.partition)


def key_columns(rows: ds.Dataset, identity: Identity = EVENTS) -> list[str]:
    """What keys are made of, and where: event_timestamp_as_sent is not there before the first worker of a release that has it."""
    clock = ("event_timestamp", "event_timestamp_as_sent") if identity.has_clock else ()
    names = ("app_id", "endpoint_id", identity.item_id, identity.kind, *clock, *_POSITION)
    return [name for name in names if name in rows.schema.names]


def build_snapshot_rows(con: duckdb.DuckDBPyConnection, events: pa.Table) -> pa.Table:
    """Rows of `events` (`key_columns`) as rows of `dedup_keys`, without the folder."""
    keys = hash_events(con, events)
    columns = {
        "id": (keys.ids ^ _SIGN).view(np.int64),
        "rest": keys.rests.view(np.int64),
        "key_hash": key_hashes(events["app_id"], events["endpoint_id"], events["event_id"]),
        "place": _place_hashes(events["_topic_id"], events["_partition"]),
        "_appended_at": events["_appended_at"].cast(_TIME),
    }
    return pa.table(columns)


def _place_hashes(topic_ids: pa.ChunkedArray, partitions: pa.ChunkedArray) -> I64:
    """A batch has few places, so each is hashed once."""
    topics = pa.chunked_array(topic_ids.cast(pa.string())).combine_chunks().dictionary_encode()
    numbers = partitions.to_numpy()
    found = np.zeros(len(numbers), np.int64)
    for index, topic_id in enumerate(topics.dictionary.to_pylist()):
        is_topic = topics.indices.to_numpy() == index
        for partition in np.unique(numbers[is_topic]).tolist():
            found[is_topic & (numbers == partition)] = place_hash(Position(topic_id, partition))
    return found


def place_hash(position: Position) -> int:
    """Column `place` of what landed in this partition."""
    found = xxhash.xxh3_64_intdigest(f"{position.topic_id}/{position.partition}".encode())
    return found - (1 << 64) if found >= 1 << 63 else found


def count_keys(table: LakeTable, coverage: Coverage, since: datetime) -> int:
    """About how many keys `read_snapshot` gives: those of the folders that it reads."""
    return int(table.dataset().count_rows(filter=ds.field("arrival_date") >= pa.scalar(max(since.date(), coverage.complete_from))))


def read_snapshot(table: LakeTable, coverage: Coverage, since: datetime) -> Iterator[SnapshotKeys]:
    """The snapshot's keys of events appended at `since` or later, a row group at a time."""
    first = max(since.date(), coverage.complete_from)
    is_wanted = (ds.field("arrival_date") >= pa.scalar(first)) & (ds.field("_appended_at") >= pa.scalar(since, _TIME))
    for rows in read_tables(table.dataset(), _COLUMNS, is_wanted):
        ids, rests, hashes, places, times = (rows.column(name) for name in _COLUMNS)
        yield SnapshotKeys(
            ids.to_numpy().view(np.uint64) ^ _SIGN,
            rests.to_numpy().view(np.uint64),
            times.cast(pa.int64()).to_numpy(),
            hashes.to_numpy(),
            places.to_numpy(),
        )


def _identify(events_id: str) -> int:
    """A positive number that differs between tables, and between versions of the hashes."""
    return int(xxhash.xxh3_64_intdigest(f"{events_id}/{HASH_VERSION}".encode()) >> 1)
