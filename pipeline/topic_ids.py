"""Kafka's id of a topic: it changes when the topic is made anew, which is how a worker notices."""

import base64
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import kafka.errors

from pipeline.config import Settings
from pipeline.kafka_admin import connect_admin
from schemas.errors import UnavailableError

UNKNOWN_TOPIC = kafka.errors.UnknownTopicOrPartitionError.errno


@dataclass(frozen=True)
class TopicState:
    """A topic as Kafka has it now. `topic_id` is its UUID in 22 characters, as Kafka's own tools print it."""

    topic_id: str
    partition_count: int


class TopicIds:
    """Looks topics up, through one connection that is made again when it breaks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: Any = None

    def look_up(self, topics: Collection[str]) -> dict[str, TopicState]:
        """State of those of the topics that exist.

        Raises UnavailableError when Kafka does not answer.
        """
        try:
            if self._admin is None:
                self._admin = connect_admin(self._settings)
            found = self._admin.describe_topics(list(topics))
        except kafka.errors.KafkaError as error:
            self.close()
            raise UnavailableError(
                f"Kafka at '{self._settings.kafka_servers}' (HEADWATER_KAFKA) does not answer ({error}); start it, or name another."
            ) from error
        known = [topic for topic in found if topic["error_code"] != UNKNOWN_TOPIC]
        for topic in known:
            if topic["error_code"]:
                why = kafka.errors.for_code(topic["error_code"]).__name__
                raise UnavailableError(f"Kafka at '{self._settings.kafka_servers}' does not say what topic '{topic['name']}' is ({why}).")
        return {topic["name"]: TopicState(_encode_id(topic["topic_id"]), len(topic["partitions"])) for topic in known}

    def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()


def _encode_id(topic_id: uuid.UUID | str) -> str:
    return base64.urlsafe_b64encode(uuid.UUID(str(topic_id)).bytes).decode().rstrip("=")


def look_up_topics(settings: Settings, topics: Collection[str]) -> dict[str, TopicState]:
    """State of those of the topics that exist, for who asks once.

    Raises UnavailableError when Kafka does not answer.
    """
    ids = TopicIds(settings)
    try:
        return ids.look_up(topics)
    finally:
        ids.close()


def find_topic(settings: Settings, topic: str) -> TopicState:
    """The topic as Kafka has it now.

    Raises UnavailableError when there is none, or no answer.
    """
    states = look_up_topics(settings, [topic])
    if topic not in states:
        raise UnavailableError(
            f"Kafka at '{settings.kafka_servers}' has no topic '{topic}'; make it (headwater up makes all of Headwater's)."
        )
    return states[topic]
