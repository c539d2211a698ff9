"""A member that joins the workers' consumer group and leaves it again. While it is there it has its share of the partitions, and lands nothing."""

import asyncio
import contextlib
import threading

import aiokafka
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.topic_assignor import TopicStickyAssignor
from pipeline.topology import LANDING_STREAMS, topic_name
from pipeline.worker import HEARTBEAT_SECS_MAX
from tests.faults.rig.beside import Beside


class PassingMember:
    """Comes for `secs`, or as long as the group needs to take it in, and is away for `secs`, again and again, for the time of a `with` block.

    To Kafka it is a worker: the same topics, the same assignor, the same times. As a process of its own it would cost some four seconds of
    CPU each time, and a storm on two cores would measure how long Python takes to import.
    """

    def __init__(self, settings: Settings, secs: float, session_secs: float) -> None:
        self._generations: set[int] = set()
        self._settings, self._secs, self._session_secs = settings, secs, session_secs
        self._thread = Beside(lambda is_done: asyncio.run(self._run(is_done)))

    def __enter__(self) -> "PassingMember":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    @property
    def rebalances(self) -> int:
        """Of the group, from the first one that it has seen to the last."""
        self._thread.check()
        return max(self._generations) - min(self._generations) + 1 if self._generations else 0

    async def _run(self, is_done: threading.Event) -> None:
        while not is_done.is_set():
            consumer = self._build_consumer()
            joining = asyncio.create_task(consumer.start())
            staying = asyncio.create_task(asyncio.sleep(self._secs))
            await asyncio.wait({joining}, timeout=max(self._secs, self._session_secs))
            await staying
            # -1 is said by one that was not taken in.
            if consumer._coordinator is not None and consumer._coordinator.generation >= 0:
                self._generations.add(consumer._coordinator.generation)
            if not joining.done():
                joining.cancel()
            with contextlib.suppress(asyncio.CancelledError, KafkaError):
                await joining
            await consumer.stop()
            await asyncio.sleep(self._secs)

    def _build_consumer(self) -> aiokafka.AIOKafkaConsumer:
        return aiokafka.AIOKafkaConsumer(
            *(topic_name(self._settings, stream.topic) for stream in LANDING_STREAMS),
            bootstrap_servers=self._settings.kafka_servers,
            group_id=self._settings.worker_group,
            partition_assignment_strategy=[TopicStickyAssignor],
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=int(self._session_secs * 1000),
            rebalance_timeout_ms=int(self._session_secs * 1000),
            heartbeat_interval_ms=int(HEARTBEAT_SECS_MAX * 1000),
            # What it fetches is thrown away.
            fetch_max_bytes=10_000,
        )
