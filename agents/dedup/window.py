"""The dedup window of one partition: the keys of the events that landed there, for as long as a resend is recognised.

Sorted runs of keys with a bitmap in front. A batch's keys become a run; eight runs of about one size are merged into one,
so a key is moved a few times in its life and a search meets few runs. Beyond the memory budget runs lie on local disk, in
files without a name: the window is never shortened, and nothing is left behind, however the process ends.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from agents.dedup.event_keys import I64, U64, hash_events
from agents.dedup.key_bitmap import KeyBitmap
from agents.dedup.key_run import ID_BYTES, NEVER, KeyRun, merge_runs, sorted_run

log = logging.getLogger(__name__)

_RUNS_PER_MERGE_LOG2 = 3
_FILL_KEYS = 1_000_000
_GATHERED_KEYS_MIN, _GATHERED_KEYS_MAX = 100_000, 500_000


@dataclass(frozen=True)
class NewKeys:
    """What a window learns once a flush is committed: the keys of the events that landed, in any order, with their append
    times (us since 1970); the latest append time of all records of the batch; the offset after its last record."""

    ids: U64
    rests: U64
    times: I64
    latest_at: int
    offset_next: int


@dataclass(frozen=True)
class Found:
    """Per key asked for: `times`, the append time of its latest landed copy or NEVER; `has_other`, its id is known with other
    content. The latter may speak of an event that has just left the window: it feeds a count, not a verdict."""

    times: I64
    has_other: npt.NDArray[np.bool_]


class MemoryBudget:
    """The memory that all windows of a worker may use together. While it suffices, nobody spills; when it does not, each
    window's share is in proportion to its keys, and a window comes down to its share the next time it adds or expires."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._windows: list[KeyWindow] = []
        self._lock = threading.Lock()

    @property
    def windows(self) -> Sequence["KeyWindow"]:
        with self._lock:
            return tuple(self._windows)

    def join(self, window: "KeyWindow") -> None:
        with self._lock:
            self._windows.append(window)

    def leave(self, window: "KeyWindow") -> None:
        with self._lock:
            self._windows = [other for other in self._windows if other is not window]

    def share(self, window: "KeyWindow") -> int:
        """Bytes that `window` may use now."""
        windows = self.windows
        free = self.bytes_max - sum(other.memory_bytes for other in windows)
        if free >= 0:
            return window.memory_bytes + free
        return self.bytes_max * window.key_count // max(sum(other.key_count for other in windows), 1)


class KeyWindow:
    """The keys of one (topic id, partition).

    `folder` is for spilled runs; several windows may share it. Not for several threads at once. `latest_at` is the latest append time of
    the partition that is known (us since 1970): the window's only clock. `offset_covered` is the offset up to which (not
    included) the window knows what landed; None until somebody knows.
    """

    def __init__(self, folder: Path, budget: MemoryBudget) -> None:
        self.latest_at = NEVER
        self.offset_covered: int | None = None
        self.spill_error: OSError | None = None
        self._folder = folder
        self._budget = budget
        self._runs: list[KeyRun] = []
        self._bitmap = KeyBitmap(0, 0)
        self._oldest_kept = NEVER
        folder.mkdir(parents=True, exist_ok=True)
        budget.join(self)

    @property
    def key_count(self) -> int:
        return sum(map(len, self._runs))

    @property
    def memory_bytes(self) -> int:
        """Memory held; a merge takes a few MB more while it lasts."""
        return self._bitmap.nbytes + sum(run.memory_bytes for run in self._runs)

    @property
    def disk_bytes(self) -> int:
        return sum(run.disk_bytes for run in self._runs)

    @property
    def oldest_at(self) -> int | None:
        """Append time (us since 1970) of the oldest key held."""
        return min((max(run.oldest, self._oldest_kept) for run in self._runs), default=None)

    @property
    def covered_secs(self) -> float:
        """How far back the keys reach from the latest append time, a key's or a record's."""
        oldest = self.oldest_at
        return 0.0 if oldest is None else (max(self.latest_at, *(run.newest for run in self._runs)) - oldest) / 1e6

    def find(self, ids: U64, rests: U64) -> Found:
        """Look keys up; `ids` ascending, `rests` beside them. Changes nothing."""
        times = np.full(len(ids), NEVER)
        has_other = np.zeros(len(ids), np.bool_)
        asked = np.flatnonzero(self._bitmap.may_hold(ids))
        if len(asked):
            ids, rests = ids[asked], rests[asked]
            for run in self._runs:
                match = run.find(ids, rests)
                rows = asked[match.rows]
                times[rows] = np.maximum(times[rows], match.times)
                has_other[rows] |= match.has_other
        return Found(times, has_other)

    def add(self, keys: NewKeys) -> None:
        """Learn what landed. To be called when it is committed, not before; twice does no harm. May write to disk.

        A disk that takes no more costs memory, not keys: it is logged, kept in `spill_error`, and tried again next time.
        """
        self.latest_at = max(self.latest_at, keys.latest_at)
        self.offset_covered = max(self.offset_covered or 0, keys.offset_next)
        self.learn(keys.ids, keys.rests, keys.times)

    def learn(self, ids: U64, rests: U64, times: I64) -> None:
        """Learn keys without a word on clock and offset; known ones among them do no harm. May write to disk, as `add`."""
        if len(ids):
            run = sorted_run(ids, rests, times)
            self._runs.append(run)
            self._bitmap.add(run.ids)
        self._settle()

    def expect(self, key_count: int) -> None:
        """Make room in the bitmap for so many keys at once, as far as the budget allows: it need not be renewed while they come."""
        self._bitmap = KeyBitmap(0, 0)
        self._bitmap = KeyBitmap(max(key_count, self.key_count), self._budget.share(self) // 4)
        self._mark_all()

    def expire(self, window_secs: float) -> None:
        """Let go of keys older than `window_secs` before the latest append time; merges are spread over the calls."""
        self._oldest_kept = max(self._oldest_kept, self.latest_at - round(window_secs * 1e6))
        self._runs = [run for run in self._runs if run.newest >= self._oldest_kept]
        for run in self._runs:
            # Append times are spread about evenly, so half the run's time is about half its keys.
            if (run.oldest + run.newest) // 2 < self._oldest_kept:
                self._merge([run])
                break
        self._settle()

    def close(self) -> None:
        """Let go of all keys, memory and disk."""
        self._runs = []
        self._bitmap = KeyBitmap(0, 0)
        self._budget.leave(self)

    def _settle(self) -> None:
        """Merge what is due, renew the bitmap where that pays, come down to the share of the budget."""
        while (due := self._runs_due()) and self._merge(due):
            pass
        if self._bitmap.is_crowded:
            self._renew_bitmap()
        self._spill()

    def _runs_due(self) -> list[KeyRun]:
        """Eight runs of one tier, which is their size's order of magnitude to the base of eight."""
        tiers: dict[int, list[KeyRun]] = {}
        for run in self._runs:
            tiers.setdefault((len(run).bit_length() - 1) // _RUNS_PER_MERGE_LOG2, []).append(run)
        return next((tiers[tier] for tier in sorted(tiers) if len(tiers[tier]) >= 1 << _RUNS_PER_MERGE_LOG2), [])

    def _merge(self, runs: list[KeyRun]) -> bool:
        free = self._budget.share(self) - self.memory_bytes
        try:
            merged = merge_runs(runs, self._folder, self._oldest_kept, free)
        except OSError as error:
            self._note_full_disk(error)
            return False
        self._runs = [run for run in self._runs if run not in runs]
        if merged is not None:
            self._runs.append(merged)
            if merged.has_ids_on_disk and self.memory_bytes + len(merged) * ID_BYTES <= self._budget.share(self):
                merged.load_ids()
        return True

    def _renew_bitmap(self) -> None:
        # The old one goes first: both at once might be more than the budget.
        self._bitmap = KeyBitmap(0, 0)
        self._bitmap = KeyBitmap(self.key_count, self._budget.share(self) // 4)
        self._mark_all()

    def _mark_all(self) -> None:
        for run in self._runs:
            for start in range(0, len(run), _FILL_KEYS):
                self._bitmap.add(run.ids[start : start + _FILL_KEYS])
                run.forget_pages()

    def _spill(self) -> None:
        try:
            while self.memory_bytes > self._budget.share(self):
                in_memory = [run for run in self._runs if not run.has_details_on_disk]
                if in_memory:
                    max(in_memory, key=len).spill_details(self._folder)
                    continue
                in_memory = [run for run in self._runs if not run.has_ids_on_disk]
                if not in_memory:
                    break
                max(in_memory, key=len).spill_ids(self._folder)
        except OSError as error:
            self._note_full_disk(error)
        else:
            self.spill_error = None

    def _note_full_disk(self, error: OSError) -> None:
        if self.spill_error is None:
            log.warning(
                "Dedup keys cannot be written to '%s': %s; they stay in memory, beyond the %d bytes of DEDUP_MEMORY_BYTES_MAX. Make room on that disk.",
                self._folder,
                error,
                self._budget.bytes_max,
            )
        self.spill_error = error


class Gathered:
    """Keys on their way into a window: pieces that continue in ascending order become one run, which needs no sorting; others are
    gathered until there are enough to be sorted together."""

    def __init__(self, window: KeyWindow) -> None:
        self._window = window
        self._parts: list[tuple[U64, U64, I64]] = []
        self._count = 0

    def add(self, ids: U64, rests: U64, times: I64) -> None:
        if not len(ids):
            return
        is_next_stretch = bool(self._parts) and ids[0] <= self._parts[-1][0][-1]
        if self._count >= _GATHERED_KEYS_MAX or (is_next_stretch and self._count >= _GATHERED_KEYS_MIN):
            self.learn()
        self._parts.append((ids, rests, times))
        self._count += len(ids)

    def learn(self) -> None:
        """Hand what is gathered to the window."""
        if self._parts:
            _learn(self._window, self._parts)
        self._parts, self._count = [], 0


def fill_window(con: duckdb.DuckDBPyConnection, window: KeyWindow, tables: Iterable[pa.Table | pa.RecordBatch]) -> None:
    """Learn keys from rows of the lake, in any order and number, known ones among them.

    Columns: those of `hash_events` and _appended_at; others are ignored. The offset that the
    rows cover is for the caller to set. The clock stays: rows may have landed in another partition, days ahead of this one.
    """
    waiting: list[tuple[U64, U64, I64]] = []
    for rows in tables:
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        keys = hash_events(con, table)
        waiting.append((keys.ids, keys.rests, append_times(table)))
        if sum(len(part[0]) for part in waiting) >= _FILL_KEYS:
            _learn(window, waiting)
            waiting = []
    if waiting:
        _learn(window, waiting)


def append_times(table: pa.Table) -> I64:
    """Column _appended_at in us since 1970."""
    times: I64 = table.column("_appended_at").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    return times


def _learn(window: KeyWindow, parts: list[tuple[U64, U64, I64]]) -> None:
    ids, rests, times = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    window.learn(ids, rests, times)
