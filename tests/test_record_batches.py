"""Kafka's record batches taken apart: the same as aiokafka's own reader says, whatever they hold, and no byte of them harms."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.batch import ORIGIN_HEADER, Batch, Chunk, build_records, leave_out_large
from pipeline.record_batches import ChunkedPartitionRecords, RawRecords, read_chunk

ORIGIN = b"AAAAAAAAAAAAAAAAAAAAAA/3/41"
CODECS = (0, 1, 2, 3, 4)
few = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))

Record = tuple[bytes | None, bytes | None, int, list[tuple[str, bytes | None]]]

PIECES = st.none() | st.binary(max_size=40)
HEADERS = st.lists(
    st.tuples(st.sampled_from([ORIGIN_HEADER, "trace", ""]), st.none() | st.just(ORIGIN) | st.binary(max_size=5)), max_size=2
)
RECORDS = st.lists(st.tuples(PIECES, PIECES, st.integers(1, 2**41), HEADERS), min_size=1, max_size=30)


def build_batch(records: Sequence[Record], codec: int = 0, base_offset: int = 0) -> bytes:
    """One record batch of format v2."""
    builder = DefaultRecordBatchBuilder(
        *(2, codec, False, -1, -1, -1),
        batch_size=1 << 30,
    )
    for place, (key, value, timestamp, headers) in enumerate(records):
        assert builder.append(place, timestamp, key, value, headers) is not None
    raw = bytearray(builder.build())
    raw[0:8] = base_offset.to_bytes(8, "big")
    return bytes(raw)


def told(chunk: Chunk) -> list[tuple[int, int, bytes | None, bytes | None]]:
    """(offset, time, key, value) of each record of a chunk."""
    table = build_records([Batch("t", 0, 0, chunk.start, chunk.end, [chunk])], ["id"])
    times = [int(at.timestamp() * 1000 + 0.5) for at in table["_appended_at"].to_pylist()]
    return list(zip(table["_offset"].to_pylist(), times, table["key"].to_pylist(), table["value"].to_pylist(), strict=True))


@few
@given(RECORDS, st.sampled_from(CODECS), st.integers(0, 2**40), st.integers(0, 30))
def test_a_batch_is_what_aiokafka_says(records: list[Record], codec: int, base_offset: int, skipped: int) -> None:
    raw = build_batch(records, codec, base_offset)
    start = base_offset + min(skipped, len(records) - 1)
    expected = [record for record in MemoryRecords(raw).next_batch() if record.offset >= start]
    chunk = read_chunk(start, base_offset + len(records), raw)
    # Times in the future are not believed on a topic whose producers set them; these lie before.
    assert told(chunk) == [(record.offset, min(record.timestamp, told_now(chunk)), record.key, record.value) for record in expected]
    origins = {}
    for place, record in enumerate(expected):
        found = [value for name, value in record.headers if name == ORIGIN_HEADER and value is not None]
        if found and found[-1] == ORIGIN:
            origins[place] = ORIGIN.decode()
    assert chunk.origins == origins


def told_now(chunk: Chunk) -> int:
    return int(chunk.appended_ms.max())


@few
@given(RECORDS, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_bytes_that_are_no_records_are_refused_or_read_within_their_bounds(records: list[Record], changes: list[tuple[int, int]]) -> None:
    raw = bytearray(build_batch(records))
    for place, byte in changes:
        raw[57 + place % (len(raw) - 57)] = byte
    try:
        chunk = read_chunk(0, len(records), bytes(raw))
    except CorruptRecordException:
        return
    build_records([Batch("t", 0, 0, 0, len(records), [chunk])], ["id"]).validate(full=True)


@pytest.mark.parametrize("cut", [61, 70, -1])
def test_a_batch_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(CorruptRecordException):
        read_chunk(0, 3, build_batch([(b"k", b"value", 1, []) for _ in range(3)])[:cut])


@pytest.mark.parametrize("value", [None, b"\xff", b"", b"raw-events/3/41", ORIGIN + b"/5", b"A" * 1_000_000], ids=range(6))
def test_a_header_that_is_no_origin_is_left_alone_and_harms_nobody(value: bytes | None) -> None:
    raw = build_batch([(None, b"a", 1, [(ORIGIN_HEADER, value)]), (None, b"b", 1, [(ORIGIN_HEADER, ORIGIN), ("other", None)])])
    assert read_chunk(0, 2, raw).origins == {1: ORIGIN.decode()}


def read_all(raw: bytes, start: int) -> tuple[list[Chunk], int]:
    records = ChunkedPartitionRecords(("t", 0), RawRecords(raw), [], start, None, None, True, 1)
    return list(records), records.next_fetch_offset


def test_batches_one_after_another_are_read_from_the_offset_asked_for() -> None:
    first = build_batch([(b"k", b"v%d" % number, 1, []) for number in range(3)], 3, 10)
    second = build_batch([(b"k", b"w%d" % number, 1, []) for number in range(2)], 4, 20)
    chunks, wanted = read_all(first + second, 11)
    assert [[(offset, value) for offset, _, _, value in told(chunk)] for chunk in chunks] == [
        [(11, b"v1"), (12, b"v2")],
        [(20, b"w0"), (21, b"w1")],
    ]
    assert [(chunk.start, chunk.end) for chunk in chunks] == [(11, 13), (13, 22)]
    assert wanted == 22


def test_a_batch_whose_checksum_is_wrong_is_refused() -> None:
    raw = bytearray(build_batch([(b"k", b"value", 1, [])]))
    raw[-3] ^= 1
    with pytest.raises(CorruptRecordException, match="CRC"):
        read_all(bytes(raw), 0)


@pytest.mark.parametrize("magic", [0, 1])
def test_segments_of_an_old_kafka_are_read(magic: Any) -> None:
    builder = LegacyRecordBatchBuilder(magic, 0, 1 << 20)
    for offset in range(3):
        builder.append(offset, 7 if magic else None, b"k", b"v%d" % offset)
    chunks, wanted = read_all(bytes(builder.build()), 1)
    found = [(offset, key, value) for chunk in chunks for offset, _, key, value in told(chunk)]
    assert found == [(1, b"k", b"v1"), (2, b"k", b"v2")]
    assert wanted == 3


@few
@given(RECORDS, st.sampled_from(CODECS), st.integers(0, 41))
def test_of_values_that_are_too_large_size_and_hash_go_on_and_nothing_else_changes(
    records: list[Record], codec: int, bytes_max: int
) -> None:
    chunk = read_chunk(0, len(records), build_batch(records, codec))
    whole, without = (
        build_records([Batch("t", 0, 0, one.start, one.end, [one])], ["id"]) for one in (chunk, leave_out_large(chunk, bytes_max))
    )
    values = [None if value is None or len(value) > bytes_max else value for _, value, _, _ in records]
    assert without["value"].to_pylist() == values
    assert without.drop_columns("value").equals(whole.drop_columns("value"))


def test_a_poll_ends_when_enough_is_unpacked_and_the_next_begins_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.record_batches.POLL_BYTES_MAX", 2000)
    raw = b"".join(build_batch([(b"k", b"x" * 900, 1, [])], 4, number) for number in range(5))
    found: list[Chunk] = []
    for _ in range(4):
        start = found[-1].end if found else 0
        reader = ChunkedPartitionRecords("t", RawRecords(raw[len(raw) // 5 * start :]), [], start, None, None, True, 0)
        found += list(reader)
        assert reader.next_fetch_offset == found[-1].end
    assert [(chunk.start, chunk.end) for chunk in found] == [(number, number + 1) for number in range(5)]
