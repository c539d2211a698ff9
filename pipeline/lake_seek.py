"""Seeking an assignment to where the lake wants it read from: once for each rebalance, however often Faust asks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import aiokafka
from faust.types import TP

# The offset to read each partition from; None: what is assigned has changed meanwhile, or Kafka must be asked anew.
AskLake = Callable[[Collection[Any]], Awaitable[Mapping[TP, int] | None]]
AGAIN_SECS = 0.1


class LakeSeek:
    """Sets positions of the consumer that `find_consumer` gives; `set_read_offset` tells Faust of each. Lives in one event loop."""

    def __init__(
        self,
        find_consumer: Callable[[], aiokafka.AIOKafkaConsumer],
        ask_lake: AskLake,
        set_read_offset: Callable[[TP, int], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._find_consumer, self._ask_lake, self._set_read_offset, self._is_stopping = (
            find_consumer,
            ask_lake,
            set_read_offset,
            is_stopping,
        )
        self._lock = asyncio.Lock()
        self._asked = self._served = 0
        self._found: Mapping[TP, int] = {}
        self._found_for: object | None = None

    async def after_rebalance(self) -> Mapping[TP, int]:
        """Seek, unless this assignment was sought and nothing was read since; returns the offsets.

        Faust asks twice: when its rebalance is done, and for the poll that the rebalance broke off. Each would cost a commit to the lake.
        """
        return await self._seek(is_once_enough=True)

    async def anew(self) -> Mapping[TP, int]:
        """Seek in any case: a partition was fenced, records were passed over, or Kafka no longer has what was wanted."""
        return await self._seek(is_once_enough=False)

    def note_reading(self) -> None:
        """From here on records are read: positions are not those that were sought."""
        self._found_for = None

    async def _seek(self, is_once_enough: bool) -> Mapping[TP, int]:
        consumer = self._find_consumer()
        self._asked += 1
        own = self._asked
        async with self._lock:
            # In a storm of rebalances several wait here: what began after the last of them had asked serves them all.
            if self._served >= own:
                return self._found
            if is_once_enough and self._found_for is not None and self._found_for is _find_assignment(consumer):
                return self._found
            while not self._is_stopping():
                serving, assigned = self._asked, consumer.assignment()
                starts = await self._ask_lake(assigned)
                if starts is None or consumer.assignment() != assigned:
                    await asyncio.sleep(AGAIN_SECS)
                    continue
                for tp, offset in starts.items():
                    consumer.seek(aiokafka.structs.TopicPartition(tp.topic, tp.partition), offset)
                    self._set_read_offset(tp, offset)
                self._served, self._found, self._found_for = serving, starts, _find_assignment(consumer)
                return starts
        return {}


def _find_assignment(consumer: aiokafka.AIOKafkaConsumer) -> object | None:
    """What holds the positions: aiokafka makes another one in each rebalance, of the same partitions too."""
    subscription = consumer._subscription.subscription
    return subscription.assignment if subscription else None
