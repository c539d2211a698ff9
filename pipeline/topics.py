"""Makes the topics of the topology; one that is there is left as it is."""

import contextlib
from typing import Any

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipeline.config import Settings
from pipeline.stores import kafka_python_options
from pipeline.topology import TOPICS, Topic, topic_name
from schemas.errors import UnavailableError

MESSAGE_BYTES_MAX = 67_108_864


def ensure_topics(settings: Settings) -> list[str]:
    """Names of the topics that were missing and are there now.

    Raises UnavailableError when Kafka does not answer or refuses.
    """
    try:
        admin = KafkaAdminClient(**kafka_python_options(settings))
        try:
            present = set(admin.list_topics())
            missing = [topic for topic in TOPICS if topic_name(settings, topic) not in present]
            if missing:
                _create(admin, settings, missing)
            return [topic_name(settings, topic) for topic in missing]
        finally:
            admin.close()
    except KafkaError as error:
        raise UnavailableError(
            f"Kafka at {settings.kafka_servers} did not make the topics ({type(error).__name__}: {error}); expected a broker that answers and "
            "lets us create topics. See that it runs (headwater status) and HEADWATER_KAFKA, or have its keeper create them."
        ) from None


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
