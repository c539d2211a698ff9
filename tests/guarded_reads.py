"""Compiled code over bytes that end where memory ends: `python -m tests.guarded_reads SEED` dies of SIGSEGV when one byte more is read.

Environment: RIG_CUT is a part of a C source, RIG_PUT what stands there instead; the library is then compiled in the folder RIG_FOLDER.
"""

import ctypes
import json
import mmap
import os
import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from agents.batch import ORIGIN_HEADER
from agents.native import build
from agents.native.library import address_of, load_library
from agents.parsing.read_columns import read_columns
from tests.test_record_batches import Record, build_batch

ROUNDS = 3000
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


def main() -> None:
    """Many rounds, the same for the same seed."""
    if "RIG_CUT" in os.environ:
        folder = Path(os.environ["RIG_FOLDER"])
        for source in (*build.FOLDER.glob("*.c"), *build.FOLDER.glob("*.h")):
            (folder / source.name).write_text(source.read_text().replace(os.environ["RIG_CUT"], os.environ["RIG_PUT"]))
        build.FOLDER, build.OUTPUT = folder, folder / "build"
    chance, memory = random.Random(int(sys.argv[1])), GuardedMemory(1 << 16)
    for _ in range(ROUNDS):
        read_documents(chance, memory)
        split_batch(chance, memory)
    print("read within their bounds")


if __name__ == "__main__":
    main()
