"""The lake's offsets decide. Without this guard Kafka's committed offset does, and commits carry no transactions, as in a pipeline without exactly-once."""

from collections.abc import Callable, Sequence
from unittest import mock

import kafka
from kafka import TopicPartition

import pipeline.worker
from agents.land import Candidate, Judge, Landing, Owned, Range, Steps
from pipeline.config import load_settings
from pipeline.stores import kafka_python_options


class UnguardedLanding(Landing):
    """Lands without looking."""

    def take_over(self, candidates: Sequence[Candidate], is_present: Callable[[], bool] = lambda: True) -> Steps:
        yield "before take-over"
        self.owned = {one.position: Owned(0, _committed_in_kafka(self.topic, one), frozenset()) for one in candidates}

    def flush(self, ranges: Sequence[Range], judge: Judge, fenced: list[Range], landed: list[Range]) -> Steps:
        judged = judge(ranges, {one.position: frozenset() for one in ranges})
        for table, name, rows in ((self.dead_letters, "dead_letters", judged.dead), (self.events, "events", judged.events)):
            yield f"before {name} upload"
            uploads = table.upload(rows)
            yield f"after {name} upload"
            yield f"before {name} commit"
            table.refresh()
            table.commit(uploads, {})
            yield f"after {name} commit"
        landed += ranges


def _committed_in_kafka(topic: str, candidate: Candidate) -> int:
    settings = load_settings()
    consumer = kafka.KafkaConsumer(group_id=settings.worker_group, **kafka_python_options(settings))
    try:
        found = consumer.committed(TopicPartition(topic, candidate.position.partition))
    finally:
        consumer.close()
    return candidate.earliest if found is None else int(found)


def remove() -> None:
    mock.patch.object(pipeline.worker, "Landing", UnguardedLanding).start()
