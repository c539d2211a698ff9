"""Which worker of the group reads which partitions: of each topic an even share, and partitions stay where they are."""

from collections.abc import Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyAssignmentExecutor, StickyPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class TopicStickyAssignor(StickyPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types.
    """aiokafka's sticky assignor, topic by topic.

    Over all topics at once it counts partitions alone: a worker that joins one with four partitions of each of two topics then gets all
    four of an idle topic and none of the busy one. It keeps the name and the messages of the other, so that workers of both kinds
    can be in one group; whoever leads it decides.
    """

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        known = {member: cls.parse_member_metadata(metadata) for member, metadata in members.items()}
        shares: dict[str, list[tuple[str, list[int]]]] = {member: [] for member in members}
        for topic in sorted({topic for one in known.values() for topic in one.subscription}):
            readers = {
                member: one._replace(subscription=[topic], partitions=[place for place in one.partitions if place.topic == topic])
                for member, one in known.items()
                if topic in one.subscription
            }
            executor = StickyAssignmentExecutor(_OneTopic(cluster, topic), readers)
            executor.perform_initial_assignment()
            executor.balance()
            for member in readers:
                shares[member] += executor.get_final_assignment(member)
        return {member: ConsumerProtocolMemberAssignment(cls.version, share, b"") for member, share in shares.items()}


class _OneTopic:
    """The cluster as if it had this topic alone: what the executor asks of it."""

    def __init__(self, cluster: ClusterMetadata, topic: str) -> None:
        self._cluster, self._topic = cluster, topic

    def topics(self) -> set[str]:
        return {self._topic} if self.partitions_for_topic(self._topic) is not None else set()

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        found: set[int] | None = self._cluster.partitions_for_topic(topic)
        return found
