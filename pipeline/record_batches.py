"""Fetched partitions read by Kafka's own record batches: a Chunk for each, and no object for a record.

aiokafka's reader makes an object, a key and a value for each record, in Python or in Cython, 1.5 us of CPU; what is done here costs a tenth.
"""

import re
import struct
import time
from collections.abc import Iterator
from typing import Any

import aiokafka.codec
import aiokafka.consumer.fetcher
import numpy as np
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from agents.batch import ORIGIN_HEADER, Chunk, Pieces, build_chunk, leave_out_large
from agents.native.library import address_of, load_library

LOG_APPEND_TIME = 1
# topic id/partition/offset; anything else under that name is somebody else's header.
_ORIGIN = re.compile(rb"[A-Za-z0-9_-]{22}/\d{1,10}/\d{1,19}")
# Base offset, length of what follows, leader epoch, magic, CRC, attributes, last offset delta, first and greatest time, producer id and epoch,
# sequence, record count: Kafka's record batch, format v2.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH = struct.Struct(">i")
# Where records lie is kept in 32 bits.
_UNPACKED_BYTES_MAX = 2**31 - 1
# What a poll unpacks of a partition. Kafka bounds packed bytes only, and a megabyte of those may be a gigabyte; the usual one is four.
POLL_BYTES_MAX = 8_000_000
_LENGTH_PLACE, _MAGIC_PLACE, _LENGTH_OVERHEAD = 8, 16, 12
_UNPACK = {1: aiokafka.codec.gzip_decode, 2: aiokafka.codec.snappy_decode, 3: aiokafka.codec.lz4_decode, 4: aiokafka.codec.zstd_decode}


def install(value_bytes_max: int) -> None:
    """Have aiokafka's fetcher read by chunks, in this process, and leave out values of more than so many bytes. It looks both classes up by its
    module's names; there is no other place to say it."""
    ChunkedPartitionRecords.value_bytes_max = value_bytes_max
    aiokafka.consumer.fetcher.PartitionRecords = ChunkedPartitionRecords
    aiokafka.consumer.fetcher.MemoryRecords = RawRecords


class RawRecords:
    """aiokafka's reader of record batches, which also gives each batch's bytes."""

    def __init__(self, data: bytes) -> None:
        self._records, self._data, self._place = MemoryRecords(data), data, 0
        self.size_in_bytes, self.has_next = self._records.size_in_bytes, self._records.has_next

    def next_batch(self) -> tuple[Any, bytes]:
        """The next batch, as aiokafka has it and as it came."""
        start = self._place
        (length,) = _LENGTH.unpack_from(self._data, start + _LENGTH_PLACE)
        self._place = start + _LENGTH_OVERHEAD + length
        return self._records.next_batch(), self._data[start : self._place]


class ChunkedPartitionRecords(PartitionRecords):  # type: ignore[misc]
    """aiokafka's reader of a fetched partition, yielding a Chunk for each record batch in place of an object for each record.

    The position (`next_fetch_offset`) moves as there: also over control batches, aborted transactions and compacted ends. Once
    POLL_BYTES_MAX are unpacked it ends, as if no more had been fetched: aiokafka fetches the rest again from that position.
    """

    value_bytes_max = _UNPACKED_BYTES_MAX
    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Chunk]:
        unpacked_bytes = 0
        while self._records.has_next() and unpacked_bytes < POLL_BYTES_MAX:
            record_batch, raw = self._records.next_batch()
            if self._check_crcs and not record_batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            start = self.next_fetch_offset
            end = max(record_batch.next_offset, start)
            if self._is_skipped(record_batch):
                chunk = build_chunk(start, end, [], [], [], [])
            elif raw[_MAGIC_PLACE] < 2:
                chunk = _read_old_format(start, end, record_batch)
            else:
                chunk = read_chunk(start, end, raw)
            self.next_fetch_offset = chunk.end
            unpacked_bytes += len(chunk.data)
            # In place of the chunk: while this one waits for the next, nothing must hold the large one's memory.
            chunk = leave_out_large(chunk, self.value_bytes_max)
            yield chunk

    def _is_skipped(self, record_batch: Any) -> bool:
        """Control batches always; batches of aborted transactions when only committed ones are read."""
        if self._isolation_level == READ_COMMITTED and record_batch.producer_id is not None:
            self._consume_aborted_up_to(record_batch.base_offset)
            if record_batch.is_control_batch and self._contains_abort_marker(record_batch):
                self._aborted_producers.discard(record_batch.producer_id)
            if record_batch.is_transactional and record_batch.producer_id in self._aborted_producers:
                return True
        return bool(record_batch.is_control_batch)


def read_chunk(start: int, end: int, raw: bytes) -> Chunk:
    """The records from offset `start` on of one record batch of format v2, given whole as Kafka sent it.

    Raises CorruptRecordException when what it holds are no records.
    """
    base_offset, _, _, _, _, attributes, _, first_ms, greatest_ms, _, _, _, count = _HEADER.unpack_from(raw)
    packed = raw[_HEADER.size :]
    data = _UNPACK[attributes & 7](packed) if attributes & 7 else packed
    if len(data) > _UNPACKED_BYTES_MAX:
        raise CorruptRecordException(
            f"A record batch at offset {base_offset} unpacks to {len(data)} bytes; expected {_UNPACKED_BYTES_MAX} or fewer."
        )
    # Each record takes seven bytes at the least.
    if not 0 <= count <= len(data) // 7:
        raise CorruptRecordException(f"A record batch at offset {base_offset} of {len(data)} bytes says that it has {count} records.")
    deltas, times = np.empty(count, np.int64), np.empty(count, np.int64)
    places = np.empty((6, count), np.int32)
    header = ORIGIN_HEADER.encode()
    found = load_library().headwater_split_records(
        *(data, len(data), count, header, len(header), address_of(deltas), address_of(times)), *(address_of(column) for column in places)
    )
    if found != count:
        raise CorruptRecordException(f"A record batch at offset {base_offset} holds what is no record of format v2.")
    offsets = base_offset + deltas
    is_append_time = (attributes >> 3 & 1) == LOG_APPEND_TIME
    appended_ms = np.full(count, greatest_ms, np.int64) if is_append_time else _believe(first_ms + times)
    chunk = Chunk(start, end, data, offsets, appended_ms, Pieces(places[0], places[1]), Pieces(places[2], places[3]))
    if count and offsets[0] < start:
        chunk = _without_earlier(chunk, offsets >= start)
        places = places[:, offsets >= start]
    origins = {}
    for place in np.flatnonzero(places[5] >= 0).tolist():
        value = data[places[4, place] : places[4, place] + places[5, place]]
        if _ORIGIN.fullmatch(value):
            origins[place] = value.decode()
    chunk.origins = origins
    return chunk


def _without_earlier(chunk: Chunk, is_kept: np.ndarray[Any, np.dtype[np.bool_]]) -> Chunk:
    """Kafka sends whole batches: what lies before the offset that was asked for was read already."""
    keys, values = chunk.keys, chunk.values
    return Chunk(
        *(chunk.start, chunk.end, chunk.data, chunk.offsets[is_kept], chunk.appended_ms[is_kept]),
        *(Pieces(keys.starts[is_kept], keys.sizes[is_kept]), Pieces(values.starts[is_kept], values.sizes[is_kept])),
    )


def _believe(times_ms: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Times of a foreign topic: its producers' clocks may be ahead, and append time may not be."""
    now_ms = int(time.time() * 1000)
    return np.where(times_ms > 0, np.minimum(times_ms, now_ms), now_ms)


def _read_old_format(start: int, end: int, record_batch: Any) -> Chunk:
    """Segments that a Kafka before 0.11 wrote; they have no headers."""
    records = [record for record in record_batch if record.offset >= start]
    times = _believe(np.array([record.timestamp or 0 for record in records], np.int64)).tolist()
    appended_ms = [
        record.timestamp if record.timestamp_type == LOG_APPEND_TIME else time_ms for record, time_ms in zip(records, times, strict=True)
    ]
    values, keys = [record.value for record in records], [record.key for record in records]
    return build_chunk(start, end, values, keys, [record.offset for record in records], appended_ms)
