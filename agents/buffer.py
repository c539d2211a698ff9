"""Batches between consuming and landing: contiguous for each partition, bounded in bytes, safe between threads."""

import enum
import threading
from collections import deque
from collections.abc import Mapping

from agents.batch import Batch

Partition = tuple[str, int]


class Offer(enum.Enum):
    """What became of a batch that was offered."""

    TAKEN = "taken"
    STALE = "stale"  # fetched before positions were last set, or taken already
    AHEAD = "ahead"  # records before it were skipped: positions must be set anew


class Buffer:
    """Holds what was consumed and is not landed yet. `bytes_held` counts a batch from `offer` to `release`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: deque[Batch] = deque()
        self._expected: dict[Partition, int] = {}
        self._generation = 0
        self._bytes_waiting = 0
        self._bytes_taken = 0

    def reset(self, expected: Mapping[Partition, int], generation: int) -> None:
        """Drop everything and expect these offsets next, from batches of this generation."""
        with self._lock:
            self._batches.clear()
            self._bytes_waiting = 0
            self._expected = dict(expected)
            self._generation = generation

    def offer(self, batch: Batch) -> Offer:
        """Take a batch if it is the one expected next."""
        with self._lock:
            expected = self._expected.get((batch.topic, batch.partition))
            if batch.generation != self._generation or expected is None or batch.start < expected:
                return Offer.STALE
            if batch.start > expected:
                return Offer.AHEAD
            self._expected[(batch.topic, batch.partition)] = batch.end
            self._batches.append(batch)
            self._bytes_waiting += batch.held_bytes
            return Offer.TAKEN

    def take(self, bytes_max: int) -> list[Batch]:
        """The oldest batches, up to about `bytes_max`; at least a record, if there is any."""
        taken: list[Batch] = []
        with self._lock:
            taken_bytes = 0
            if self._batches and self._batches[0].held_bytes > bytes_max:
                self._batches.extendleft(reversed(self._batches.popleft().split(bytes_max)))
            while self._batches and (not taken or taken_bytes + self._batches[0].held_bytes <= bytes_max):
                taken.append(self._batches.popleft())
                taken_bytes += taken[-1].held_bytes
            self._bytes_waiting -= taken_bytes
            self._bytes_taken += taken_bytes
        return taken

    def release(self, batches: list[Batch]) -> None:
        """Say that batches that were taken are landed, or dropped."""
        with self._lock:
            self._bytes_taken -= sum(batch.held_bytes for batch in batches)

    @property
    def bytes_waiting(self) -> int:
        return self._bytes_waiting

    @property
    def bytes_held(self) -> int:
        return self._bytes_waiting + self._bytes_taken

    @property
    def is_empty(self) -> bool:
        return not self._batches
