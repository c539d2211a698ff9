"""A sorted run of keys, in memory or on local disk, and the merge of several into one."""

import mmap
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from agents.dedup.event_keys import I64, U64

ID_BYTES, DETAIL_BYTES = 8, 16
# A merge works through the runs in slices of about so many keys, so its own memory is a few MB whatever the runs' size.
_SLICE_KEYS = 65_536


@dataclass(frozen=True)
class Match:
    """Where the keys asked for were found in one run. `rows`: those whose id is in the run, as indexes into what was asked;
    for each, `times`: the append time (us) of the same key, NEVER where only the id is the same; `has_other`: the id is there
    with another key."""

    rows: npt.NDArray[np.intp]
    times: I64
    has_other: npt.NDArray[np.bool_]


# Earlier than any append time, and far enough from the end of int64 that differences stay within it.
NEVER = -(1 << 62)


@dataclass(eq=False)
class KeyRun:
    """Keys in ascending order of (id, rest), none twice, each with the append time of its latest landed copy in us since 1970.

    The ids are what every search reads; rests and times are read on a hit only, so they are the first to go to disk.
    """

    ids: U64
    rests: U64
    times: I64
    _id_maps: list[mmap.mmap] = field(default_factory=list)
    _detail_maps: list[mmap.mmap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.oldest, self.newest = int(self.times.min()), int(self.times.max())
        self.forget_pages()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_ids_on_disk(self) -> bool:
        return bool(self._id_maps)

    @property
    def has_details_on_disk(self) -> bool:
        return bool(self._detail_maps)

    @property
    def memory_bytes(self) -> int:
        return len(self) * (ID_BYTES * (not self.has_ids_on_disk) + DETAIL_BYTES * (not self.has_details_on_disk))

    @property
    def disk_bytes(self) -> int:
        return len(self) * (ID_BYTES + DETAIL_BYTES) - self.memory_bytes

    def spill_details(self, folder: Path) -> None:
        """Move rests and times to a file in `folder`. Raises OSError, with nothing changed, when the disk takes no more."""
        with _Column(2 * len(self), np.uint64, folder) as column:
            column.append(self.rests)
            column.append(self.times.view(np.uint64))
            both, self._detail_maps = column.finish()
        self.rests, self.times = both[: len(self)], both[len(self) :].view(np.int64)

    def spill_ids(self, folder: Path) -> None:
        """Move the ids to a file in `folder`. Raises OSError, with nothing changed, when the disk takes no more."""
        with _Column(len(self), np.uint64, folder) as column:
            column.append(self.ids)
            self.ids, self._id_maps = column.finish()

    def load_ids(self) -> None:
        """Bring the ids back into memory."""
        self.ids, self._id_maps = np.array(self.ids), []

    def find(self, ids: U64, rests: U64) -> Match:
        """Look for keys; `ids` ascending."""
        starts = np.searchsorted(self.ids, ids)
        rows = np.flatnonzero(self.ids[np.minimum(starts, len(self) - 1)] == ids)
        starts = starts[rows]
        stops = np.searchsorted(self.ids, ids[rows], side="right")
        places = np.minimum(self._bisect(starts, stops, rests[rows]), len(self) - 1)
        is_same = (self.ids[places] == ids[rows]) & (self.rests[places] == rests[rows])
        times = np.where(is_same, self.times[places], NEVER)
        self.forget_pages()
        return Match(rows, times, stops - starts > is_same)

    def cut(self, ids: U64, rests: U64) -> npt.NDArray[np.intp]:
        """For each (id, rest) the place of the first key that is not before it."""
        starts = np.searchsorted(self.ids, ids)
        return self._bisect(starts, np.searchsorted(self.ids, ids, side="right"), rests)

    def _bisect(self, starts: npt.NDArray[np.intp], stops: npt.NDArray[np.intp], rests: U64) -> npt.NDArray[np.intp]:
        """Lower bound of each rest within keys of one id, starts to stops: all at once, as an id may be millions of keys."""
        low, high = starts.copy(), stops.copy()
        while (is_open := low < high).any():
            middle = (low + high) // 2
            is_less = is_open & (self.rests[np.minimum(middle, len(self) - 1)] < rests)
            low = np.where(is_less, middle + 1, low)
            high = np.where(is_open & ~is_less, middle, high)
        return low

    def forget_pages(self) -> None:
        """Give pages of mapped files back to the system, which keeps them cached as long as it has room."""
        for mapped in (*self._id_maps, *self._detail_maps):
            mapped.madvise(mmap.MADV_DONTNEED)


def sorted_run(ids: U64, rests: U64, times: I64) -> KeyRun:
    """A run of keys that come in any order; times in us since 1970. Keys that are in order already are taken as they are."""
    if np.all(ids[1:] > ids[:-1]):
        return KeyRun(ids, rests, times)
    return KeyRun(*_sort(ids, rests, times, kind="quicksort"))


def merge_runs(runs: Sequence[KeyRun], folder: Path, oldest_kept: int, memory_bytes_free: int) -> KeyRun | None:
    """One run out of several: of a key that is there twice the later time stays, keys older than `oldest_kept` (us) leave.

    What fits into `memory_bytes_free` is made in memory, the ids first, the rest in files in `folder`. None when no key stays.
    Raises OSError, with the runs as they were, when the disk takes no more.
    """
    total = sum(map(len, runs))
    has_room_for_ids = total * ID_BYTES <= memory_bytes_free
    has_room_for_all = total * (ID_BYTES + DETAIL_BYTES) <= memory_bytes_free
    details_folder = None if has_room_for_all else folder
    with (
        _Column(total, np.uint64, None if has_room_for_ids else folder) as ids,
        _Column(total, np.uint64, details_folder) as rests,
        _Column(total, np.int64, details_folder) as times,
    ):
        for part in _merged_slices(runs):
            is_kept = part[2] >= oldest_kept
            for column, values in zip((ids, rests, times), part, strict=True):
                column.append(values[is_kept])
        if not ids.count:
            return None
        (found_ids, id_maps), (found_rests, rest_maps), (found_times, time_maps) = ids.finish(), rests.finish(), times.finish()
    return KeyRun(found_ids, found_rests, found_times, id_maps, rest_maps + time_maps)


def _merged_slices(runs: Sequence[KeyRun]) -> Iterator[tuple[U64, U64, I64]]:
    """The keys of all runs in order, in slices. Cuts are taken from samples of (id, rest), so that one id with millions of
    keys is cut too."""
    stride = max(_SLICE_KEYS // len(runs), 1)
    ids = np.concatenate([run.ids[stride - 1 :: stride] for run in runs])
    rests = np.concatenate([run.rests[stride - 1 :: stride] for run in runs])
    order = np.lexsort((rests, ids))[:: len(runs)]
    cuts = [np.concatenate(([0], run.cut(ids[order], rests[order]), [len(run)])) for run in runs]
    for number in range(len(order) + 1):
        parts = [slice(at[number], at[number + 1]) for at in cuts]
        columns = (
            np.concatenate([run.ids[part] for run, part in zip(runs, parts, strict=True)]),
            np.concatenate([run.rests[part] for run, part in zip(runs, parts, strict=True)]),
            np.concatenate([run.times[part] for run, part in zip(runs, parts, strict=True)]),
        )
        # Timsort takes the sorted pieces as they are and only merges them.
        yield _sort(*columns, kind="stable")
        for run in runs:
            run.forget_pages()


def _sort(ids: U64, rests: U64, times: I64, kind: Any) -> tuple[U64, U64, I64]:
    """In order of (id, rest), each key once with its latest time."""
    order = np.argsort(ids, kind=kind)
    ids = ids[order]
    is_tied = ids[1:] == ids[:-1]
    if not is_tied.any():
        return ids, rests[order], times[order]
    tied = np.flatnonzero(np.concatenate((is_tied, [False])) | np.concatenate(([False], is_tied)))
    among = order[tied]
    order[tied] = among[np.lexsort((times[among], rests[among], ids[tied]))]
    rests, times = rests[order], times[order]
    is_last = np.concatenate(((ids[1:] != ids[:-1]) | (rests[1:] != rests[:-1]), [True]))
    return ids[is_last], rests[is_last], times[is_last]


class _Column:
    """An array that grows to at most `count_max` values: in memory, or in a file in `folder` that has no name, so that it is
    gone when it is let go, after a kill too."""

    def __init__(self, count_max: int, dtype: type[Any], folder: Path | None) -> None:
        self.count = 0
        self._dtype = dtype
        # Pages that are never written take no memory, so the whole length may be asked for at once.
        self._array = np.empty(count_max if folder is None else 0, dtype)
        # Unbuffered: closing it never writes, so a full disk is met in `append` and nowhere else.
        self._file = None if folder is None else tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, values: npt.NDArray[Any]) -> None:
        if self._file is None:
            self._array[self.count : self.count + len(values)] = values
        else:
            left = np.ascontiguousarray(values).data.cast("B")
            while left:
                left = left[self._file.write(left) :]
        self.count += len(values)

    def finish(self) -> tuple[npt.NDArray[Any], list[mmap.mmap]]:
        if self._file is None:
            return self._array[: self.count], []
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(mapped, dtype=self._dtype), [mapped]
