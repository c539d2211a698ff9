"""The producer that everything of ours writes to Kafka with: acknowledged by all replicas, Java's partitioner, counted."""

import time
from collections.abc import Callable
from typing import Any

import confluent_kafka

from pipeline.config import Settings
from pipeline.stores import producer_options
from schemas.errors import UnavailableError

Acknowledged = Callable[[Any, int, int], None]


class Producer:
    """Sends records to one topic and counts what Kafka acknowledged.

    `on_acknowledged(tag, partition, offset)` is called for each record once all replicas have it, from within `send`, `poll`
    or `flush`, in the caller's thread. A record that Kafka refused for good raises UnavailableError at the next call.
    """

    def __init__(self, settings: Settings, topic: str, on_acknowledged: Acknowledged | None = None, **options: Any) -> None:
        self.topic = topic
        self.sent = 0
        self.acknowledged = 0
        self._servers = settings.kafka_servers
        self._on_acknowledged = on_acknowledged
        self._failure: str = ""
        self._producer = confluent_kafka.Producer(producer_options(settings) | options)

    def send(self, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]] | None = None, tag: Any = None) -> None:
        """Queue one record; waits while the queue is full.

        Raises UnavailableError when a record sent earlier was refused.
        """
        self._raise_failure()
        while True:
            try:
                self._producer.produce(self.topic, value, key, headers=headers or [], on_delivery=self._delivered(tag))
                break
            except BufferError:
                self._producer.poll(0.1)
                self._raise_failure()
        self.sent += 1
        if self.sent % 1000 == 0:
            self._producer.poll(0)

    def poll(self, secs: float = 0) -> None:
        """Take acknowledgements in, waiting at most `secs` for the first."""
        self._producer.poll(secs)
        self._raise_failure()

    def flush(self, secs_max: float = 60) -> None:
        """Wait until everything sent is acknowledged.

        Raises UnavailableError when something is not after `secs_max`.
        """
        end = time.monotonic() + secs_max
        while len(self._producer) and time.monotonic() < end:
            self._producer.flush(min(1.0, secs_max))
            self._raise_failure()
        if len(self._producer):
            raise UnavailableError(
                f"Kafka at {self._servers} has not acknowledged {self.sent - self.acknowledged} of {self.sent} records of topic "
                f"'{self.topic}' after {secs_max:g} s; see that it runs (headwater status), then send again."
            )
        self._raise_failure()

    def _delivered(self, tag: Any) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                self._failure = str(error)
                return
            self.acknowledged += 1
            if self._on_acknowledged is not None:
                self._on_acknowledged(tag, message.partition(), message.offset())

        return delivered

    def _raise_failure(self) -> None:
        if self._failure:
            raise UnavailableError(
                f"Kafka at {self._servers} refused a record of topic '{self.topic}': {self._failure}; "
                f"{self.acknowledged} of {self.sent} are acknowledged."
            )


def record_key(app_id: str, endpoint_id: str | None, event_id: str) -> bytes:
    """Key of a record: app_id/endpoint_id in lower case, or app_id/event_id without an endpoint."""
    return f"{app_id}/{endpoint_id or event_id}".lower().encode()
