"""What a topic holds, read from its first record to its last."""

from collections.abc import Iterator

import confluent_kafka


def read_all(servers: str, topic: str, partitions: set[int]) -> Iterator[confluent_kafka.Message]:
    """What these partitions hold by now."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, "group.id": "ledger", "enable.auto.commit": False})
    try:
        for partition in partitions:
            place = confluent_kafka.TopicPartition(topic, partition)
            start, end = consumer.get_watermark_offsets(place, timeout=60)
            consumer.assign([confluent_kafka.TopicPartition(topic, partition, start)])
            offset = start - 1
            while offset + 1 < end:
                message = consumer.poll(60)
                assert message is not None, f"partition {partition} cannot be read beyond offset {offset}"
                assert message.error() is None, message.error()
                offset = int(message.offset() or 0)
                yield message
    finally:
        consumer.close()
