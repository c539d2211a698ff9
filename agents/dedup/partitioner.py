"""The partition that an event's key leads to: Java's default partitioner, over Arrow columns.

Every producer of ours uses it, so a resend meets its first copy in one partition, and a worker can tell which rows of the
lake belong to a partition under the present number of partitions, wherever they landed.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Text: TypeAlias = "pa.Array | pa.ChunkedArray"

_SEED = np.uint32(0x9747B28C)
_FACTOR = np.uint32(0x5BD1E995)
# Keys of one length are hashed together, so many at a time: bounds the memory of the byte matrix.
_CELLS_MAX = 8_000_000


def partitions_of(partition_count: int, app_ids: Text, endpoint_ids: Text, event_ids: Text) -> npt.NDArray[np.int32]:
    """The partition of each row: `key_hashes` modulo `partition_count`."""
    found: npt.NDArray[np.int32] = key_hashes(app_ids, endpoint_ids, event_ids) % np.int32(partition_count)
    return found


def key_hashes(app_ids: Text, endpoint_ids: Text, event_ids: Text) -> npt.NDArray[np.int32]:
    """murmur2 of each row's record key, without its sign bit.

    The key is app_id/endpoint_id in lower case, UTF-8; app_id/event_id where endpoint_id is null or empty.
    """
    endpoints = _flat(endpoint_ids)
    has_endpoint = pc.greater(pc.fill_null(pc.binary_length(endpoints), 0), 0)
    senders = pc.if_else(has_endpoint, endpoints, _flat(event_ids))
    keys = pc.dictionary_encode(pc.binary_join_element_wise(_flat(app_ids), senders, "/"))
    hashes = (murmur2(_lower(keys.dictionary)) & np.uint32(0x7FFFFFFF)).astype(np.int32)
    found: npt.NDArray[np.int32] = hashes[keys.indices.to_numpy()]
    return found


def murmur2(keys: pa.Array) -> npt.NDArray[np.uint32]:
    """Java's `Utils.murmur2` of each key; `keys` is a string or binary array without nulls."""
    offsets, data = _buffers(keys)
    lengths = np.diff(offsets)
    starts = offsets[:-1]
    hashes = np.empty(len(keys), dtype=np.uint32)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        for chunk in np.array_split(rows, len(rows) * length // _CELLS_MAX + 1):
            hashes[chunk] = _murmur2_of_one_length(data[starts[chunk][:, None] + np.arange(length)])
    return hashes


def _murmur2_of_one_length(cells: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """`cells` has one row per key and one column per byte."""
    count, length = cells.shape
    whole = length // 4 * 4
    words = np.ascontiguousarray(cells[:, :whole]).view("<u4").reshape(count, -1).T.astype(np.uint32)
    hashes = np.full(count, _SEED ^ np.uint32(length), dtype=np.uint32)
    for word in words:
        mixed = word * _FACTOR
        mixed ^= mixed >> np.uint32(24)
        mixed *= _FACTOR
        hashes *= _FACTOR
        hashes ^= mixed
    if whole < length:
        for place in range(whole, length):
            hashes ^= cells[:, place].astype(np.uint32) << np.uint32(8 * (place - whole))
        hashes *= _FACTOR
    hashes ^= hashes >> np.uint32(13)
    hashes *= _FACTOR
    hashes ^= hashes >> np.uint32(15)
    return hashes


def _lower(keys: pa.Array) -> pa.Array:
    """Lower case as Python's str.lower has it, which is what producers call: Arrow's own differs on a few letters."""
    is_ascii = pc.string_is_ascii(keys)
    if pc.all(is_ascii, min_count=0).as_py():
        return pc.ascii_lower(keys)
    others = [key.lower() for key in keys.filter(pc.invert(is_ascii)).to_pylist()]
    lowered = pc.if_else(is_ascii, keys, pa.scalar("", pa.string()))
    return pc.replace_with_mask(pc.ascii_lower(lowered), pc.invert(is_ascii), pa.array(others, pa.string()))


def lower_texts(column: Text) -> pa.Array:
    """The column in lower case as ids are compared, nulls kept."""
    return _lower(_flat(column))


def _flat(column: Text) -> pa.Array:
    """The column as one plain string array, however a reader of the lake hands it over."""
    plain = column.cast(pa.string())
    if isinstance(plain, pa.ChunkedArray):
        combined: Any = plain.combine_chunks()
        return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined
    return plain


def _buffers(keys: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    if not len(keys):
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    _, offsets, data = keys.buffers()
    found = np.frombuffer(offsets, dtype=np.int32)[keys.offset : keys.offset + len(keys) + 1].astype(np.int64)
    return found, np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, dtype=np.uint8)
