"""Batches taken in smaller pieces: the same records under the same offsets, however small memory makes them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.batch import Batch, Chunk, build_chunk, build_records, leave_out_large

TOPIC = "raw-events"
values = st.one_of(st.none(), st.binary(max_size=30))
records = st.lists(st.tuples(values, values, st.integers(1, 3)), min_size=1, max_size=12)  # key, value, offsets from here to the next


def chunk_of(given_records: list[tuple[bytes | None, bytes | None, int]], start: int) -> Chunk:
    """One whose every third record has an origin, and which leaves out values of more than 20 bytes."""
    keys, held, lengths = zip(*given_records, strict=True)
    offsets = [start + sum(lengths[:place]) for place in range(len(lengths))]
    origins = {place: f"origin-{place}" for place in range(0, len(offsets), 3)}
    chunk = build_chunk(start, start + sum(lengths), held, keys, offsets, [1_000 + offset for offset in offsets], origins)
    return leave_out_large(chunk, 20)


def batch_of(chunks: list[Chunk]) -> Batch:
    return Batch(TOPIC, 2, 1, chunks[0].start, chunks[-1].end, chunks)


def take_apart(batch: Batch, bytes_max: int) -> list[Batch]:
    found = [batch]
    while len(pieces := found[-1].split(bytes_max)) > 1:
        found[-1:] = pieces
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(records, min_size=1, max_size=3), st.integers(1, 200))
def test_the_pieces_of_a_batch_have_its_records_and_its_offsets(
    groups: list[list[tuple[bytes | None, bytes | None, int]]], size: int
) -> None:
    chunks: list[Chunk] = []
    for group in groups:
        chunks.append(chunk_of(group, chunks[-1].end if chunks else 7))
    whole = batch_of(chunks)
    pieces = take_apart(whole, size)
    assert build_records(pieces, ["id"] * len(pieces)).equals(build_records([whole], ["id"]))
    ends = [one.end for one in pieces]
    assert ([one.start for one in pieces], ends[-1]) == ([whole.start, *ends[:-1]], whole.end)
    assert sum(one.held_bytes for one in pieces) == whole.held_bytes
    # What is larger than asked for is one record.
    assert all(one.held_bytes <= size or one.record_count == 1 for one in pieces)


@pytest.mark.parametrize(("size", "counts"), [(1, [1, 1, 1, 1]), (199, [1, 1, 1, 1]), (200, [2, 2]), (399, [3, 1]), (400, [4])])
def test_records_that_a_producer_sent_at_once_are_taken_by_so_many_as_fit(size: int, counts: list[int]) -> None:
    chunk = build_chunk(0, 4, [b"x" * 100] * 4, [None] * 4, range(4), [0] * 4)
    assert [one.record_count for one in take_apart(batch_of([chunk]), size)] == counts
