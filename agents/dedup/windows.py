"""The dedup windows of a worker's partitions: filled from the lake when cold, caught up when a partition comes back."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import botocore.exceptions
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake.exceptions import DeltaError

from agents.dedup.identity import EVENTS, Identity
from agents.dedup.partitioner import partitions_of
from agents.dedup.snapshot import SnapshotKeys, count_keys, key_columns, place_hash, read_coverage, read_landed_offsets, read_snapshot
from agents.dedup.window import Gathered, KeyWindow, MemoryBudget, NewKeys, fill_window
from agents.land import Position, Range
from schemas.errors import HeadwaterError
from sinks.dataset import read_tables
from sinks.lake import LakeTable

log = logging.getLogger(__name__)

_TIME = pa.timestamp("us", tz="UTC")
# What reading a table raises; when it is the store that is away, reading the rows raises it again.
_UNREADABLE = (
    DeltaError,
    HeadwaterError,
    OSError,
    pa.ArrowException,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
)


class Windows:
    """Windows by (topic id, partition); implements agents.ingest.StreamWindows. `window_secs` is how far back a resend is recognised. Runs in one thread.

    What a window holds is the keys of those rows of `table` that belong to its partition under the present number of
    partitions, wherever they landed, and of those that landed in it: so adding partitions forgets nothing that had landed. What
    still waited in an old partition then is known there only; a resend that overtakes it in a new one lands, and
    checks.assert_no_event_landed_twice finds it.

    `snapshot`, the table dedup_keys, makes a cold window of events quick; without it, and when it cannot be read, the window is the same.
    `identity` says what a row's key is made of.
    """

    def __init__(
        self,
        table: LakeTable,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        budget: MemoryBudget,
        window_secs: float,
        snapshot: LakeTable | None = None,
        identity: Identity = EVENTS,
    ) -> None:
        self._table, self._connection, self._folder, self._budget = table, connection, folder, budget
        self._window_secs, self._snapshot, self._identity = window_secs, snapshot, identity
        self._windows: dict[Position, KeyWindow] = {}
        self._assigned: dict[Position, int] = {}
        self._partition_counts: dict[str, int] = {}

    def assign(self, topic_id: str, starts: Mapping[int, int], partition_count: int) -> None:
        """Say which partitions this worker has from now on, each with the offset up to which it has landed.

        A window whose partition went away is kept until the next assignment: with a sticky assignor it often comes back.
        """
        before, self._assigned = self._assigned, {Position(topic_id, partition): start for partition, start in starts.items()}
        is_regrown = self._partition_counts.get(topic_id, partition_count) != partition_count
        self._partition_counts[topic_id] = partition_count
        for position in list(self._windows):
            if (position not in self._assigned and (position not in before or is_regrown)) or is_regrown:
                self._windows.pop(position).close()

    def ready(self, ranges: Sequence[Range], oldest_at: datetime) -> Mapping[int, KeyWindow]:
        """Windows by partition, each knowing all that landed before its range; `oldest_at` is the first append time to be judged.

        Only these are filled: what another cold partition will ask for may be older.
        """
        cold = [one.position for one in ranges if one.position not in self._windows]
        if cold:
            self._fill(cold, oldest_at - timedelta(seconds=self._window_secs))
        for one in ranges:
            window = self._windows[one.position]
            if (window.offset_covered or 0) < one.start:
                self._catch_up(one, window)
        return {one.position.partition: self._windows[one.position] for one in ranges}

    def add(self, one: Range, keys: NewKeys | None) -> None:
        """Learn the keys of a range that has landed; twice does no harm."""
        window = self._windows.get(one.position)
        if window is None:
            return
        if keys is not None:
            window.add(keys)
            window.expire(self._window_secs)
        window.offset_covered = max(window.offset_covered or 0, one.end)

    @property
    def key_count(self) -> int:
        return sum(window.key_count for window in self._windows.values())

    @property
    def memory_bytes(self) -> int:
        return sum(window.memory_bytes for window in self._windows.values())

    @property
    def covered_secs(self) -> float:
        """How far back the windows reach; the shortest of those that hold a key."""
        return min((window.covered_secs for window in self._windows.values() if window.key_count), default=0.0)

    def _fill(self, positions: Sequence[Position], since: datetime) -> None:
        """Give each new window its keys: from the snapshot and the rows beyond it, or, without one, from all rows of the window."""
        try:
            windows = self._fill_from_snapshot(positions, since)
        except _UNREADABLE as error:
            log.warning("The snapshot of dedup keys could not be read (%s); the events are read instead.", error)
            windows = None
        if windows is None:
            windows = self._filled(positions, lambda windows: self._learn_rows(windows, _is_within(since)))
        for position, window in windows.items():
            window.offset_covered = self._assigned[position]
        self._windows |= windows
        log.info("Dedup windows of partitions %s filled with %d keys.", [position.partition for position in positions], self.key_count)

    def _fill_from_snapshot(self, positions: Sequence[Position], since: datetime) -> dict[Position, KeyWindow] | None:
        """None when there is no snapshot of this table."""
        if self._snapshot is None or not self._snapshot.exists():
            return None
        self._snapshot.refresh()
        snapshot, coverage = self._snapshot, read_coverage(self._snapshot, self._table.id())
        if coverage is None:
            return None
        is_lacking = _is_within(since) & coverage.lacks(read_landed_offsets(self._table))

        def learn(windows: Mapping[Position, KeyWindow]) -> None:
            expected = count_keys(snapshot, coverage, since) // self._partition_count(windows)
            for window in windows.values():
                window.expect(expected)
            self._learn_snapshot(windows, read_snapshot(snapshot, coverage, since))
            self._learn_rows(windows, is_lacking)

        return self._filled(positions, learn)

    def _filled(self, positions: Sequence[Position], learn: Callable[[Mapping[Position, KeyWindow]], None]) -> dict[Position, KeyWindow]:
        windows = {position: KeyWindow(self._folder, self._budget) for position in positions}
        try:
            learn(windows)
        except BaseException:
            for window in windows.values():
                window.close()
            raise
        return windows

    def _learn_rows(self, windows: Mapping[Position, KeyWindow], is_wanted: ds.Expression) -> None:
        """Read rows of the table once, and give each window its own."""
        for rows in self._scan(is_wanted):
            homes = pa.array(
                partitions_of(self._partition_count(windows), rows["app_id"], rows["endpoint_id"], rows[self._identity.item_id])
            )
            for position, window in windows.items():
                landed_here = pc.and_(pc.equal(rows["_topic_id"], position.topic_id), pc.equal(rows["_partition"], position.partition))
                own = rows.filter(pc.or_(landed_here, pc.equal(homes, position.partition)))
                fill_window(self._connection, window, [self._identity.as_key_table(own)])

    def _learn_snapshot(self, windows: Mapping[Position, KeyWindow], batches: Iterable[SnapshotKeys]) -> None:
        """Keys are stored in ascending stretches: what is taken from one of them needs no sorting."""
        partition_count = self._partition_count(windows)
        gathered = {position: Gathered(window) for position, window in windows.items()}
        for keys in batches:
            homes = keys.key_hashes % np.int32(partition_count)
            for position, window in gathered.items():
                rows = np.flatnonzero((homes == position.partition) | (keys.places == place_hash(position)))
                window.add(keys.ids[rows], keys.rests[rows], keys.times[rows])
        for window in gathered.values():
            window.learn()

    def _partition_count(self, windows: Iterable[Position]) -> int:
        return self._partition_counts[next(iter(windows)).topic_id]

    def _catch_up(self, one: Range, window: KeyWindow) -> None:
        """Learn what another worker landed in this partition meanwhile."""
        is_wanted = (
            (ds.field("_topic_id") == one.position.topic_id)
            & (ds.field("_partition") == one.position.partition)
            & (ds.field("_offset") >= (window.offset_covered or 0))
        )
        fill_window(self._connection, window, map(self._identity.as_key_table, self._scan(is_wanted)))
        window.offset_covered = one.start

    def _scan(self, is_wanted: ds.Expression) -> Iterator[pa.Table]:
        rows = self._table.dataset()
        return read_tables(rows, key_columns(rows, self._identity), is_wanted)


def _is_within(since: datetime) -> ds.Expression:
    return (ds.field("arrival_date") >= pa.scalar(since.date())) & (ds.field("_appended_at") >= pa.scalar(since, _TIME))
