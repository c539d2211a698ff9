"""Compiled code over bytes that end where memory ends: `python -m tests.guarded_reads SEED` dies of SIGSEGV when one byte more is read.

Environment: RIG_CUT is a part of a C source, RIG_PUT what stands there instead; RIG_FLAGS are more flags of the compiler, as those of a
sanitizer; the library is then compiled in the folder RIG_FOLDER.
"""

import ctypes
import json
import mmap
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from agents.avro.schemas import OURS
from agents.avro.writer_schema import WriterSchema, read_schema
from agents.batch import ORIGIN_HEADER
from agents.native import build
from agents.native.library import Heap, address_of, load_library, take_over
from agents.parsing.exact_json import DEPTH_MAX
from agents.parsing.read_columns import read_columns
from tests.avro_records import write_datum
from tests.test_record_batches import Record, build_batch

ROUNDS = 3000
# Of every kind, with names that take more as JSON than their values as bytes.
_INNER = {"type": "record", "name": "In", "fields": [{"name": "deeper", "type": ["null", "In"]}, {"name": "n" * 40, "type": "null"}]}
_TYPES = ["boolean", "int", "float", "double", "bytes", {"type": "fixed", "name": "F", "size": 5}, {"type": "enum", "name": "E", "symbols": ["A", "BB"]},
          {"type": "array", "items": _INNER}, {"type": "map", "values": ["null", "string", "double"]}, "long", "string"]  # fmt: skip
_EVERY = {"type": "record", "name": "Every", "fields": [{"name": f"f{place}", "type": one} for place, one in enumerate(_TYPES)]}
_HEADER_BYTES = 61


class GuardedMemory:
    """Memory behind which there is none."""

    def __init__(self, size_bytes: int) -> None:
        self._pages = -(-size_bytes // mmap.PAGESIZE)
        self._map = mmap.mmap(-1, (self._pages + 1) * mmap.PAGESIZE)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._end = self._start + self._pages * mmap.PAGESIZE
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(self._end), mmap.PAGESIZE, 0) == 0

    def hold(self, data: bytes) -> int:
        """Where these bytes lie, the last of them the last that can be read."""
        address = self._end - len(data)
        ctypes.memmove(address, data, len(data))
        return address


def read_documents(chance: random.Random, memory: GuardedMemory) -> None:
    """Stream records, cut and altered, each the last of its array."""
    document = {
        "event_type": "view",
        "event_timestamp": 1764000000000,
        "application": {"app_id": "shop", "title": 'caf\u00e9 \\ "x"'},
        "attributes": {"a": "b" * chance.randrange(40)},
        "metrics": {"m": chance.random()},
        "facets": {"deep": [1, 2.5e3, None, True, "\U0001f600"]},
    }
    value = bytearray(json.dumps(document, ensure_ascii=chance.random() < 0.5).encode())
    for _ in range(chance.randrange(3)):
        value[chance.randrange(len(value))] = chance.randrange(256)
    data = bytes(value[: chance.randrange(1, len(value) + 1)])
    bounds = pa.py_buffer(np.array([0, len(data)], np.int32))
    values = pa.Array.from_buffers(pa.binary(), 1, [None, bounds, pa.foreign_buffer(memory.hold(data), len(data))])
    read_columns(values, np.ones(1, np.bool_))
    load_library().headwater_count_names(data, len(data))


def split_batch(chance: random.Random, memory: GuardedMemory) -> None:
    """Kafka record batches, cut and altered."""
    records: list[Record] = [(b"k", bytes(chance.randrange(30)), 5, [(ORIGIN_HEADER, b"x")]) for _ in range(chance.randrange(1, 5))]
    data = bytearray(build_batch(records)[_HEADER_BYTES:])
    for _ in range(chance.randrange(4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    cut, count = bytes(data[: chance.randrange(1, len(data) + 1)]), len(records)
    times, places, name = np.empty((2, count), np.int64), np.empty((6, count), np.int32), ORIGIN_HEADER.encode()
    load_library().headwater_split_records(
        *(memory.hold(cut), len(cut), count, name, len(name), address_of(times[0]), address_of(times[1])),
        *(address_of(column) for column in places),
    )


def check_datums(
    chance: random.Random, memory: GuardedMemory, guarded: Sequence[GuardedMemory], schema: WriterSchema, datum: bytes
) -> None:
    """Avro data, cut and altered; the plan too ends where memory ends."""
    data = bytearray(datum)
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(data))
        if chance.random() < 0.5:
            data[place] = chance.randrange(256)
        else:
            data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
    cut = bytes(data[: chance.randrange(len(data) + 1)]) if chance.random() < 0.5 else bytes(data)
    plan = schema.plan
    bounds = np.array([0, len(cut)], np.int64)
    faults, places, is_written, ends = np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(1, np.bool_), np.zeros(1, np.int64)
    shares, pool, heap = np.array([chance.choice((0, 100, 10_000))], np.int64), ctypes.c_int64(chance.choice((0, 100_000))), Heap()
    parts = [
        one.hold(held)
        for one, held in zip(guarded, (plan.nodes.tobytes(), plan.parts.tobytes(), plan.texts, plan.text_starts.tobytes()), strict=True)
    ]
    load_library().headwater_check_datums(
        *(memory.hold(cut), address_of(bounds), address_of(bounds[1:]), 1, *parts, DEPTH_MAX, 100_000, address_of(shares)),
        *(pool, address_of(faults), address_of(places), heap, address_of(ends), address_of(is_written)),
    )
    take_over(heap)


def build_data(chance: random.Random) -> list[tuple[WriterSchema, bytes]]:
    """Schemas, each with a datum of it."""
    inner = {"deeper": {"deeper": None, "n" * 40: None}, "n" * 40: None}
    values = [
        True,
        -7,
        0.5,
        1e300,
        b"ab",
        b"12345",
        "BB",
        [inner, inner],
        {"k": None, "l": 'a"\\', "m": 0.1},
        2**62,
        "caf\u00e9" * chance.randrange(9),
    ]
    every = {f"f{place}": value for place, value in enumerate(values)}
    record = {
        "event_type": "view",
        "event_timestamp": 1764000000000,
        "application": {"app_id": "shop"},
        "attributes": {"a": "b"},
        "metrics": {"m": 0.1},
    }
    return [
        (read_schema(json.dumps(_EVERY), "every"), write_datum(every, _EVERY)),
        (read_schema(OURS.read_text(), "ours"), write_datum(record)),
    ]


def main() -> None:
    """Many rounds, the same for the same seed."""
    if "RIG_FOLDER" in os.environ:
        folder = Path(os.environ["RIG_FOLDER"])
        for source in (*build.FOLDER.glob("*.c"), *build.FOLDER.glob("*.h")):
            (folder / source.name).write_text(source.read_text().replace(os.environ.get("RIG_CUT", "\0"), os.environ.get("RIG_PUT", "")))
        vars(build)["_FLAGS"] = (*build._FLAGS, *os.environ.get("RIG_FLAGS", "").split())
        build.FOLDER, build.OUTPUT = folder, folder / "build"
    chance, memory = random.Random(int(sys.argv[1])), GuardedMemory(1 << 16)
    guarded, data = [GuardedMemory(1 << 16) for _ in range(4)], build_data(chance)
    for _ in range(ROUNDS):
        read_documents(chance, memory)
        split_batch(chance, memory)
        for schema, datum in data:
            check_datums(chance, memory, guarded, schema, datum)
    print("read within their bounds")


if __name__ == "__main__":
    main()
