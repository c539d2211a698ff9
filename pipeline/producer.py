"""The producer that everything of ours writes to Kafka with: acknowledged by all replicas, Java's partitioner, counted."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka

from pipeline.config import Settings
from pipeline.kafka_answer import Failures, wait_for_answer
from pipeline.stores import producer_options
from schemas.errors import UnavailableError

Acknowledged = Callable[[Any, int, int], None]

# send_many never lets the queue fill, so that records are taken in their order: no more records wait than these, and a chunk's
# records are no larger than 4 kB on average, which is less than the queue holds in bytes (see producer_options).
CHUNK_RECORDS = 1000
CHUNK_BYTES_MAX = 4_000_000
WAITING_RECORDS_MAX = 50_000


class Producer:
    """Sends records to one topic and counts what Kafka acknowledged.

    `on_acknowledged(tag, partition, offset)` is called for each record once all replicas have it, from within `send`, `poll`
    or `flush`, in the caller's thread; without it Kafka's answers cost next to nothing. A record that Kafka refused for good
    raises UnavailableError at the next call.
    """

    def __init__(self, settings: Settings, topic: str, on_acknowledged: Acknowledged | None = None, **options: Any) -> None:
        self.topic = topic
        self.sent = 0
        self._refused = 0
        self._settings, self._servers = settings, settings.kafka_servers
        self._failures = Failures()
        self._on_acknowledged = on_acknowledged
        self._failure: str = ""
        only_errors = {"delivery.report.only.error": True} if on_acknowledged is None else {}
        heard = {"error_cb": self._failures.note}
        self._producer = confluent_kafka.Producer(producer_options(settings) | only_errors | heard | options)

    @property
    def acknowledged(self) -> int:
        """Records that all replicas have."""
        return self.sent - self._refused - len(self._producer)

    def check_topic(self) -> None:
        """See that Kafka answers and has the topic.

        Raises UnavailableError when not: a topic made by itself would lack Headwater's settings.
        """
        topics = wait_for_answer(self._settings, self._producer, self._failures).topics
        if self.topic not in topics:
            raise UnavailableError(
                f"Kafka at {self._servers} has no topic '{self.topic}'; make it (headwater up makes all of Headwater's)."
            )

    def send(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = (), tag: Any = None) -> None:
        """Queue one record; waits while the queue is full.

        Raises UnavailableError when a record sent earlier was refused.
        """
        self._raise_failure()
        delivered = self._delivered(tag) if self._on_acknowledged is not None else self._take_refusal
        while True:
            try:
                self._producer.produce(self.topic, value, key, headers=list(headers), on_delivery=delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
                self._raise_failure()
            except confluent_kafka.KafkaException as error:
                self._failure = str(error.args[0])
                self._raise_failure()
        self.sent += 1
        if self.sent % 1000 == 0:
            self._producer.poll(0)

    def send_many(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Queue records (key, value) in their order, four times as fast as one by one; waits while many are on their way.

        Only for a producer without `on_acknowledged`. Raises UnavailableError when a record sent earlier was refused.
        """
        assert self._on_acknowledged is None
        for start in range(0, len(records), CHUNK_RECORDS):
            chunk = records[start : start + CHUNK_RECORDS]
            self._producer.poll(0)
            while len(self._producer) > WAITING_RECORDS_MAX:
                self._raise_failure()
                self._producer.poll(0.01)
            self._raise_failure()
            if sum([len(value) for _, value in chunk]) > CHUNK_BYTES_MAX:
                for key, value in chunk:
                    self.send(key, value)
                self.flush()
                continue
            batch = [{"key": key, "value": value} for key, value in chunk]
            queued = self._producer.produce_batch(self.topic, batch, on_delivery=self._take_refusal)
            self.sent += queued
            if queued < len(batch):
                self._failure = str(next(record["_error"] for record in batch if "_error" in record))
                self._raise_failure()

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
            why = f" ({self._failures.newest})" if self._failures.newest else ""
            raise UnavailableError(
                f"Kafka at {self._servers} has not acknowledged {len(self._producer)} of {self.sent} records of topic "
                f"'{self.topic}' after {secs_max:g} s{why}; see that it runs (headwater status), then send again."
            )
        self._raise_failure()

    def _delivered(self, tag: Any) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                self._take_refusal(error, message)
            elif self._on_acknowledged is not None:
                self._on_acknowledged(tag, message.partition(), message.offset())

        return delivered

    def _take_refusal(self, error: Any, message: Any) -> None:
        if error is not None:
            self._refused += 1
            self._failure = str(error)

    def _raise_failure(self) -> None:
        if self._failure:
            raise UnavailableError(
                f"Kafka at {self._servers} refused a record of topic '{self.topic}': {self._failure}; "
                f"{self.acknowledged} of {self.sent} are acknowledged."
            )


def record_key(app_id: str, endpoint_id: str | None, event_id: str) -> bytes:
    """Key of a record: app_id/endpoint_id in lower case, or app_id/event_id without an endpoint."""
    return f"{app_id}/{endpoint_id or event_id}".lower().encode()
