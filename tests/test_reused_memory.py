"""Memory that one flush after the other borrows: the same while nobody needs it any more, and never while somebody does."""

import ctypes
import gc

import pyarrow as pa
import pytest

from agents import reused_memory
from agents.batch import Batch, build_chunk, build_records
from agents.reused_memory import ReusedMemory


def test_memory_is_lent_again_once_nothing_refers_to_it() -> None:
    memory = ReusedMemory()
    first = memory.lend(1000)
    address = first.address
    del first
    smaller = memory.lend(900)
    assert (smaller.address, smaller.size) == (address, 900)


def test_memory_in_use_is_not_lent_again_be_it_only_a_slice_of_an_array() -> None:
    memory = ReusedMemory()
    buffer = memory.lend(8)
    _fill(buffer, range(8))
    kept = pa.Array.from_buffers(pa.uint8(), 8, [None, buffer]).slice(6)
    del buffer
    gc.collect()
    other = memory.lend(8)
    _fill(other, range(8, 16))
    assert kept.to_pylist() == [6, 7]


def _fill(buffer: pa.Buffer, numbers: range) -> None:
    ctypes.memmove(buffer.address, bytes(numbers), buffer.size)


def test_memory_grows_with_what_is_asked_and_what_is_huge_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reused_memory, "_KEPT_BYTES_MAX", 1000)
    memory = ReusedMemory()
    for size in (10, 1000):
        assert memory.lend(size).size == size
        assert memory._free.nbytes == size
    assert memory.lend(1001).size == 1001
    assert memory._free.nbytes == 0


def test_records_that_are_kept_stay_as_they_were_while_others_are_built() -> None:
    def build(letter: bytes) -> pa.Table:
        chunk = build_chunk(0, 2, [letter * 5, None], [b"k", None], [0, 1], [1, 2])
        return build_records([Batch("t", 0, 0, 0, 2, (chunk,))], ["id"])

    kept = [build(bytes([letter])) for letter in b"abc"]
    assert [table["value"].to_pylist() for table in kept] == [[b"aaaaa", None], [b"bbbbb", None], [b"ccccc", None]]
