"""The topics that Headwater makes: append time, sizes, retention; what is there is left alone."""

from typing import Any
from unittest import mock

import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaConnectionError

from pipeline.config import Settings, load_settings
from pipeline.kafka_admin import open_admin
from pipeline.producer import Producer
from pipeline.stores import confluent_options
from pipeline.topics import ensure_topics, topic_config
from pipeline.topology import RAW_EVENTS, SEGMENT_MEMBERSHIP, topic_name
from schemas.errors import UnavailableError


def test_records_carry_the_brokers_time_and_may_be_large(settings: Settings, topics: list[str]) -> None:
    name = topic_name(settings, RAW_EVENTS)
    assert name in topics
    producer = Producer(settings, name)
    producer.send(b"key", b"x" * 20_000_000)
    producer.flush()
    consumer = Consumer(confluent_options(settings) | {"group.id": "look", "enable.auto.commit": False, "fetch.max.bytes": 80_000_000})
    try:
        consumer.assign([TopicPartition(name, partition, 0) for partition in range(settings.topic_partitions)])
        message = consumer.poll(30)
        assert message is not None
        assert not message.error()
        assert len(message.value() or b"") == 20_000_000
        assert message.timestamp()[0] == 2, "LogAppendTime"
    finally:
        consumer.close()


def test_a_topic_that_is_there_is_left_as_it_is(settings: Settings) -> None:
    name = topic_name(settings, RAW_EVENTS)
    with open_admin(settings) as admin:
        admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)], wait_for_metadata=True)
        made = ensure_topics(settings)
        assert name not in made
        assert len(made) == 4
        assert ensure_topics(settings) == []
        partitions = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics([name, *made])}
        assert partitions == {name: 1} | dict.fromkeys(made, settings.topic_partitions)


def test_state_topics_are_compacted_and_the_others_expire(settings: Settings) -> None:
    assert topic_config(settings, SEGMENT_MEMBERSHIP)["cleanup.policy"] == "compact"
    expiring = topic_config(settings.model_copy(update={"topic_retention_hours": 0.5}), RAW_EVENTS)
    assert (expiring["cleanup.policy"], expiring["retention.ms"]) == ("delete", "1800000")


def test_a_kafka_that_does_not_answer_is_named_with_its_setting() -> None:
    with pytest.raises(UnavailableError, match=r"Kafka at '127\.0\.0\.1:1' \(HEADWATER_KAFKA\)"):
        ensure_topics(load_settings(kafka="127.0.0.1:1"))


def refuse(times: int) -> Any:
    """kafka-python's client, which finds the broker that it has drawn away so often: a cluster names one that is gone for seconds after its end."""
    left, list_topics = iter(range(times)), KafkaAdminClient.list_topics

    def list_or_refuse(admin: KafkaAdminClient) -> Any:
        if next(left, None) is not None:
            raise KafkaConnectionError("111 ECONNREFUSED")
        return list_topics(admin)

    return mock.patch.object(KafkaAdminClient, "list_topics", list_or_refuse)


def test_another_broker_is_asked_when_the_first_one_is_away(settings: Settings) -> None:
    with refuse(times=3):
        assert len(ensure_topics(settings)) == 5
    assert ensure_topics(settings) == []


def test_brokers_that_are_all_away_do_not_answer_and_are_not_said_to_refuse(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.topics.ANSWER_SECS_MAX", 0.5)
    with refuse(times=1000), pytest.raises(UnavailableError, match=r"does not answer \(KafkaConnectionError: .*ECONNREFUSED"):
        ensure_topics(settings)
