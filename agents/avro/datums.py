"""Avro data of one schema made into JSON texts: checked and mostly written by compiled code, else, once checked, read by fastavro."""

import ctypes
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import fastavro
import msgspec
import numpy as np
import pyarrow as pa

from agents.avro.writer_schema import WriterSchema
from agents.native.library import Heap, address_of, load_library, take_over
from agents.parsing.exact_json import DEPTH_MAX, Unreadable
from schemas.records import Reason

# By number of the fault in agents/native/avro_datum.c: what is wrong, and what was expected.
_FAULTS = (
    *(("", ""), ("ends in the middle of a value", "all of it")),
    ("is followed by bytes that are not its own", "the end of the value behind it"),
    ("has a number that is none", "a zigzag varint within the type's range, of at most ten bytes"),
    ("has a length or a block's size that is none", "one of 0 or more that agrees with what it holds"),
    ("names a branch of a union or a symbol of an enum that there is not", "one of those of the schema"),
    ("has a text that is not UTF-8", "strict UTF-8"),
    ("has a boolean that is none", "a byte of 0 or 1"),
    ("opens one level too many", f"at most {DEPTH_MAX} levels of nesting"),
    ("is larger, as JSON, than a message may be", "at most {bytes_max} bytes (setting MESSAGE_BYTES_MAX)"),
    ("has a map with a key twice", "each key once"),
    ("", ""),
    (
        "is larger, as JSON, than was left for it among the records landed with it",
        "at most {growth} times its own bytes once {pool} bytes are taken by what grows more; it is kept, and 'headwater dead-letters replay' sends it again",
    ),
)
_REASONS = {8: Reason.TOO_DEEP, 9: Reason.TOO_LARGE, 10: Reason.DUPLICATE_KEY, 12: Reason.TOO_LARGE}
_TOO_LARGE, _NO_MEMORY = 9, 11
# What a value may always become as JSON, times its own bytes. A schema decides how much it is: an array of records without a byte grows without
# bound, a stream record of nothing but nulls some eleven times.
GROWTH = 16
# What all values of one flush together may become beyond that.
POOL_BYTES = 64_000_000
_READ_ERRORS = (ArithmeticError, EOFError, LookupError, TypeError, ValueError, struct.error)
# Decimals as the numbers that they are.
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Pool:
    """Bytes of JSON that are left, in one flush, for values that become more than GROWTH times what they were."""

    def __init__(self) -> None:
        self.left = ctypes.c_int64(POOL_BYTES)


def write_documents(
    values: pa.Array, head_bytes: int, schema: WriterSchema, bytes_max: int, pool: Pool | None = None
) -> list[bytes | Unreadable]:
    """The JSON text of each value (pa.binary), whose datum begins after `head_bytes`; or why it is none.

    A text is at most `bytes_max` long; what it has beyond GROWTH times the value's bytes is taken out of the pool.

    Raises MemoryError.
    """
    checked = check_datums(values, head_bytes, schema, bytes_max, pool)
    found: list[bytes | Unreadable] = []
    # A flush may be full of what is wrong in the same way.
    explained: dict[tuple[int, int], Unreadable] = {}
    for value, fault, place, text in zip(values.to_pylist(), checked.faults, checked.places, checked.texts, strict=True):
        if fault:
            if (fault, place) not in explained:
                explained[fault, place] = _explain(fault, place + head_bytes, schema, bytes_max)
            found.append(explained[fault, place])
        elif text is None:
            found.append(read_document(value[head_bytes:], schema, bytes_max))
        else:
            found.append(text if len(text) <= bytes_max else _explain(_TOO_LARGE, len(value), schema, bytes_max))
    return found


@dataclass(frozen=True)
class Checked:
    """Of each datum: the fault (0: none), the byte of the datum at which it was found, and the JSON text where it could be written."""

    faults: Sequence[int]
    places: Sequence[int]
    texts: Sequence[bytes | None]


def check_datums(values: pa.Array, head_bytes: int, schema: WriterSchema, bytes_max: int, pool: Pool | None = None) -> Checked:
    """Check the datum of each value (pa.binary), which begins after `head_bytes`.

    Raises MemoryError.
    """
    _, bounds_buffer, data = values.buffers()
    bounds = np.frombuffer(bounds_buffer, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    starts, ends = bounds[:-1] + head_bytes, bounds[1:].copy()
    faults, places, is_written = np.zeros(len(values), np.int32), np.zeros(len(values), np.int64), np.zeros(len(values), np.bool_)
    shares, left = (ends - bounds[:-1]) * GROWTH, (pool or Pool()).left
    plan, heap, text_ends = schema.plan, Heap(), np.zeros(len(values) + 1, np.int64)
    texts = np.frombuffer(plan.texts, np.uint8)
    load_library().headwater_check_datums(
        *(data.address, address_of(starts), address_of(ends), len(values), address_of(plan.nodes), address_of(plan.parts)),
        *(address_of(texts), address_of(plan.text_starts), DEPTH_MAX, bytes_max, address_of(shares)),
        *(left, address_of(faults), address_of(places), heap, address_of(text_ends[1:]), address_of(is_written)),
    )
    written = take_over(heap)
    if (faults == _NO_MEMORY).any():
        raise MemoryError
    validity = pa.py_buffer(np.packbits(is_written, bitorder="little"))
    found = pa.Array.from_buffers(pa.large_binary(), len(values), [validity, pa.py_buffer(text_ends), written])
    return Checked(faults.tolist(), places.tolist(), found.to_pylist())


def read_document(datum: bytes, schema: WriterSchema, bytes_max: int) -> bytes | Unreadable:
    """The JSON text of a datum that was checked, by fastavro: every type, at a tenth of the speed."""
    try:
        text = _encode(fastavro.schemaless_reader(io.BytesIO(datum), schema.schema, None))
    except Unreadable as error:
        return error
    except _READ_ERRORS as error:
        # The check is the stricter one: this is not expected.
        return Unreadable(
            Reason.NOT_AVRO, f"The Avro record cannot be read by {schema.name}", "a datum of it", f"{type(error).__name__}: {error}"
        )
    return text if len(text) <= bytes_max else _explain(_TOO_LARGE, len(datum), schema, bytes_max)


def _explain(fault: int, place: int, schema: WriterSchema, bytes_max: int) -> Unreadable:
    what, expected = _FAULTS[fault]
    return Unreadable(
        _REASONS.get(fault, Reason.NOT_AVRO),
        f"The Avro record by {schema.name} {what} at byte {place}",
        expected.format(bytes_max=bytes_max, growth=GROWTH, pool=POOL_BYTES),
    )
