"""The compiled library: loaded once, its functions with their types. Calls release the GIL."""

import ctypes
import functools

import numpy as np
import pyarrow as pa

from agents.native.build import build_library


class Heap(ctypes.Structure):
    """heap.h: memory that C grows and Python frees."""

    _fields_ = (("bytes", ctypes.c_void_p), ("size", ctypes.c_int64), ("capacity", ctypes.c_int64))


class Column(ctypes.Structure):
    """record_reader.c: one column of every row."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("is_required", ctypes.c_int32),
        ("ends", ctypes.c_void_p),
        ("is_valid", ctypes.c_void_p),
        ("times", ctypes.c_void_p),
        ("bytes", Heap),
        ("name_ends", Heap),
        ("item_bytes", Heap),
        ("item_ends", Heap),
    )


class _Owner:
    """Frees a heap's memory when no Arrow buffer needs it any more."""

    def __init__(self, address: int) -> None:
        self._address, self._free = address, load_library().headwater_free

    def __del__(self) -> None:
        self._free(self._address)


@functools.cache
def load_library() -> ctypes.CDLL:
    """Raises UnavailableError when it is not compiled and cannot be."""
    library = ctypes.CDLL(str(build_library()))
    address, number, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    library.headwater_read_records.argtypes = (
        *(address, address, number, address, address, address, address, ctypes.POINTER(Column)),
        *(narrow, number, number, ctypes.c_bool, address),
    )
    library.headwater_read_records.restype = ctypes.c_bool
    library.headwater_count_names.argtypes = (ctypes.c_char_p, number)
    library.headwater_count_names.restype = number
    library.headwater_free.argtypes = (address,)
    library.headwater_free.restype = None
    library.headwater_split_records.argtypes = (address, number, number, ctypes.c_char_p, number, *([address] * 8))
    library.headwater_split_records.restype = number
    library.headwater_gather.argtypes = (address, address, address, number, address, address, number)
    library.headwater_gather.restype = number
    library.headwater_check_datums.argtypes = (
        *(address, address, address, number, address, address, address, address, narrow, number, address),
        *(ctypes.POINTER(number), address, address, ctypes.POINTER(Heap), address, address),
    )
    library.headwater_check_datums.restype = None
    return library


def count_names(text: bytes) -> int | None:
    """How many names stand in a JSON text, at any depth; None where one of its texts is none."""
    count: int = load_library().headwater_count_names(text, len(text))
    return count if count >= 0 else None


def take_over(heap: Heap) -> pa.Buffer:
    """The heap's bytes as an Arrow buffer that owns them; the heap is empty then."""
    if not heap.bytes:
        return pa.py_buffer(b"")
    buffer = pa.foreign_buffer(heap.bytes, heap.size, _Owner(heap.bytes))
    heap.bytes, heap.size, heap.capacity = None, 0, 0
    return buffer


def address_of(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> int:
    """Where the array's memory begins; the array must live as long as the call."""
    return int(array.ctypes.data)
