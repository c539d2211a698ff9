"""Makes the topics of the topology, and adds partitions to those that are there when HEADWATER_TOPIC_PARTITIONS asks for more."""

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kafka.admin import NewTopic
from kafka.errors import InvalidPartitionsError, KafkaConnectionError, KafkaError, NodeNotReadyError, TopicAlreadyExistsError

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.kafka_answer import unavailable
from pipeline.topology import TOPICS, Topic, topic_name
from schemas.errors import SettingError, UnavailableError

log = logging.getLogger(__name__)
T = TypeVar("T")

# As long as Kafka needs to notice that a broker is gone.
ANSWER_SECS_MAX = 15
MESSAGE_BYTES_MAX = 67_108_864


def ensure_topics(settings: Settings, say: Callable[[str], None] = log.info) -> list[str]:
    """Names of the topics that were missing and are there now; `say` is told of each that got more partitions.

    Partitions are added only when HEADWATER_TOPIC_PARTITIONS is set: a default is no wish that a topic of somebody else's grow.
    A topic that has more than the setting says keeps them, so that a worker with the setting of yesterday still starts.

    Raises UnavailableError when Kafka does not answer or refuses.
    """
    try:
        return _ask_any_broker(settings, lambda admin: _ensure_topics(admin, settings, say))
    except KafkaError as error:
        raise UnavailableError(
            f"Kafka at '{settings.kafka_servers}' (HEADWATER_KAFKA) did not make the topics ({type(error).__name__}: {error}); expected "
            "leave to create topics with HEADWATER_TOPIC_PARTITIONS and HEADWATER_TOPIC_REPLICATION as they are. Change these, or have "
            f"Kafka's keeper create {', '.join(topic_name(settings, topic) for topic in TOPICS)}."
        ) from None


def _ensure_topics(admin: Any, settings: Settings, say: Callable[[str], None]) -> list[str]:
    present = set(admin.list_topics())
    missing = [topic for topic in TOPICS if topic_name(settings, topic) not in present]
    if missing:
        _create(admin, settings, missing)
    for name, count in _count_partitions(admin, settings).items():
        if count < settings.topic_partitions:
            _grow(admin, name, settings.topic_partitions)
            say(f"Topic '{name}' has {settings.topic_partitions} partitions now; it had {count}.")
    return [topic_name(settings, topic) for topic in missing]


def _ask_any_broker(settings: Settings, ask: Callable[[Any], T]) -> T:
    """What `ask` has of an admin client.

    A client sends each request to one broker, and gives up when that one is away though the cluster has others: for some seconds after its end
    a broker is still among those that Kafka names. The next client draws another.

    Raises UnavailableError when none answers, KafkaError when Kafka refuses.
    """
    end = time.monotonic() + ANSWER_SECS_MAX
    while True:
        try:
            with open_admin(settings) as admin:
                return ask(admin)
        except (KafkaConnectionError, NodeNotReadyError) as error:
            if time.monotonic() > end:
                raise unavailable(settings, f"{type(error).__name__}: {error}") from None
        time.sleep(0.2)


def require_partitions_kept(settings: Settings) -> None:
    """See that HEADWATER_TOPIC_PARTITIONS, where it is set, asks no topic for fewer partitions than it has.

    Raises SettingError when it does, UnavailableError when Kafka does not answer.
    """
    try:
        counts = _ask_any_broker(settings, lambda admin: _count_partitions(admin, settings))
    except KafkaError as error:
        raise UnavailableError(
            f"Kafka at '{settings.kafka_servers}' (HEADWATER_KAFKA) does not say what topics it has ({type(error).__name__}: {error})."
        ) from None
    for name, count in counts.items():
        if count > settings.topic_partitions:
            raise SettingError(
                "TOPIC_PARTITIONS",
                settings.topic_partitions,
                f"{count} or more, since topic '{name}' has {count} partitions and Kafka cannot take any away; unset it to keep them, or raise it, for example {count}",
            )


def _count_partitions(admin: Any, settings: Settings) -> dict[str, int]:
    """Partitions of each topic that the setting speaks of: none when it is not set, and none that is compacted.

    The key decides the partition, and compaction keeps the newest value of a key in each partition: in a state topic that grew,
    an old value would stand in the old partition for ever.
    """
    if "topic_partitions" not in settings.model_fields_set:
        return {}
    names = [topic_name(settings, topic) for topic in TOPICS if not topic.is_compacted]
    return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(names) if not topic["error_code"]}


def _grow(admin: Any, name: str, count: int) -> None:
    # Somebody else may have added them between our look and our call.
    with contextlib.suppress(InvalidPartitionsError):
        admin.create_partitions({name: count}, timeout_ms=10_000)


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
