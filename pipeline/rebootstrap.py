"""A Kafka client that asks the bootstrap servers again when no broker that it knows answers.

What a client knows of a cluster is what a broker told it last. Asked while the others were coming back, it may have named itself alone; when it
dies before the client asks again, aiokafka goes on asking it for ever, although two brokers of three are there. Java's clients do this since
Kafka 3.8 (KIP-899).
"""

import logging
from collections.abc import Collection
from typing import Any

import aiokafka.consumer.consumer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.structs import BrokerMetadata

log = logging.getLogger(__name__)


def install() -> None:
    """Let every consumer of this process have it."""
    aiokafka.consumer.consumer.AIOKafkaClient = RebootstrappingClient


class RebootstrappingClient(AIOKafkaClient):  # type: ignore[misc]
    """aiokafka's; where its metadata cannot be had from the brokers that it knows, from those of its configuration."""

    def __init__(self, **configs: Any) -> None:
        super().__init__(**configs)
        self.cluster = _Cluster(metadata_max_age_ms=self._metadata_max_age_ms, bootstrap_servers=self._bootstrap_servers)

    async def _metadata_update(self, cluster_metadata: ClusterMetadata, topics: Collection[str] | None) -> bool:
        if await super()._metadata_update(cluster_metadata, topics):
            return True
        log.warning("No broker that Kafka named last answers; asking the bootstrap servers again.")
        self.cluster.is_lost = True
        try:
            found: bool = await super()._metadata_update(cluster_metadata, topics)
            return found
        finally:
            self.cluster.is_lost = False


class _Cluster(ClusterMetadata):  # type: ignore[misc]
    """While it `is_lost`, its brokers are those of the configuration."""

    is_lost = False

    def brokers(self) -> set[BrokerMetadata]:
        found: set[BrokerMetadata] = set(self._bootstrap_brokers.values()) if self.is_lost else super().brokers()
        return found
