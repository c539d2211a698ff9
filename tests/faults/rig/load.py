"""Records to Kafka at a steady rate, some sent again and some malformed, and a ledger of what Kafka acknowledged."""

import functools
import json
import random
import threading
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Self

import confluent_kafka

from pipeline.config import Settings
from tests.faults.rig.beside import Beside
from tests.faults.rig.ledger import Ledger
from tests.faults.rig.read_topic import read_all
from tests.stream import raw_events

# A record is sent again after so many others at most.
RESENT_AFTER_MAX = 10_000


class Load:
    """Sends while its `with` block lasts; afterwards all that was sent is acknowledged and stands in `ledger`.

    A record is not given up while Kafka is away: librdkafka sends it again under its sequence number, by which Kafka knows it (see repeats.py).
    `resent` and `malformed` are shares of the records. `errors` counts deliveries that failed for good.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        chance: random.Random,
        per_sec: float = 1000,
        resent: float = 0.05,
        malformed: float = 0.05,
        topic: str = "",
        endpoints: int = 500,
        compression: str = "none",
    ) -> None:
        self.ledger = Ledger(folder / f"ledger-{uuid.uuid4().hex[:8]}.ndjson")
        self.errors = 0
        self.per_sec = per_sec
        self._chance = random.Random(chance.getrandbits(64))
        self._resent, self._malformed, self._endpoints = resent, malformed, endpoints
        self._topic = topic or raw_events(settings)
        self._number, self._sent = 0, deque[tuple[bytes, bytes, str]](maxlen=RESENT_AFTER_MAX)
        self._without_offset: list[tuple[str | None, int, bytes]] = []
        self._servers = settings.kafka_servers
        options: dict[str, str | int | float | bool] = {
            "bootstrap.servers": settings.kafka_servers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": compression,
            # What is too large is refused by Kafka, not here.
            "message.max.bytes": 1_000_000_000,
            "message.timeout.ms": 600_000,
            "topic.metadata.refresh.interval.ms": 2_000,
            "reconnect.backoff.max.ms": 500,
        }
        self._producer = confluent_kafka.Producer(options, logger=_Quiet())
        self._thread = Beside(self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def count(self) -> int:
        """Records acknowledged so far."""
        self._thread.check()
        return self.ledger.count

    @property
    def due(self) -> int:
        """Records acknowledged so far, and those that wait for it."""
        return self.count + len(self._producer)

    def stop(self, secs_max: float = 120) -> None:
        """Send nothing more, and wait until everything is acknowledged. Raises what ended the sending before."""
        self._thread.stop()
        left = self._producer.flush(secs_max)
        if self._without_offset:
            self._find_offsets()
        self.ledger.flush()
        assert left == 0, f"{left} records were not acknowledged within {secs_max:g} s"

    def send(self, key: bytes, value: bytes | None, event_id: str | None = None, partition: int = -1) -> None:
        """Send one record more, beside the steady ones. No value counts as one of no bytes."""
        while True:
            try:
                note = functools.partial(self._note, event_id, value)
                self._producer.produce(self._topic, value, key, partition, on_delivery=note)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _note(self, event_id: str | None, value: bytes | None, error: object, message: confluent_kafka.Message) -> None:
        if error is not None:
            self.errors += 1
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        if offset is None or offset < 0:
            # Kafka had it from an attempt whose answer was lost, and does not say where.
            self._without_offset.append((event_id, partition, value or b""))
        else:
            self._add(event_id, partition, offset, value or b"")

    def _add(self, event_id: str | None, partition: int, offset: int, value: bytes) -> None:
        self.ledger.add(event_id, partition, offset, value, event_id is not None and self.is_certain(value))

    def _find_offsets(self) -> None:
        """Look in Kafka where those records lie of which it did not say so."""
        known = {(entry["partition"], entry["offset"]) for entry in self.ledger.entries()}
        wanted = {(partition, value): deque[str | None]() for _, partition, value in self._without_offset}
        for event_id, partition, value in self._without_offset:
            wanted[partition, value].append(event_id)
        for message in read_all(self._servers, self._topic, {partition for partition, _ in wanted}):
            partition, offset, value = message.partition() or 0, message.offset() or 0, message.value() or b""
            if (partition, offset) not in known and wanted.get((partition, value)):
                self._add(wanted[partition, value].popleft(), partition, offset, value)
        lost = ", ".join(
            f"{event_id} in partition {partition}: {value[:60]!r}" for (partition, value), ids in wanted.items() for event_id in ids
        )
        assert not lost, f"acknowledged without an offset, and not in Kafka: {lost}"
        self._without_offset = []

    def _run(self, is_done: threading.Event) -> None:
        start, sent = time.monotonic(), 0.0
        while not is_done.wait(0.02):
            now = time.monotonic()
            sent += min(now - start, 1.0) * self.per_sec
            start = now
            while sent >= 1:
                sent -= 1
                self.send(*self._next())
            self._producer.poll(0)
            self.ledger.flush()

    def _next(self) -> tuple[bytes, bytes, str]:
        self._number += 1
        draw = self._chance.random()
        if draw < self._resent and self._sent:
            # Half of them at once, as a client that got no answer does; the others later, some of them after a fault.
            return self._sent[-1] if draw < self._resent / 2 else self._sent[self._chance.randrange(len(self._sent))]
        if draw < self._resent + self._malformed:
            return b"shop/garbage", b"garbage-%d" % self._chance.getrandbits(64), ""
        self._sent.append(self.build_record(self._number, self._chance))
        return self._sent[-1]

    def is_certain(self, value: bytes) -> bool:
        """Whether every worker of the test makes the same of this value: see Ledger."""
        return True

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes, str]:
        """Key, value and event_id of an event of app shop."""
        event_id = str(uuid.UUID(int=chance.getrandbits(128)))
        endpoint_id = f"endpoint-{chance.randrange(self._endpoints)}"
        record = {
            "event_id": event_id,
            "event_type": "screen.view",
            "event_timestamp": 1764000000000 + number,
            "application": {"app_id": "shop"},
            "client": {"client_id": endpoint_id},
            "attributes": {"screen": "home", "mark": event_id},
            "metrics": {"height": 1.5},
        }
        return f"shop/{endpoint_id}".encode(), json.dumps(record).encode(), event_id


class _Quiet:
    """librdkafka says of each broker that is away, many times a second; the tests know."""

    def log(self, *_: object, **__: object) -> None:
        pass

    debug = info = warning = error = critical = log
