"""The dedup windows of a worker's partitions: filled from the lake when cold, caught up when a partition comes back."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from agents.dedup.partitioner import partitions_of
from agents.dedup.window import KeyWindow, MemoryBudget, NewKeys, fill_window
from agents.land import Position, Range
from sinks.lake import LakeTable

log = logging.getLogger(__name__)

_TIME = pa.timestamp("us", tz="UTC")
_COLUMNS = ["app_id", "endpoint_id", "event_id", "event_type", "event_timestamp", "_appended_at", "_topic_id", "_partition"]


class Windows:
    """Windows by (topic id, partition). `window_secs` is how far back a resend is recognised. Runs in one thread.

    What a window holds is the keys of those rows of `table` that belong to its partition under the present number of
    partitions, wherever they landed, and of those that landed in it: so adding partitions forgets nothing that had landed. What
    still waited in an old partition then is known there only; a resend that overtakes it in a new one lands, and
    checks.assert_no_event_landed_twice finds it.
    """

    def __init__(
        self, table: LakeTable, connection: duckdb.DuckDBPyConnection, folder: Path, budget: MemoryBudget, window_secs: float
    ) -> None:
        self._table, self._connection, self._folder, self._budget = table, connection, folder, budget
        self._window_secs = window_secs
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
        """Read the rows of the window once, and give each new window its own."""
        windows = {position: KeyWindow(self._folder, self._budget) for position in positions}
        partition_count = self._partition_counts[positions[0].topic_id]
        try:
            for rows in self._scan((ds.field("arrival_date") >= since.date()) & (ds.field("_appended_at") >= pa.scalar(since, _TIME))):
                homes = pa.array(partitions_of(partition_count, rows["app_id"], rows["endpoint_id"], rows["event_id"]))
                for position, window in windows.items():
                    landed_here = pc.and_(pc.equal(rows["_topic_id"], position.topic_id), pc.equal(rows["_partition"], position.partition))
                    fill_window(self._connection, window, [rows.filter(pc.or_(landed_here, pc.equal(homes, position.partition)))])
        except BaseException:
            for window in windows.values():
                window.close()
            raise
        for position, window in windows.items():
            window.offset_covered = self._assigned[position]
        self._windows |= windows
        log.info("Dedup windows of partitions %s filled with %d keys.", [position.partition for position in positions], self.key_count)

    def _catch_up(self, one: Range, window: KeyWindow) -> None:
        """Learn what another worker landed in this partition meanwhile."""
        is_wanted = (
            (ds.field("_topic_id") == one.position.topic_id)
            & (ds.field("_partition") == one.position.partition)
            & (ds.field("_offset") >= (window.offset_covered or 0))
        )
        fill_window(self._connection, window, self._scan(is_wanted))
        window.offset_covered = one.start

    def _scan(self, is_wanted: ds.Expression) -> Iterator[pa.Table]:
        scanner = self._table.dataset().scanner(columns=_COLUMNS, filter=is_wanted, batch_readahead=2, fragment_readahead=2)
        for rows in scanner.to_batches():
            if rows.num_rows:
                yield pa.Table.from_batches([rows])
