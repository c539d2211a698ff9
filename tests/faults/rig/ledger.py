"""What Kafka acknowledged, line by line in a file: the truth that both checkers hold the lake against."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xxhash

# The attribute of which an event of a load has one of its own.
_MARK = re.compile(rb'"mark": "([^"]*)"')


class Ledger:
    """An append-only file of JSON lines: event_id, partition, offset, sha256 of the value (hex), payload_hash (xxh3-64, signed), is_certain, mark.

    `is_certain`: no rule that a worker may have makes anything of it but an event, the first time that its id is sent to its partition, and
    a duplicate from then on; one without an id is no event. `mark` is the event's attribute of that name, null without one.
    `count` is of what was added by this object.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._waiting: list[str] = []
        # Whoever polls the producer is told of acknowledgements: the steady sender, and a test that sends beside it.
        self._lock = threading.Lock()
        path.touch()

    def add(self, event_id: str | None, partition: int, offset: int, value: bytes, is_certain: bool = False) -> None:
        unsigned = xxhash.xxh3_64_intdigest(value)
        entry = {
            "event_id": event_id,
            "partition": partition,
            "offset": offset,
            "sha256": hashlib.sha256(value).hexdigest(),
            "payload_hash": unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned,
            "is_certain": is_certain,
            "mark": found[1].decode() if (found := _MARK.search(value)) else None,
        }
        with self._lock:
            self._waiting.append(json.dumps(entry) + "\n")
            self.count += 1

    def flush(self) -> None:
        """Write what waits to the end of the file."""
        with self._lock, self.path.open("a") as file:
            file.writelines(self._waiting)
            self._waiting = []

    def entries(self) -> Iterator[dict[str, Any]]:
        """What stands in the file."""
        self.flush()
        with self.path.open() as file:
            for line in file:
                yield json.loads(line)
