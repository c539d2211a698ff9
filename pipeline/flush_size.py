"""How much a worker lands at once: no more than twice what it has landed at once before, and less when memory does not suffice.

A flush that is too large for the machine fails with an error, or takes the process with it. Were it tried again as it was, for ever or
after each start, the worker would never get on. So it becomes smaller after an error, and begins small after each start: what kills a
worker is preceded by flushes that landed.
"""

import errno

import duckdb

# Of records, unpacked. A flush that lands takes several times that for a moment.
BEGIN_BYTES, BEGIN_HELD_BYTES = 1_000_000, 8_000_000


class FlushSize:
    """`bytes_now` is what a flush may take now, at most `bytes_max`; `held_bytes_now` what may be held, at most `held_bytes_max`: what waits
    takes memory from what is landed. Changed by one thread."""

    def __init__(self, bytes_max: int, held_bytes_max: int) -> None:
        self._bytes_max, self._held_bytes_max = bytes_max, held_bytes_max
        self.bytes_now = min(BEGIN_BYTES, bytes_max)
        self.held_bytes_now = min(BEGIN_HELD_BYTES, held_bytes_max)

    def note_landed(self, size_bytes: int) -> None:
        """A flush of that size has landed."""
        self.bytes_now = max(self.bytes_now, min(2 * size_bytes, self._bytes_max))
        self.held_bytes_now = min(2 * self.held_bytes_now, self._held_bytes_max)

    def note_out_of_memory(self, size_bytes: int) -> None:
        """One of that size was too large."""
        self.bytes_now = max(1, min(size_bytes // 2, self.bytes_now))
        self.held_bytes_now = max(1, self.held_bytes_now // 4)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: Python's, NumPy's and Arrow's errors are one kind, DuckDB's and the system's others."""
    return isinstance(error, (MemoryError, duckdb.OutOfMemoryException)) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
