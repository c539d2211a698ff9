"""Sends a chunk to Kafka exactly once, however often it is begun again and whoever else is at it.

The chunk is in the lake as begun, with where the topic ended then. Its transactional id is its own: to initialise it ends the
transaction of whoever sent this chunk before, dead or alive, and keeps that one out from then on. So what Kafka holds after
that is final: if the chunk's letters are among the committed records behind the recorded ends, it was sent; if not, it was
not and never will be by anybody else. All of a chunk goes in one transaction.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import confluent_kafka

from agents.batch import ORIGIN_HEADER
from pipeline.config import Settings
from pipeline.kafka_answer import Failures
from pipeline.kafka_records import OffsetsGoneError, Span, TopicReader
from pipeline.stores import producer_options
from pipeline.topic_ids import find_topic
from schemas.errors import HeadwaterError, UnavailableError
from sinks.dead_letter_replays import Chunk, Letter, Origin, Place

ANSWER_SECS_MAX = 60.0
ABORT_SECS_MAX = 5.0
# Readers wait behind a transaction whose replay was killed: that long, or until the next replay ends it.
TRANSACTION_MS_MAX = 20_000
_FENCED = (
    confluent_kafka.KafkaError._FENCED,
    confluent_kafka.KafkaError.INVALID_PRODUCER_EPOCH,
    confluent_kafka.KafkaError.PRODUCER_FENCED,
    confluent_kafka.KafkaError.INVALID_PRODUCER_ID_MAPPING,
)


class FencedError(HeadwaterError):
    """Another replay took this chunk over; it finishes it."""


class RefusedError(UnavailableError):
    """Kafka will not take a chunk, however often it is sent: a value is too large for the topic, or a right is missing."""


class UntraceableError(Exception):
    """Kafka no longer holds what would tell whether a chunk was sent; it is left as it is."""


class Sender:
    """Sends chunks, each through a producer of its own. `run_step` is called with the name of each step before it is done."""

    def __init__(self, settings: Settings, run_step: Callable[[str], None]) -> None:
        self._settings, self._run_step = settings, run_step

    def send(self, chunk: Chunk, sends_untraceable: bool = False) -> Mapping[Origin, Place]:
        """Where each letter of the chunk is in Kafka; those that are there already are not sent again.

        `sends_untraceable`: where Kafka no longer tells, what it does not hold counts as not sent. Raises FencedError, UntraceableError, and UnavailableError when Kafka does not answer.
        """
        self._run_step("before fence")
        failures = Failures()
        producer = confluent_kafka.Producer(
            producer_options(self._settings)
            | {"transactional.id": f"{chunk.topic}-replay-{chunk.chunk_id}", "transaction.timeout.ms": TRANSACTION_MS_MAX, "linger.ms": 5}
            | {"error_cb": failures.note}
        )
        self._transact(lambda: producer.init_transactions(ANSWER_SECS_MAX), chunk, failures)
        self._run_step("before look")
        places, is_whole = self.look(chunk)
        if not is_whole and not sends_untraceable:
            raise UntraceableError
        missing = [letter for letter in chunk.letters if letter.origin not in places]
        if not missing:
            return places
        self._run_step("before send")
        sent: dict[Origin, Place] = {}
        try:
            self._transact(producer.begin_transaction, chunk, failures)
            for letter in missing:
                self._transact(partial(_produce, producer, chunk.topic, letter, sent), chunk, failures)
            self._transact(lambda: producer.flush(ANSWER_SECS_MAX), chunk, failures)
            self._run_step("before send commit")
            # Commits only when every record was acknowledged.
            self._transact(lambda: producer.commit_transaction(ANSWER_SECS_MAX), chunk, failures)
        except UnavailableError:
            # Readers of the topic wait behind what is open.
            with contextlib.suppress(confluent_kafka.KafkaException):
                producer.abort_transaction(ABORT_SECS_MAX)
            raise
        self._run_step("after send commit")
        return {**places, **sent}

    def look(self, chunk: Chunk) -> tuple[dict[Origin, Place], bool]:
        """Those letters of the chunk that the topic holds, behind where it ended when the chunk was begun; True when there are no others,
        False when Kafka has deleted records that may have been some."""
        wanted = {str(letter.origin).encode(): letter.origin for letter in chunk.letters}
        state = find_topic(self._settings, chunk.topic)
        found: dict[Origin, Place] = {}
        with TopicReader(self._settings, chunk.topic) as reader:
            held = reader.bounds(range(state.partition_count))
            begun = {number: chunk.end_offsets.get(number, 0) for number in held}
            is_cut = state.topic_id != chunk.topic_id or any(held[number].start > begun[number] for number in held)
            spans = [Span(number, max(begun[number], held[number].start), held[number].end) for number in held]
            try:
                for records in reader.read(spans):
                    for record in records:
                        origins = [wanted.get(value or b"") for name, value in record.headers if name == ORIGIN_HEADER]
                        found.update({origin: Place(record.partition, record.offset) for origin in origins if origin is not None})
            except OffsetsGoneError:
                is_cut = True
        return found, not is_cut or len(found) == len(chunk.letters)

    def _transact(self, call: Callable[[], Any], chunk: Chunk, failures: Failures) -> None:
        """One call of the transaction, again while Kafka asks for that."""
        end = time.monotonic() + ANSWER_SECS_MAX
        while True:
            try:
                call()
                return
            except confluent_kafka.KafkaException as raised:
                error = raised.args[0]
                if error.code() in _FENCED:
                    raise FencedError(
                        f"Another replay took chunk {chunk.chunk_id} over and finishes it; this one has ended. Look at what is left with "
                        "'headwater dead-letters replay', and run one at a time."
                    ) from None
                if not error.retriable() or time.monotonic() > end:
                    kind = UnavailableError if error.retriable() else RefusedError
                    raise kind(
                        f"Kafka at '{self._settings.kafka_servers}' (HEADWATER_KAFKA) did not take the {len(chunk.letters)} dead letters of chunk "
                        f"{chunk.chunk_id} ({failures.newest or error.str()}); see that it runs (headwater status) and that topic "
                        f"'{chunk.topic}' takes values of their size (max.message.bytes), then replay again: what was begun is finished first, and "
                        "nothing is sent twice."
                    ) from None
                # It says at once that it is not ready yet, and there is nothing to wait for that would tell when it is.
                time.sleep(0.1)


def _produce(producer: confluent_kafka.Producer, topic: str, letter: Letter, sent: dict[Origin, Place]) -> None:
    """Queue one letter; once Kafka has it, `sent` says where."""

    def note(error: Any, message: Any) -> None:
        # An error needs no note: then the transaction cannot be committed.
        if error is None:
            sent[letter.origin] = Place(message.partition(), message.offset())

    origin: list[tuple[str, str | bytes | None]] = [(ORIGIN_HEADER, str(letter.origin).encode())]
    producer.produce(topic, letter.value, letter.key, headers=origin, on_delivery=note)
