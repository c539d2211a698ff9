"""Faust's Kafka transport, handing an agent one message for each poll of a partition: a Batch of raw records.

Faust's own loop makes an object, a future and a dozen calls for every record, 70 to 140 us of CPU; here that is paid once
for each poll. Agents, rebalancing, timers and the rest of Faust stay as they are. And positions come from the lake: Faust
asks `seek_to_committed` after every rebalance where to start, and this one asks the worker's Positions.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol, cast

import aiokafka.structs
import faust
from aiokafka.errors import CorruptRecordException, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.consumer import ensure_TPset
from faust.transport.drivers.aiokafka import (
    AIOKafkaConsumerThread,
    Consumer,
    Producer,
    Transport,
    credentials_to_aiokafka_auth,
    server_list,
)
from faust.types import TP, AppT

from agents.batch import Batch, Chunk
from pipeline import patient_coordinator, rebootstrap, record_batches
from pipeline.lake_seek import LakeSeek
from pipeline.record_batches import LOG_APPEND_TIME
from pipeline.topic_assignor import TopicStickyAssignor

# Faust logs its services under the module that defines them; what we say has a name of its own.
log = logging.getLogger("headwater.transport")

# For so long Kafka may owe an answer; a member that joins is answered when the others have heard of it, within a session.
REQUEST_SECS_MAX = 30.0
FETCH_BYTES_MAX = 4_000_000
PARTITION_FETCH_BYTES_MAX = 1_000_000


class Positions(Protocol):
    """Where the lake wants each partition to be read from."""

    generation: int

    async def look_at_topics(self) -> None:
        """Called before Kafka is asked where partitions begin and end, which is said of topics by name."""

    async def take_over(
        self, earliest: Mapping[TP, int], latest: Mapping[TP, int], is_current: Callable[[], bool]
    ) -> Mapping[TP, int] | None:
        """Become the owner of exactly these partitions; returns the offset to read each from, once it can say.

        None when Kafka must be asked again where they begin and end, when `is_current` said that they are not assigned to this
        worker any more, or when it leaves.
        """

    def is_reset_wanted(self) -> bool:
        """True when positions must be set anew: a partition was fenced, records were skipped, the topic changed."""


class BatchConsumerThread(AIOKafkaConsumerThread):
    """The thread that polls Kafka: one Batch for each partition and poll, positions from the lake."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._seek = LakeSeek(self._ensure_consumer, self._ask_lake, self._set_read_offset, lambda: self.should_stop)

    async def on_start(self) -> None:
        await start_patiently(self, super().on_start, lambda: self._consumer)

    async def on_thread_stop(self) -> None:
        """A fetch that waits for Kafka to be back ends by being cancelled, and aiokafka lets that out of its `stop`: the thread would die
        before it says that it has stopped, and the worker wait for it for ever."""
        with contextlib.suppress(asyncio.CancelledError):
            await super().on_thread_stop()

    def _create_worker_consumer(self, transport: Transport) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=server_list(transport.url, transport.default_port),
            # Partitions stay where their dedup windows are, and each topic is shared out evenly.
            partition_assignment_strategy=[TopicStickyAssignor],
            enable_auto_commit=False,
            # aiokafka must never move a position by itself when the wanted offset is gone.
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_records=100_000,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            fetch_max_bytes=FETCH_BYTES_MAX,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES_MAX,
            fetch_max_wait_ms=250,
            request_timeout_ms=int(max(REQUEST_SECS_MAX, conf.broker_session_timeout + 5) * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    @property
    def positions(self) -> Positions:
        return cast("BatchTransport", self.consumer.transport).positions

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every assigned partition to the offset that the lake wants; called by Faust after each rebalance."""
        found: Mapping[TP, int] = await self.call_thread(self._seek.after_rebalance)
        return found

    def _set_read_offset(self, tp: TP, offset: int) -> None:
        """Faust passes over what lies before the offset that it read last."""
        self.consumer._read_offset[tp] = offset or None

    async def _ask_lake(self, assigned: Collection[Any]) -> Mapping[TP, int] | None:
        consumer = self._ensure_consumer()
        await self.positions.look_at_topics()
        try:
            earliest = await consumer.beginning_offsets(assigned)
            latest = await consumer.end_offsets(assigned)
        except KafkaError as error:
            log.warning("Kafka does not say where its partitions begin and end (%r); asking again.", error)
            await asyncio.sleep(1)
            return None
        return await self.positions.take_over(
            {TP(tp.topic, tp.partition): offset for tp, offset in earliest.items()},
            {TP(tp.topic, tp.partition): offset for tp, offset in latest.items()},
            lambda: not self.should_stop and consumer.assignment() == assigned,
        )

    async def _fetch_records(
        self, consumer: aiokafka.AIOKafkaConsumer, active_partitions: set[TP], timeout: float | None = None, max_records: int | None = None
    ) -> Mapping[TP, list[Any]]:
        if self.consumer.flow_active and self.positions.is_reset_wanted():
            await self._seek.anew()
        generation = self.positions.generation
        self._seek.note_reading()
        try:
            fetched = await super()._fetch_records(consumer, active_partitions, timeout=timeout, max_records=max_records)
        except OffsetOutOfRangeError:
            # Retention overtook us, or the log was cut: taking over again finds the gap and says so.
            await self._seek.anew()
            return {}
        except NoOffsetForPartitionError:
            # aiokafka looked for a committed offset before we had sought.
            return {}
        except CorruptRecordException as error:
            log.error("Kafka sent a record batch whose checksum is wrong (%s); fetching it again.", error)
            await self._seek.anew()
            return {}
        return {TP(tp.topic, tp.partition): [_as_record(tp, chunks, generation)] for tp, chunks in fetched.items()}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit offsets to Kafka, which are a lag gauge and nothing more: a failure is logged, never fatal."""
        assigned = ensure_TPset(self._ensure_consumer().assignment())
        known = {aiokafka.structs.TopicPartition(tp.topic, tp.partition): offset for tp, offset in offsets.items() if tp in assigned}
        try:
            if known:
                await self._ensure_consumer().commit(known)
        except (KafkaError, RuntimeError) as error:
            log.warning("Offsets were not committed to Kafka (%r); lag looks greater than it is until the next commit.", error)
            return False
        return True


class BatchConsumer(Consumer):
    """Faust's consumer, polling through BatchConsumerThread."""

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)


class PatientProducer(Producer):
    """Faust's producer. Nothing is written with it; it waits for Kafka, where Faust's would end the worker."""

    async def on_start(self) -> None:
        await start_patiently(self, super().on_start, lambda: self._producer)


async def start_patiently(service: Any, start: Callable[[], Awaitable[None]], client: Callable[[], Any]) -> None:
    """Start a service of Faust's; while Kafka is away try again, unless the worker leaves. `client` gives what `start` made."""
    backoff = 0.5
    while not service.should_stop:
        try:
            return await start()
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("Waiting %.1f s for Kafka, which was there a moment ago: %s", backoff, error)
            await client().stop()
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, 5.0)


class BatchTransport(Transport):
    """Faust's aiokafka transport with batches; install it by `app.transport = BatchTransport(url, app, positions, value_bytes_max)`.

    Of a larger value nothing but size and hash comes along.
    """

    Consumer = BatchConsumer
    Producer = PatientProducer

    def __init__(self, url: Any, app: faust.App, positions: Positions, value_bytes_max: int) -> None:
        super().__init__(url, app)
        self.positions = positions
        record_batches.install(value_bytes_max)
        patient_coordinator.install()
        rebootstrap.install()


class BatchSchema(faust.Schema[Any, Any]):
    """Hands a message's key and value to the agent as they are."""

    def loads_key(self, app: AppT, message: Any, *, loads: Callable[..., Any] | None = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: AppT, message: Any, *, loads: Callable[..., Any] | None = None, serializer: Any = None) -> Any:
        return message.value


def _as_record(tp: Any, chunks: list[Chunk], generation: int) -> aiokafka.structs.ConsumerRecord:
    """The chunks of one poll as one Kafka record, whose value is a Batch and whose offset is its last."""
    batch = Batch(tp.topic, tp.partition, generation, chunks[0].start, chunks[-1].end, chunks)
    timestamp = next((int(chunk.appended_ms[-1]) for chunk in reversed(chunks) if len(chunk.appended_ms)), 0)
    return aiokafka.structs.ConsumerRecord(
        topic=tp.topic,
        partition=tp.partition,
        offset=batch.end - 1,
        timestamp=timestamp,
        timestamp_type=LOG_APPEND_TIME,
        key=None,
        value=batch,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=batch.held_bytes,
        headers=(),
    )
