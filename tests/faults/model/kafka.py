"""Kafka in memory: one topic whose partitions are lists, and a group that says who reads which."""

from dataclasses import dataclass, field

from pipeline.topic_ids import TopicState

TOPIC = "raw-events"
HOLE = -1


class OutOfRangeError(Exception):
    """The offset lies before the log's start or beyond its end."""


@dataclass
class PartitionLog:
    """A record is its serial number; HOLE is a marker, or a record that was aborted or compacted away."""

    start: int = 0
    entries: list[int] = field(default_factory=list)
    compacted: set[int] = field(default_factory=set)

    @property
    def end(self) -> int:
        return len(self.entries)

    def fetch(self, offset: int, count_max: int) -> list[int]:
        if not self.start <= offset <= self.end:
            raise OutOfRangeError
        return self.entries[offset : offset + count_max]

    def compact(self, offset: int) -> None:
        self.entries[offset] = HOLE
        self.compacted.add(offset)


class Kafka:
    """The topic under its one name; those before it are kept, to be held against the lake."""

    def __init__(self, partition_count: int) -> None:
        self.topics: list[list[PartitionLog]] = [[PartitionLog() for _ in range(partition_count)]]
        self.assigned: dict[int, frozenset[int]] = {}
        self.is_tail_lost = False
        self._serial = 0

    @property
    def partitions(self) -> list[PartitionLog]:
        return self.topics[-1]

    @property
    def topic_id(self) -> str:
        return f"topic-{len(self.topics)}"

    def make_anew(self) -> None:
        self.topics.append([PartitionLog() for _ in self.partitions])

    def produce(self, partition: int, is_hole: bool = False) -> None:
        self._serial += 1
        self.partitions[partition].entries.append(HOLE if is_hole else self._serial)

    def look_up(self, topics: object) -> dict[str, TopicState]:
        """As TopicIds answers."""
        return {TOPIC: TopicState(self.topic_id, len(self.partitions))}

    def log_of(self, topic_id: str, partition: int) -> PartitionLog:
        return self.topics[int(topic_id.removeprefix("topic-")) - 1][partition]
