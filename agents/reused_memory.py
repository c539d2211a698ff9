"""Memory for the largest buffer of a flush, kept for the next flush.

What is allocated anew each time is handed out by the system page by page: for 16 MB that costs more CPU than filling them (0.5 us an event).
"""

import threading

import numpy as np
import pyarrow as pa

from agents.native.library import address_of

# What one message may need beyond a flush is not kept for good.
_KEPT_BYTES_MAX = 32 << 20


class ReusedMemory:
    """Lends its memory to one buffer at a time; while that one is in use, others get memory of their own. For several threads."""

    def __init__(self) -> None:
        # Held by a thread that gives back while it asks, too: an array may be collected anywhere.
        self._lock = threading.RLock()
        self._free = np.empty(0, np.uint8)

    def lend(self, size_bytes: int) -> pa.Buffer:
        """A mutable buffer of that size, of any content. The memory is free again when nothing refers to the buffer or a slice of it."""
        with self._lock:
            memory, self._free = self._free, np.empty(0, np.uint8)
        if memory.nbytes < size_bytes:
            memory = np.empty(size_bytes, np.uint8)
        return pa.foreign_buffer(address_of(memory), size_bytes, _Loan(self, memory))

    def _take_back(self, memory: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> None:
        with self._lock:
            if self._free.nbytes < memory.nbytes <= _KEPT_BYTES_MAX:
                self._free = memory


class _Loan:
    """Gives the memory back when the last reference is gone."""

    def __init__(self, lender: ReusedMemory, memory: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> None:
        self._lender, self._memory = lender, memory

    def __del__(self) -> None:
        self._lender._take_back(self._memory)
