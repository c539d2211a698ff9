"""Makes the topics of the topology; one that is there is left as it is."""

import contextlib
from typing import Any

from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.topology import TOPICS, Topic, topic_name
from schemas.errors import UnavailableError

MESSAGE_BYTES_MAX = 67_108_864


def ensure_topics(settings: Settings) -> list[str]:
    """Names of the topics that were missing and are there now.

    Raises UnavailableError when Kafka does not answer or refuses.
    """
    with open_admin(settings) as admin:
        try:
            present = set(admin.list_topics())
            missing = [topic for topic in TOPICS if topic_name(settings, topic) not in present]
            if missing:
                _create(admin, settings, missing)
        except KafkaError as error:
            raise UnavailableError(
                f"Kafka at '{settings.kafka_servers}' (HEADWATER_KAFKA) did not make the topics ({type(error).__name__}: {error}); expected "
                "leave to create topics with HEADWATER_TOPIC_PARTITIONS and HEADWATER_TOPIC_REPLICATION as they are. Change these, or have "
                f"Kafka's keeper create {', '.join(topic_name(settings, topic) for topic in TOPICS)}."
            ) from None
    return [topic_name(settings, topic) for topic in missing]


def topic_config(settings: Settings, topic: Topic) -> dict[str, str]:
    """A topic's configuration: the broker's append time drives dedup and the lake's folders; oversized messages come in to be set aside."""
    config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(MESSAGE_BYTES_MAX)}
    if topic.is_compacted:
        return config | {"cleanup.policy": "compact"}
    return config | {"cleanup.policy": "delete", "retention.ms": str(int(settings.topic_retention_hours * 3_600_000))}


def _create(admin: Any, settings: Settings, topics: list[Topic]) -> None:
    wanted = [
        NewTopic(
            topic_name(settings, topic),
            num_partitions=settings.topic_partitions,
            replication_factor=settings.topic_replication,
            topic_configs=topic_config(settings, topic),
        )
        for topic in topics
    ]
    # Somebody else may make one between our look and our call; the others are made all the same.
    with contextlib.suppress(TopicAlreadyExistsError):
        admin.create_topics(wanted, wait_for_metadata=True)
