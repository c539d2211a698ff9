"""How much is landed at once: it grows by what has landed, and shrinks by what did not fit."""

import errno

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pipeline.flush_size import BEGIN_BYTES, BEGIN_HELD_BYTES, FlushSize, is_out_of_memory


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


def test_it_halves_what_did_not_fit_down_to_nothing_less_than_a_byte() -> None:
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
    # Records are never cut: one is landed alone, however large.
    size.note_landed(100_000)
    assert size.bytes_now == 2


def test_where_memory_did_not_suffice_it_comes_back_slowly_and_goes_on_growing_when_there_is_more() -> None:
    size, failed = FlushSize(64_000_000, 96_000_000), 0
    for _ in range(200):
        if size.bytes_now > 20_000_000:
            size.note_out_of_memory(size.bytes_now)
            failed += 1
        else:
            size.note_landed(size.bytes_now)
    # It doubles to 32 MB and meets the limit, halves, and takes 8 flushes from 16 MB and then 23 from 10 MB each time.
    assert failed == 9
    for _ in range(100):
        size.note_landed(size.bytes_now)
    assert (size.bytes_now, size.held_bytes_now) == (64_000_000, 96_000_000)


def test_what_may_be_held_grows_with_what_lands_and_is_two_flushes_while_memory_is_short() -> None:
    size = FlushSize(4_000_000, 24_000_000)
    # Small flushes land without needing what may be held.
    size.note_landed(1)
    assert size.held_bytes_now == BEGIN_HELD_BYTES
    for landed in (1_000_000, 2_000_000):
        size.note_landed(landed)
    assert (size.bytes_now, size.held_bytes_now) == (4_000_000, 24_000_000)
    size.note_out_of_memory(4_000_000)
    assert (size.bytes_now, size.held_bytes_now) == (2_000_000, 4_000_000)
    size.note_landed(2_000_000)
    assert (size.bytes_now, size.held_bytes_now) == (2_062_500, 4_125_000)
    for _ in range(30):
        size.note_landed(size.bytes_now)
    assert (size.bytes_now, size.held_bytes_now) == (4_000_000, 24_000_000)


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
