"""The identity of an event as two 64-bit numbers, computed for a whole table at once.

An event is known by (app_id, endpoint_id, event_id, event_type, event_timestamp), the last as the client sent it. The first number, `ids`, is made from
app, endpoint and id alone, so that one structure answers both "the same event?" and "the same id, used again?"; the second,
`rests`, from all five.
"""

import weakref
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from agents.prepared_select import PreparedSelect

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

# Raised with every change of what `hash_events` returns: keys that are kept in the lake are then made anew.
# 2: of the lake's rows the time as sent, where it was corrected; a maintainer of an older release must not make keys beside workers of this one.
HASH_VERSION = 2

# Lengths stand in front, so that no two triples give the same text; a missing endpoint has length -1 and differs from ''.
_SENDER_AND_ID = (
    "md5_number(concat(strlen(app_id), ':', coalesce(strlen(endpoint_id), -1), ':', app_id, endpoint_id, event_id)) as sender_and_id"
)


_prepared: weakref.WeakKeyDictionary[duckdb.DuckDBPyConnection, PreparedSelect] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class EventKeys:
    """One key per row: `ids` from app, endpoint and id; `rests` from these, type and timestamp.

    Events of different ids differ in 128 bits of a hash. Under one id, two timestamps of one type always differ, two types in 64 bits.
    """

    ids: U64
    rests: U64


def hash_events(con: duckdb.DuckDBPyConnection, table: pa.Table) -> EventKeys:
    """Keys of the rows of `table`, which has columns app_id, endpoint_id, event_id, event_type, event_timestamp; rows of the lake also
    event_timestamp_as_sent, which counts where it is not null, since a resend comes with it; others are ignored.

    The connection must keep the order of rows, as DuckDB does unless told otherwise.
    """
    if not table.num_rows:
        return EventKeys(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    hashed = _prepare(con).run(table.select(["app_id", "endpoint_id", "event_id"]))
    low, high = _halves(hashed.column("sender_and_id"))
    times = _sent_times(table).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy().view(np.uint64)
    return EventKeys(low, _mix(_mix(high + _type_hashes(table.column("event_type"))) ^ times))


def _sent_times(table: pa.Table) -> pa.ChunkedArray:
    """event_timestamp as the client sent it."""
    times = table.column("event_timestamp")
    if "event_timestamp_as_sent" not in table.column_names:
        return times
    as_sent = table.column("event_timestamp_as_sent")
    return times if as_sent.null_count == len(as_sent) else pc.coalesce(as_sent, times)


def _prepare(con: duckdb.DuckDBPyConnection) -> PreparedSelect:
    """The statement that hashes, planned once for each connection."""
    if con not in _prepared:
        kept = con.execute("select current_setting('preserve_insertion_order')").fetchone()
        assert kept == (True,), "hash_events needs a DuckDB connection with preserve_insertion_order on"
        _prepared[con] = PreparedSelect(con, "hash_input", f"select {_SENDER_AND_ID} from hash_input")
    return _prepared[con]


def _halves(numbers: pa.ChunkedArray) -> tuple[U64, U64]:
    """DuckDB's 128-bit integers leave it as Arrow decimals; their sixteen bytes are the integer's."""
    halves = [
        np.frombuffer(chunk.buffers()[1], dtype="<u8").reshape(-1, 2)[chunk.offset : chunk.offset + len(chunk)] for chunk in numbers.chunks
    ]
    pairs = np.concatenate(halves)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _type_hashes(event_types: pa.ChunkedArray) -> U64:
    """xxh3-64 of each type; a batch has few, so each is hashed once."""
    encoded = pa.chunked_array(event_types.cast(pa.string())).combine_chunks().dictionary_encode()
    hashes = np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in encoded.dictionary.to_pylist()], dtype=np.uint64)
    found: U64 = hashes[encoded.indices.to_numpy()]
    return found


def _mix(numbers: U64) -> U64:
    """splitmix64's finalizer: one to one, so it never makes two numbers equal."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
