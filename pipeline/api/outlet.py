"""The way from a request to Kafka: records are sent, and each request hears which of its records all replicas have."""

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka

from pipeline.collect.outgoing import Outgoing
from pipeline.config import Settings
from pipeline.stores import producer_options
from pipeline.topology import ENDPOINT_UPDATES, RAW_EVENTS, REJECTED_EVENTS, topic_name

log = logging.getLogger(__name__)

WRITTEN = (RAW_EVENTS, ENDPOINT_UPDATES, REJECTED_EVENTS)
# A request answers a little after librdkafka has given its records up, so that hardly one is on its way still.
GRACE_SECS = 0.5


class Outlet:
    """Sends records and waits for Kafka's acknowledgement (acks=all), `ack_secs_max` at most.

    What is held for Kafka is bounded by `api_held_bytes_max`: what is over it is not taken at all. A record that was given up may
    have reached Kafka all the same; the client sends it again, and the worker tells the two apart by their ids.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = {topic: topic_name(settings, topic) for topic in WRITTEN}
        # Changed in the event loop's thread only.
        self._bytes_held = 0
        self._is_closed = threading.Event()
        self._is_broken = threading.Event()
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
        size = sum([len(record.key) + len(record.value) for record in records])
        if self._bytes_held + size > self._settings.api_held_bytes_max:
            # It may be taken later: what can never be is refused where items are made (Limits.bytes_max).
            return [False] * len(records)
        self._bytes_held += size
        waiting = _Waiting(asyncio.get_running_loop(), functools.partial(self._release, size))
        refused = self._queue(records, waiting)
        waiting.expect(len(records) - len(refused))
        try:
            async with asyncio.timeout(self._settings.ack_secs_max + GRACE_SECS):
                await waiting.done
        except TimeoutError:
            # Some may be in Kafka; nobody has said so of all of them.
            log.warning("Kafka has not answered for all of %d records within %g s.", len(records), self._settings.ack_secs_max)
            return [False] * len(records)
        if not refused and not waiting.failed:
            return [True] * len(records)
        return [place not in refused and record.value not in waiting.failed for place, record in enumerate(records)]

    def _queue(self, records: Sequence[Outgoing], waiting: "_Waiting") -> set[int]:
        """Give records to Kafka's client, topic by topic; returns the places of those that it did not take."""
        refused: set[int] = set()
        for topic, name in self._names.items():
            places = [place for place, record in enumerate(records) if record.topic is topic]
            if not places:
                continue
            batch: list[dict[str, Any]] = [{"key": records[place].key, "value": records[place].value} for place in places]
            try:
                taken = self._producer.produce_batch(name, batch, on_delivery=waiting.delivered)
            except (BufferError, confluent_kafka.KafkaException) as error:
                log.warning("Records could not be given to Kafka's client: %s", error)
                refused.update(places)
                continue
            if taken < len(batch):
                failed = [(place, each["_error"]) for place, each in zip(places, batch, strict=True) if "_error" in each]
                log.warning("%d records could not be given to Kafka's client, for example: %s", len(failed), failed[0][1])
                refused.update(place for place, _ in failed)
        return refused

    def _release(self, size: int) -> None:
        self._bytes_held -= size

    def check(self) -> None:
        """See that Kafka answers and has the topics; blocks for two seconds at most.

        Raises confluent_kafka.KafkaException, or LookupError for a topic that is not there.
        """
        found = self._producer.list_topics(timeout=2).topics
        if not self._thread.is_alive():
            raise LookupError("Nobody listens to Kafka's answers; start the API anew.")
        missing = [name for name in self._names.values() if name not in found]
        if missing:
            raise LookupError(f"Kafka has no topic '{missing[0]}'; a worker makes it, or 'headwater up'.")

    def close(self, secs_max: float) -> None:
        """Wait until everything sent is answered for, at most so long."""
        left = self._producer.flush(secs_max)
        if left:
            log.warning("%d records are left that Kafka has not answered for; nobody was told that they are accepted.", left)
        self._is_closed.set()
        self._thread.join(2)

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
        if error.fatal():
            log.error("Kafka's client cannot go on (%s); it is made anew.", error.str())
            self._is_broken.set()

    def _poll_forever(self) -> None:
        broken: Any = None
        while not self._is_closed.is_set():
            try:
                self._producer.poll(0.2)
                if self._is_broken.is_set():
                    broken, self._producer = self._producer, self._open()
                    self._is_broken.clear()
                    # What it held is told to have failed, and so answered for.
                    broken.purge()
                if broken is not None and not broken.flush(0.1):
                    broken = None
            except Exception:
                # Without this thread nobody would hear of any answer.
                log.exception("Kafka's client failed while it was listened to; it is listened to again.")
                self._is_closed.wait(0.5)


class _Waiting:
    """What a request waits for: its records' answers, which come in the outlet's thread.

    One function hears all of them: that a record is there costs a count; which one is not is told by its value.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_answered: Callable[[], None]) -> None:
        self.failed: set[bytes] = set()
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop, self._on_answered = loop, on_answered
        self._answered, self._expected, self._is_over = 0, -1, False

    def expect(self, count: int) -> None:
        """Say how many answers are to come; some may have come already."""
        self._expected = count
        if self._answered == count:
            self._finish()

    def delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self.failed.add(message.value())
        self._answered += 1
        if self._answered == self._expected and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        """In the loop's thread; it may be called twice, when the last answer comes while the count is told."""
        if self._is_over:
            return
        self._is_over = True
        self._on_answered()
        if not self.done.done():
            self.done.set_result(None)


OpenOutlet = Callable[[Settings], Outlet]
