"""How much a worker lands at once: no more than twice what it has landed at once before, and less when memory does not suffice.

A flush that is too large for the machine fails with an error, or takes the process with it. Were it tried again as it was, for ever or
after each start, the worker would never get on. So it becomes smaller after an error, and begins small after each start: what kills a
worker is preceded by flushes that landed.
"""

import errno

import duckdb

# Of records, unpacked. A flush that lands takes several times that for a moment.
BEGIN_BYTES, BEGIN_HELD_BYTES = 1_000_000, 8_000_000


# After memory did not suffice, a size grows by this share of itself with each flush that landed: were it doubled, every second flush would fail.
REGROWTH = 1 / 32


class FlushSize:
    """`bytes_now` is what a flush may take now, at most `bytes_max`; `held_bytes_now` what may be held, at most `held_bytes_max`: what waits
    takes memory from what is landed. Changed by one thread."""

    def __init__(self, bytes_max: int, held_bytes_max: int) -> None:
        self._bytes_max, self._held_bytes_max = bytes_max, held_bytes_max
        # Up to which size memory suffices, as far as is known.
        self._bytes_fit = bytes_max
        self.bytes_now = min(BEGIN_BYTES, bytes_max)
        self._held_bytes = min(BEGIN_HELD_BYTES, held_bytes_max)

    @property
    def held_bytes_now(self) -> int:
        """While memory is known to be short, no more than two flushes."""
        return self._held_bytes if self._bytes_fit == self._bytes_max else min(self._held_bytes, 2 * self.bytes_now)

    def note_landed(self, size_bytes: int) -> None:
        """A flush of that size has landed. One that was far smaller than it might have been says nothing of memory."""
        if 2 * size_bytes < self.bytes_now:
            return
        self._bytes_fit = min(self._bytes_max, self._bytes_fit + max(1, int(self._bytes_fit * REGROWTH)))
        self.bytes_now = max(self.bytes_now, min(2 * size_bytes, self._bytes_fit))
        self._held_bytes = min(2 * self._held_bytes, self._held_bytes_max)

    def note_out_of_memory(self, size_bytes: int) -> None:
        """One of that size was too large."""
        self.bytes_now = self._bytes_fit = max(1, min(size_bytes // 2, self.bytes_now))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: Python's, NumPy's and Arrow's errors are one kind, DuckDB's and the system's others."""
    return isinstance(error, (MemoryError, duckdb.OutOfMemoryException)) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
