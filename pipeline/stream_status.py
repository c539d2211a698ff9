"""Where the stream stands: lag, freshness, lake version and gaps, from Kafka and the lake alone (no worker is asked)."""

import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import kafka
import kafka.errors
from kafka import TopicPartition

from agents.land import Position
from pipeline.config import Settings
from pipeline.landed import Landed, read_landed
from pipeline.stores import build_store, confluent_options, kafka_python_options
from pipeline.topic_ids import TopicState, look_up_topics
from pipeline.topology import LANDING_STREAMS, LANDING_TABLES, topic_name
from schemas.errors import UnavailableError
from schemas.tables import load_table
from sinks.lake import LakeTable

PEEK_SECS_MAX = 5.0


def read_stream_status(settings: Settings, is_fresh_wanted: bool = True) -> dict[str, Any]:
    """Status of every landing stream.

    {"topics": [{"topic", "table", "lake_version", "lag", "freshness_seconds", "partitions": [{"partition", "first_offset",
    "next_offset", "end_offset", "lag"}], "gaps": [{"topic_id", "partition", "start", "end", "is_present_topic"}], "ended_topics":
    [{"topic_id", "partitions": [{"partition", "next_offset"}]}]}]}. `lag` counts offsets; `ended_topics` had the same name and
    were made anew: what of them had not landed is lost;
    `freshness_seconds` is the age of the oldest record that has not landed, 0 when all have; `lake_version` is null before
    the first worker ran. Without `is_fresh_wanted`, freshness is null and no record is read for it.

    Raises UnavailableError when Kafka or the store does not answer.
    """
    names = {topic_name(settings, stream.topic): stream.table for stream in LANDING_STREAMS}
    states = look_up_topics(settings, names)
    lake = {table: _read_lake(settings, table) for table in LANDING_TABLES}
    try:
        consumer = kafka.KafkaConsumer(enable_auto_commit=False, group_id=None, **kafka_python_options(settings))
    except kafka.errors.KafkaError as error:
        raise UnavailableError(
            f"Kafka at '{settings.kafka_servers}' (HEADWATER_KAFKA) does not answer ({error}); start it, or name another."
        ) from error
    try:
        topics = [_read_topic(consumer, name, table, states[name], *lake[table]) for name, table in names.items() if name in states]
    finally:
        consumer.close()
    for topic in topics:
        waiting = {TopicPartition(topic["topic"], row["partition"]): row["next_offset"] for row in topic["partitions"] if row["lag"]}
        topic["freshness_seconds"] = _age_of_oldest(settings, waiting) if is_fresh_wanted else None
    return {"topics": topics}


def _read_topic(
    consumer: Any, name: str, table: str, state: TopicState, lake_version: int | None, in_table: list[Landed]
) -> dict[str, Any]:
    """All of a topic but its freshness. The table may have landed other topics too."""
    landed = [one for one in in_table if one.topic == name or one.position.topic_id == state.topic_id]
    rows = list(_read_partitions(consumer, name, state, {one.position: one for one in landed}))
    return {
        "topic": name,
        "table": table,
        "lake_version": lake_version,
        "lag": sum(row["lag"] for row in rows),
        "freshness_seconds": None,
        "partitions": rows,
        "gaps": [
            {
                "topic_id": gap.position.topic_id,
                "partition": gap.position.partition,
                "start": gap.start,
                "end": gap.end,
                "is_present_topic": gap.position.topic_id == state.topic_id,
            }
            for one in landed
            for gap in one.gaps
        ],
        "ended_topics": _ended_topics(state, landed),
    }


def _ended_topics(state: TopicState, landed: list[Landed]) -> list[dict[str, Any]]:
    """Topics that had this name and landed here; also one whose successor no worker has met yet."""
    ended: dict[str, list[dict[str, int]]] = {}
    for one in landed:
        if one.position.topic_id != state.topic_id:
            ended.setdefault(one.position.topic_id, []).append({"partition": one.position.partition, "next_offset": one.wanted})
    return [{"topic_id": topic_id, "partitions": partitions} for topic_id, partitions in ended.items()]


def _read_lake(settings: Settings, table: str) -> tuple[int | None, list[Landed]]:
    lake_table = LakeTable(build_store(settings, is_reader=True), load_table(table))
    if not lake_table.exists():
        return None, []
    lake_table.refresh()
    return lake_table.version(), read_landed(table, lake_table.transactions())


def _read_partitions(consumer: Any, name: str, state: TopicState, landed: dict[Position, Landed]) -> Iterator[dict[str, int]]:
    partitions = [TopicPartition(name, partition) for partition in range(state.partition_count)]
    earliest, latest = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    for partition in partitions:
        one = landed.get(Position(state.topic_id, partition.partition))
        next_offset = one.wanted if one else earliest[partition]
        end_offset = latest[partition]
        yield {
            "partition": partition.partition,
            "first_offset": earliest[partition],
            "next_offset": next_offset,
            "end_offset": end_offset,
            "lag": max(0, end_offset - max(next_offset, earliest[partition])),
        }


def _age_of_oldest(settings: Settings, waiting: dict[TopicPartition, int]) -> float:
    """Age of the oldest record at these offsets, by its append time. librdkafka reads every codec; kafka-python lacks some."""
    if not waiting:
        return 0.0
    consumer = confluent_kafka.Consumer(confluent_options(settings) | {"group.id": "headwater-status", "enable.auto.commit": False})
    seen: dict[int, int] = {}
    try:
        consumer.assign(
            [confluent_kafka.TopicPartition(partition.topic, partition.partition, offset) for partition, offset in waiting.items()]
        )
        end = time.monotonic() + PEEK_SECS_MAX
        while len(seen) < len(waiting) and time.monotonic() < end:
            message = consumer.poll(0.2)
            if message is not None and not message.error():
                topic, partition = str(message.topic()), int(message.partition() or 0)
                seen.setdefault(partition, message.timestamp()[1])
                consumer.pause([confluent_kafka.TopicPartition(topic, partition)])
    finally:
        consumer.close()
    return round(max(0.0, time.time() - min(seen.values()) / 1000), 3) if seen else PEEK_SECS_MAX
