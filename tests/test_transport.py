"""What a foreign producer may write: transactions, aborted ones among them, and times of its own. The worker reads it as it is meant."""

import time
from datetime import UTC, datetime
from pathlib import Path

import confluent_kafka
from kafka.admin import NewTopic

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.stores import confluent_options, producer_options
from tests.stream import Record, audit, event, events, landed_count, landed_ids, raw_events, rows, send
from tests.worker_process import WorkerProcess, running, wait_until

# Kafka itself refuses what is more than an hour ahead.
HALF_AN_HOUR_MS = 30 * 60 * 1000


def create_foreign_topic(settings: Settings) -> None:
    """One partition, whose times are the producers' own."""
    with open_admin(settings) as admin:
        topic = NewTopic(raw_events(settings), 1, 1, topic_configs={"message.timestamp.type": "CreateTime"})
        admin.create_topics([topic], wait_for_metadata=True)


def send_in_transaction(settings: Settings, records: list[Record], is_committed: bool) -> None:
    """One transaction with these records."""
    producer = begin_transaction(settings, records)
    if is_committed:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def begin_transaction(settings: Settings, records: list[Record]) -> confluent_kafka.Producer:
    """A transaction with these records in partition 0, which stays open."""
    producer = confluent_kafka.Producer(producer_options(settings) | {"transactional.id": raw_events(settings)})
    producer.init_transactions(30)
    producer.begin_transaction()
    for key, value in records:
        producer.produce(raw_events(settings), value, key, partition=0)
    assert producer.flush(30) == 0
    return producer


def read_uncommitted(settings: Settings) -> list[bytes]:
    """Values that the topic holds, those of aborted transactions among them: what a reader without isolation takes for events."""
    options = {"group.id": "uncommitted", "isolation.level": "read_uncommitted", "enable.partition.eof": True}
    consumer = confluent_kafka.Consumer(confluent_options(settings) | options)
    consumer.assign([confluent_kafka.TopicPartition(raw_events(settings), 0, 0)])
    values: list[bytes] = []
    try:
        while (message := consumer.poll(30)) is not None and not message.error():
            values.append(message.value() or b"")
    finally:
        consumer.close()
    return values


def test_aborted_transactions_do_not_land_their_offsets_are_holes_and_no_future_time_is_believed(
    settings: Settings, tmp_path: Path
) -> None:
    create_foreign_topic(settings)
    before_ms = int(time.time() * 1000)
    send_in_transaction(settings, events(3, "committed"), is_committed=True)
    send_in_transaction(settings, events(4, "aborted"), is_committed=False)
    send(settings, [event("future")], timestamp=before_ms + HALF_AN_HOUR_MS)
    send(settings, [event("past")], timestamp=before_ms - HALF_AN_HOUR_MS)
    send_in_transaction(settings, events(2, "late"), is_committed=True)
    with running(WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3")):
        wait_until(lambda: landed_count(settings) == 7, "the committed records")
        # Nothing of the aborted ones comes later either: what was sent after this has landed.
        send(settings, [event("last")])
        wait_until(lambda: landed_count(settings) == 8, "the last record")
    assert sorted(landed_ids(settings)) == ["committed-0", "committed-1", "committed-2", "future", "last", "late-0", "late-1", "past"]
    # Three markers and four aborted records; without isolation these four would have landed.
    found = audit(settings)
    assert found["is_clean"], found
    assert (found["consumed"], found["holes"], sum(one["next_offset"] for one in found["partitions"])) == (8, 7, 15)
    assert [b'"aborted-' in value for value in read_uncommitted(settings)].count(True) == 4
    appended = dict(rows(settings, columns=["event_id", "_appended_at"]))
    assert appended["past"] == datetime.fromtimestamp((before_ms - HALF_AN_HOUR_MS) / 1000, UTC)
    assert before_ms <= appended["future"].timestamp() * 1000 <= time.time() * 1000
