"""Kafka's end offsets of the topic endpoint-updates, asked again and again through connections that are made anew when they break."""

from collections.abc import Mapping
from typing import Any

import kafka
import kafka.errors
from kafka import TopicPartition

from agents.land import Position
from pipeline.config import Settings
from pipeline.kafka_answer import unavailable
from pipeline.stores import kafka_python_options
from pipeline.topic_ids import TopicIds
from pipeline.topology import ENDPOINT_UPDATES, topic_name


class EndOffsets:
    """Asks for the end offsets of the partitions that hold records. In one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._topic = settings, topic_name(settings, ENDPOINT_UPDATES)
        self._ids = TopicIds(settings)
        self._consumer: Any = None

    def ask(self) -> Mapping[Position, int]:
        """Of each partition with records the offset after its last; empty when there is no such topic.

        Raises UnavailableError when Kafka does not answer.
        """
        try:
            state = self._ids.look_up([self._topic]).get(self._topic)
            if state is None:
                return {}
            if self._consumer is None:
                self._consumer = kafka.KafkaConsumer(enable_auto_commit=False, group_id=None, **kafka_python_options(self._settings))
            partitions = [TopicPartition(self._topic, partition) for partition in range(state.partition_count)]
            firsts, ends = self._consumer.beginning_offsets(partitions), self._consumer.end_offsets(partitions)
        except kafka.errors.KafkaError as error:
            self.close()
            raise unavailable(self._settings, f"{type(error).__name__}: {error}") from error
        # An empty partition has nothing that could land, whatever was in it once.
        return {Position(state.topic_id, each.partition): ends[each] for each in partitions if firsts[each] < ends[each]}

    def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        self._ids.close()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


def ask_end_offsets(settings: Settings) -> Mapping[Position, int]:
    """The same for who asks once.

    Raises UnavailableError when Kafka does not answer.
    """
    ends = EndOffsets(settings)
    try:
        return ends.ask()
    finally:
        ends.close()
