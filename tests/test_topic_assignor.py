"""Partitions of several topics shared out among workers: evenly of each topic, and staying where they are."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition

from pipeline.topic_assignor import TopicStickyAssignor


def shares(assignor: Any, owned: dict[str, list[tuple[str, int]]]) -> dict[str, list[tuple[str, int]]]:
    """Who gets which partitions of two topics with four each, after members that owned these."""
    topics = ["raw-events", "rejected-events"]
    cluster = SimpleNamespace(topics=lambda: set(topics), partitions_for_topic=lambda topic: set(range(4)) if topic in topics else None)
    members = {member: assignor._metadata(topics, [TopicPartition(*place) for place in places], 1) for member, places in owned.items()}
    found = assignor.assign(cluster, members)
    return {member: [(topic, number) for topic, numbers in share.assignment for number in numbers] for member, share in found.items()}


def test_a_worker_that_joins_gets_half_of_each_topic_and_the_others_keep_theirs() -> None:
    alone = {"a": [(topic, number) for topic in ("raw-events", "rejected-events") for number in range(4)], "b": []}
    joined = shares(TopicStickyAssignor, alone)
    per_topic = {member: Counter(topic for topic, _ in places) for member, places in joined.items()}
    assert per_topic == {member: {"raw-events": 2, "rejected-events": 2} for member in "ab"}
    assert set(joined["a"]) | set(joined["b"]) == set(alone["a"])
    again = shares(TopicStickyAssignor, joined | {"c": []})
    for member in "ab":
        assert set(again[member]) <= set(joined[member])
    assert shares(TopicStickyAssignor, joined) == joined
    # The control: counted over both topics, the one who joins gets all of one of them.
    plain = shares(StickyPartitionAssignor, alone)
    assert {len({topic for topic, _ in places}) for places in plain.values()} == {1}
