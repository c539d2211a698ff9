"""How much is landed at once: it grows by what has landed, and shrinks by what did not fit."""

import errno

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pipeline.flush_size import BEGIN_BYTES, FlushSize, is_out_of_memory


def test_it_begins_small_and_grows_to_twice_what_has_landed_up_to_the_setting() -> None:
    size = FlushSize(16_000_000, 24_000_000)
    assert size.bytes_now == BEGIN_BYTES
    size.note_landed(10_000)
    assert size.bytes_now == BEGIN_BYTES
    for landed, expected in ((900_000, 1_800_000), (1_800_000, 3_600_000), (3_600_000, 7_200_000), (7_200_000, 14_400_000)):
        size.note_landed(landed)
        assert size.bytes_now == expected
    size.note_landed(14_400_000)
    size.note_landed(100)
    assert size.bytes_now == 16_000_000
    assert FlushSize(5_000, 24_000_000).bytes_now == 5_000


def test_it_halves_what_did_not_fit_down_to_nothing_less_than_a_byte_and_grows_again() -> None:
    size = FlushSize(16_000_000, 24_000_000)
    size.note_landed(8_000_000)
    size.note_out_of_memory(16_000_000)
    assert size.bytes_now == 8_000_000
    size.note_out_of_memory(900_000)
    assert size.bytes_now == 450_000
    # What was taken alone, and was larger than asked for.
    size.note_out_of_memory(2_000_000)
    assert size.bytes_now == 450_000
    for _ in range(30):
        size.note_out_of_memory(size.bytes_now)
    assert size.bytes_now == 1
    size.note_landed(100_000)
    assert size.bytes_now == 200_000


def test_what_may_be_held_shrinks_and_grows_with_it() -> None:
    size, held = FlushSize(16_000_000, 24_000_000), list[int]()
    for _ in range(2):
        size.note_landed(1)
    for _ in range(2):
        size.note_out_of_memory(1_000_000)
        held.append(size.held_bytes_now)
    for _ in range(5):
        size.note_landed(1)
        held.append(size.held_bytes_now)
    assert held == [6_000_000, 1_500_000, 3_000_000, 6_000_000, 12_000_000, 24_000_000, 24_000_000]


def test_every_library_says_it_in_a_way_that_is_known() -> None:
    with pytest.raises(MemoryError) as numpy_error:
        np.empty(1 << 60, np.uint8)
    with pytest.raises(MemoryError) as arrow_error:
        pa.allocate_buffer(1 << 60)
    with duckdb.connect(config={"memory_limit": "1MB"}) as connection, pytest.raises(duckdb.OutOfMemoryException) as duckdb_error:
        connection.execute("select list(range) from range(10_000_000)").fetchall()
    assert all(is_out_of_memory(one.value) for one in (numpy_error, arrow_error, duckdb_error))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
