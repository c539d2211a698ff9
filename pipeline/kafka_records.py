"""Reads a topic's records between two offsets, committed ones only: for whoever looks back at what Kafka holds."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import confluent_kafka

from pipeline.config import Settings
from pipeline.stores import confluent_options
from schemas.errors import UnavailableError

BATCH_RECORDS = 5_000
ANSWER_SECS_MAX = 15.0
# Longer than a broker lets a transaction stay open by default.
SILENCE_SECS_MAX = 75.0

_EOF = confluent_kafka.KafkaError._PARTITION_EOF
_GONE = (confluent_kafka.KafkaError._AUTO_OFFSET_RESET, confluent_kafka.KafkaError.OFFSET_OUT_OF_RANGE)


@dataclass(frozen=True)
class Span:
    """Offsets [start, end) of a partition."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record as Kafka holds it; `appended_ms` is its time there."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    appended_ms: int


class OffsetsGoneError(Exception):
    """Retention deleted the start of a span while it was being read: ask for the bounds again."""


class TopicReader:
    """Reads one topic without a group; for one thread. Use it as a context manager."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.topic = topic
        self._settings = settings
        options = confluent_options(settings) | {
            "group.id": "headwater-look",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": 16_384,
        }
        self._committed = confluent_kafka.Consumer(options | {"isolation.level": "read_committed"})
        # The end of the log itself: for a reader of committed records it seems to end where a transaction is open.
        self._all = confluent_kafka.Consumer(options | {"isolation.level": "read_uncommitted"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._committed.close()
        self._all.close()

    def bounds(self, partitions: Collection[int]) -> dict[int, Span]:
        """Of each partition the offsets that Kafka holds, records of open transactions among them.

        Raises UnavailableError when Kafka does not answer.
        """
        try:
            found = {
                number: self._all.get_watermark_offsets(confluent_kafka.TopicPartition(self.topic, number), timeout=ANSWER_SECS_MAX)
                for number in partitions
            }
        except confluent_kafka.KafkaException as error:
            raise self._unavailable(error.args[0].str()) from None
        return {number: Span(number, *bounds) for number, bounds in found.items()}

    def read(self, spans: Collection[Span]) -> Iterator[list[HeldRecord]]:
        """The records of these spans, in batches, each partition's in order; an offset that does not come is a hole. While nothing
        comes, an empty batch twice a second.

        Ends once all of every span was read: it waits for a transaction that is open there, since its records may be committed yet.

        Raises OffsetsGoneError, and UnavailableError when nothing comes for long.
        """
        ends = {span.partition: span.end for span in spans if span.start < span.end}
        self._committed.assign(
            [confluent_kafka.TopicPartition(self.topic, span.partition, span.start) for span in spans if span.start < span.end]
        )
        heard_at = time.monotonic()
        while ends:
            records = []
            for message in self._committed.consume(BATCH_RECORDS, timeout=0.5):
                record = self._take(message, ends)
                if record is not None:
                    records.append(record)
            if records:
                heard_at = time.monotonic()
            yield records
            if not records and ends and time.monotonic() - heard_at > SILENCE_SECS_MAX:
                raise self._unavailable(
                    f"partitions {sorted(ends)} did not come to their ends within {SILENCE_SECS_MAX:g} s; a transaction may be open there"
                )
        self._committed.unassign()

    def _take(self, message: Any, ends: dict[int, int]) -> HeldRecord | None:
        """The record of a message when it lies in a span; a span that ends with it is taken out of `ends`."""
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is not None and error.code() in _GONE:
            raise OffsetsGoneError
        if error is not None and error.code() != _EOF:
            raise self._unavailable(error.str())
        end = ends.get(partition)
        if end is None:
            return None
        if offset >= end - (error is None):
            del ends[partition]
            self._committed.pause([confluent_kafka.TopicPartition(self.topic, partition)])
        if error is not None or offset >= end:
            return None
        return HeldRecord(partition, offset, message.key(), message.value(), message.headers() or (), message.timestamp()[1])

    def _unavailable(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"Topic '{self.topic}' of Kafka at '{self._settings.kafka_servers}' (HEADWATER_KAFKA) could not be read ({why}); see that it "
            "runs (headwater status), then ask again."
        )
