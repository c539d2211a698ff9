"""The way from a request to Kafka: records are sent, and each request hears which of its records all replicas have."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka

from pipeline.collect.outgoing import Outgoing
from pipeline.config import Settings
from pipeline.kafka_answer import Failures
from pipeline.stores import producer_options
from pipeline.topology import Topic, topic_name

log = logging.getLogger(__name__)

# A request answers a little after librdkafka has given its records up, so that hardly one is on its way still.
GRACE_SECS = 0.5


class Outlet:
    """Sends records and waits for Kafka's acknowledgement (acks=all), `ack_secs_max` at most.

    What is held for Kafka is bounded by `api_held_bytes_max`: what is over it is not taken at all. A record that was given up may
    have reached Kafka all the same; the client sends it again, and the worker tells the two apart by their ids.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names: dict[Topic, str] = {}
        self._lock = threading.Lock()
        self._bytes_held = 0
        self._records_held = 0
        self._is_closed = threading.Event()
        self._is_broken = threading.Event()
        self._failures = Failures()
        self._producer = self._open()
        self._thread = threading.Thread(target=self._poll_forever, name="outlet", daemon=True)
        self._thread.start()

    @property
    def bytes_held(self) -> int:
        """Bytes of records that Kafka has not answered for yet."""
        return self._bytes_held

    async def send(self, records: Sequence[Outgoing]) -> list[bool]:
        """Send records; for each, whether all replicas have it. Never raises for Kafka's sake."""
        if not records:
            return []
        size = sum(record.bytes_held for record in records)
        if self._bytes_held + size > self._settings.api_held_bytes_max:
            return [False] * len(records)
        waiting = _Waiting(len(records), asyncio.get_running_loop())
        with self._lock:
            self._bytes_held += size
            self._records_held += len(records)
        for place, record in enumerate(records):
            self._produce(record, waiting, place)
        try:
            async with asyncio.timeout(self._settings.ack_secs_max + GRACE_SECS):
                await waiting.done
        except TimeoutError:
            log.warning("Kafka has not answered for %d records within %g s.", waiting.left, self._settings.ack_secs_max)
        return list(waiting.acknowledged)

    def check(self) -> None:
        """See that Kafka answers and has the topics; blocks for two seconds at most.

        Raises confluent_kafka.KafkaException, or LookupError for a topic that is not there.
        """
        found = self._producer.list_topics(timeout=2).topics
        missing = [self._name(topic) for topic in _written_topics() if self._name(topic) not in found]
        if missing:
            raise LookupError(f"Kafka has no topic '{missing[0]}'; a worker makes it, or 'headwater up'.")

    def close(self, secs_max: float) -> None:
        """Wait until everything sent is answered for, at most so long."""
        left = self._producer.flush(secs_max)
        if left:
            log.warning("%d records are left that Kafka has not answered for; nobody was told that they are accepted.", left)
        self._is_closed.set()
        self._thread.join(2)

    def _produce(self, record: Outgoing, waiting: "_Waiting", place: int) -> None:
        size = record.bytes_held

        def delivered(error: Any, _message: Any) -> None:
            with self._lock:
                self._bytes_held -= size
                self._records_held -= 1
            waiting.note(place, error is None)

        try:
            self._producer.produce(self._name(record.topic), record.value, record.key, on_delivery=delivered)
        except (BufferError, confluent_kafka.KafkaException) as error:
            log.warning("A record could not be given to Kafka's client: %s", error)
            delivered(error, None)

    def _name(self, topic: Topic) -> str:
        name = self._names.get(topic)
        if name is None:
            name = self._names[topic] = topic_name(self._settings, topic)
        return name

    def _open(self) -> Any:
        options = {
            "linger.ms": 2,
            "message.timeout.ms": int(self._settings.ack_secs_max * 1000),
            "reconnect.backoff.max.ms": 1_000,
            "queue.buffering.max.kbytes": self._settings.api_held_bytes_max // 1024 + 1024,
            "error_cb": self._note_error,
        }
        return confluent_kafka.Producer(producer_options(self._settings) | options)

    def _note_error(self, error: Any) -> None:
        self._failures.note(error)
        if error.fatal():
            log.error("Kafka's client cannot go on (%s); it is made anew.", error.str())
            self._is_broken.set()

    def _poll_forever(self) -> None:
        while not self._is_closed.is_set():
            self._producer.poll(0.2)
            if self._is_broken.is_set():
                broken, self._producer = self._producer, self._open()
                self._is_broken.clear()
                # What it held is told to have failed, and so answered for.
                broken.purge()
                broken.flush(1)


class _Waiting:
    """What a request waits for: its records' answers, which come in the outlet's thread."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.acknowledged = [False] * count
        self.left = count
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._lock = threading.Lock()

    def note(self, place: int, is_acknowledged: bool) -> None:
        with self._lock:
            self.acknowledged[place] = is_acknowledged
            self.left -= 1
            is_last = self.left == 0
        if is_last and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _written_topics() -> Sequence[Topic]:
    from pipeline.topology import ENDPOINT_UPDATES, RAW_EVENTS, REJECTED_EVENTS

    return (RAW_EVENTS, ENDPOINT_UPDATES, REJECTED_EVENTS)


OpenOutlet = Callable[[Settings], Outlet]
