"""What happens to topics under a worker: made anew, cut by retention; and what `headwater status` says of them."""

from typing import Any

from kafka import TopicPartition

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.stream_status import read_stream_status
from pipeline.topic_ids import find_topic
from pipeline.topics import ensure_topics
from tests.stream import raw_events
from tests.worker_process import wait_until


def make_anew(settings: Settings) -> None:
    """Delete the topic, wait until it is gone, and create it again."""
    with open_admin(settings) as admin:
        admin.delete_topics([raw_events(settings)])
        wait_until(lambda: raw_events(settings) not in admin.list_topics(), "the topic is gone")
    ensure_topics(settings)


def delete_records(settings: Settings, before: int) -> None:
    """Remove the records of partition 0 before an offset, as retention does."""
    with open_admin(settings) as admin:
        admin.delete_records({TopicPartition(raw_events(settings), 0): before})


def topic_id(settings: Settings) -> str:
    """Kafka's id of raw-events as it is now."""
    return find_topic(settings, raw_events(settings)).topic_id


def topic_status(settings: Settings) -> dict[str, Any]:
    """What `headwater status --json` says of raw-events."""
    found, *_ = read_stream_status(settings)["topics"]
    return dict(found)
