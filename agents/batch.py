"""A batch: the records of one poll of a partition, a contiguous range of offsets; and batches as one Arrow table."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from agents.native.library import address_of, load_library
from agents.reused_memory import ReusedMemory
from schemas.records import RECORDS

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

# Header of a replayed dead letter: topic id/partition/offset of the record that it came from.
ORIGIN_HEADER = "headwater-origin"

_values_memory = ReusedMemory()


@dataclass(slots=True)
class Pieces:
    """Where the keys, or the values, of some records lie in their chunk's bytes; size -1 is null."""

    starts: I32
    sizes: I32

    @property
    def size_bytes(self) -> int:
        return int(np.maximum(self.sizes, 0).sum())

    @property
    def ends(self) -> I32:
        """Where each ends; 0 of one that is null."""
        return np.where(self.sizes < 0, 0, self.starts + self.sizes).astype(np.int32)

    def split(self, count: int, cut: int) -> "tuple[Pieces, Pieces]":
        """The first `count` of them, and the others in bytes that begin at `cut` of these."""
        return Pieces(self.starts[:count], self.sizes[:count]), Pieces(np.maximum(self.starts[count:] - cut, 0), self.sizes[count:])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A value that is too large to be carried along: its size, and its hash as of all values."""

    size_bytes: int
    payload_hash: int


@dataclass(slots=True)
class Chunk:
    """The records of one Kafka record batch, of offsets [start, end), some of which may be holes; times in ms since 1970.

    There is no object for a record: `data` is the batch's bytes, unpacked, and `keys` and `values` say what lies where.
    """

    start: int
    end: int
    data: bytes
    offsets: I64
    appended_ms: I64
    keys: Pieces
    values: Pieces
    origins: Mapping[int, str] = field(default_factory=dict)
    """Origin header by place; few records have one."""
    left_out: Mapping[int, LeftOut] = field(default_factory=dict)
    """By place, what is known of a value that is null here because it is too large."""

    def split(self, bytes_max: int) -> "list[Chunk]":
        """The first records, up to about `bytes_max` (at least one), and the others; itself when there are no others."""
        # In the bytes they lie in their order.
        ends = np.maximum.accumulate(np.maximum(self.keys.ends, self.values.ends))
        count = max(1, int(np.searchsorted(ends, bytes_max, side="right")))
        if count >= len(self.offsets):
            return [self]
        cut, middle = int(ends[count - 1]), int(self.offsets[count])
        keys, values = self.keys.split(count, cut), self.values.split(count, cut)
        origins, left_out = _split_places(self.origins, count), _split_places(self.left_out, count)
        first = Chunk(
            self.start, middle, self.data[:cut], self.offsets[:count], self.appended_ms[:count], keys[0], values[0], origins[0], left_out[0]
        )
        others = Chunk(
            middle, self.end, self.data[cut:], self.offsets[count:], self.appended_ms[count:], keys[1], values[1], origins[1], left_out[1]
        )
        return [first, others]


def _split_places(by_place: Mapping[int, Any], count: int) -> tuple[dict[int, Any], dict[int, Any]]:
    """What is known of the first places, and of the others, which count from 0 again."""
    first = {place: what for place, what in by_place.items() if place < count}
    return first, {place - count: what for place, what in by_place.items() if place >= count}


def build_chunk(
    start: int,
    end: int,
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None],
    offsets: Sequence[int],
    appended_ms: Sequence[int],
    origins: Mapping[int, str] | None = None,
) -> Chunk:
    """A chunk of records that somebody has taken apart already."""
    pieces = [piece or b"" for pair in zip(keys, values, strict=True) for piece in pair]
    sizes = np.array([-1 if piece is None else len(piece) for pair in zip(keys, values, strict=True) for piece in pair], np.int32)
    ends = np.cumsum(np.maximum(sizes, 0), dtype=np.int32)
    starts = ends - np.maximum(sizes, 0)
    return Chunk(
        start,
        end,
        b"".join(pieces),
        np.array(offsets, np.int64),
        np.array(appended_ms, np.int64),
        Pieces(starts[::2].copy(), sizes[::2].copy()),
        Pieces(starts[1::2].copy(), sizes[1::2].copy()),
        origins or {},
    )


def leave_out_large(chunk: Chunk, bytes_max: int) -> Chunk:
    """The chunk without values of more than `bytes_max`: nothing but their size and hash goes on, and the memory is free again."""
    places = np.flatnonzero(chunk.values.sizes > bytes_max).tolist()
    if not places:
        return chunk
    view = memoryview(chunk.data)

    def take(pieces: Pieces) -> list[memoryview | None]:
        bounds = zip(pieces.starts.tolist(), pieces.sizes.tolist(), strict=True)
        return [None if size < 0 else view[start : start + size] for start, size in bounds]

    values = take(chunk.values)
    left_out = {}
    for place in places:
        value = values[place]
        assert value is not None
        left_out[place] = LeftOut(len(value), int(np.uint64(xxhash.xxh3_64_intdigest(value)).view(np.int64)))
        values[place] = None
    kept = [None if value is None else bytes(value) for value in values]
    keys = [None if key is None else bytes(key) for key in take(chunk.keys)]
    without = build_chunk(chunk.start, chunk.end, kept, keys, chunk.offsets.tolist(), chunk.appended_ms.tolist(), chunk.origins)
    without.left_out = left_out
    return without


@dataclass(slots=True)
class Batch:
    """Records of offsets [start, end) of one partition, in order; offsets between them that are missing are holes.

    `generation` counts the times that the worker's positions were set anew: a batch fetched before the last time is stale.
    """

    topic: str
    partition: int
    generation: int
    start: int
    end: int
    chunks: Sequence[Chunk] = ()
    record_count: int = field(init=False)
    held_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.record_count = sum(len(chunk.offsets) for chunk in self.chunks)
        # Unpacked, with keys and headers: what is held in memory.
        self.held_bytes = sum(len(chunk.data) for chunk in self.chunks)

    def split(self, bytes_max: int) -> "list[Batch]":
        """The first chunks, up to about `bytes_max`, and the others; itself when there are no others.

        A first chunk that is larger is split, down to one record: a producer may send a megabyte at once, and memory suffice for half of it.
        """
        chunks = list(self.chunks)
        if chunks and len(chunks[0].data) > bytes_max:
            chunks[:1] = chunks[0].split(bytes_max)
        ends = itertools.accumulate(len(chunk.data) for chunk in chunks)
        count = max(1, sum(end <= bytes_max for end in ends))
        if count >= len(chunks):
            return [self]
        middle = chunks[count].start
        return [
            Batch(self.topic, self.partition, self.generation, self.start, middle, chunks[:count]),
            Batch(self.topic, self.partition, self.generation, middle, self.end, chunks[count:]),
        ]


def build_records(batches: Sequence[Batch], topic_ids: Sequence[str]) -> pa.Table:
    """RECORDS of some batches, in the order given; `topic_ids` has the id of each batch's topic."""
    filled = [(batch, topic_id) for batch, topic_id in zip(batches, topic_ids, strict=True) if batch.record_count]
    if not filled:
        return RECORDS.empty_table()
    chunks = [chunk for batch, _ in filled for chunk in batch.chunks if len(chunk.offsets)]
    counts = [batch.record_count for batch, _ in filled]
    values = _gather(chunks, [chunk.values for chunk in chunks], _values_memory.lend)
    sizes, hashes = np.maximum(np.concatenate([chunk.values.sizes for chunk in chunks]), 0).astype(np.int64), _hash(values)
    place = 0
    for chunk in chunks:
        for at, left in chunk.left_out.items():
            sizes[place + at], hashes[place + at] = left.size_bytes, left.payload_hash
        place += len(chunk.offsets)
    columns = {
        "value": values,
        "value_bytes": pa.array(sizes),
        "key": _gather(chunks, [chunk.keys for chunk in chunks]),
        "origin": _origins(chunks),
        "_topic_id": pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(np.arange(len(filled), dtype=np.int32), counts)), pa.array([topic_id for _, topic_id in filled], pa.string())
        ).cast(pa.string()),
        "_partition": pa.array(np.repeat(np.array([batch.partition for batch, _ in filled], np.int32), counts)),
        "_offset": pa.array(np.concatenate([chunk.offsets for chunk in chunks])),
        "_appended_at": pa.array(np.concatenate([chunk.appended_ms for chunk in chunks]) * 1000).cast(pa.timestamp("us", tz="UTC")),
        "_payload_hash": pa.array(hashes),
    }
    return pa.Table.from_arrays([columns[name] for name in RECORDS.names], schema=RECORDS)


def _gather(chunks: Sequence[Chunk], pieces: Sequence[Pieces], allocate: Callable[[int], pa.Buffer] = pa.allocate_buffer) -> pa.Array:
    """The pieces of all chunks as one array of bytes: each is copied once."""
    sizes = np.concatenate([piece.sizes for piece in pieces])
    ends = np.zeros(len(sizes) + 1, np.int32)
    buffer = allocate(int(np.maximum(sizes, 0).sum(dtype=np.int64)))
    gather, place, end = load_library().headwater_gather, 0, 0
    for chunk, piece in zip(chunks, pieces, strict=True):
        end = gather(
            *(chunk.data, address_of(piece.starts), address_of(piece.sizes), len(piece.sizes)),
            *(buffer.address, address_of(ends[place + 1 :]), end),
        )
        place += len(piece.sizes)
    is_null = sizes < 0
    validity = pa.py_buffer(np.packbits(~is_null, bitorder="little")) if is_null.any() else None
    return pa.Array.from_buffers(pa.binary(), len(sizes), [validity, pa.py_buffer(ends), buffer])


def _hash(values: pa.Array) -> I64:
    """xxh3-64 of each value, of no bytes where there is none."""
    _, ends_buffer, data = values.buffers()
    ends = np.frombuffer(ends_buffer, np.int32).tolist()
    view, digest = memoryview(data), xxhash.xxh3_64_intdigest
    hashes = [digest(view[start:end]) for start, end in itertools.pairwise(ends)]
    return np.array(hashes, np.uint64).view(np.int64)


def _origins(chunks: Sequence[Chunk]) -> pa.Array:
    count = sum(len(chunk.offsets) for chunk in chunks)
    if not any(chunk.origins for chunk in chunks):
        return pa.nulls(count, pa.string())
    return pa.array([chunk.origins.get(place) for chunk in chunks for place in range(len(chunk.offsets))], pa.string())
