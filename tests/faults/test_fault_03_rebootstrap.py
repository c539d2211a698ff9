"""Row 3: a consumer that knows only brokers that are gone finds the cluster again, which aiokafka's own does not. A row of a full run found it."""

import asyncio

import aiokafka.consumer.consumer
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import BrokerMetadata, TopicPartition

from pipeline.config import Settings
from pipeline.rebootstrap import RebootstrappingClient
from tests.api_process import free_port
from tests.faults.rig.proof import Proof
from tests.stream import events, raw_events, send

SECS_MAX = 10


async def read_stranded(settings: Settings, wanted: int) -> int:
    """Records that a consumer gets to whom the last broker has named one alone, which is gone. Raises TimeoutError unless it gets so many."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_servers, auto_offset_reset="earliest")
    partitions = [TopicPartition(raw_events(settings), number) for number in range(settings.topic_partitions)]
    consumer.assign(partitions)
    await consumer.start()
    try:
        client = consumer._client
        client.cluster._brokers = {7: BrokerMetadata(7, "127.0.0.1", free_port(), None)}
        for connection in list(client._conns.values()):
            connection.close()
        got = 0
        async with asyncio.timeout(SECS_MAX):
            while got < wanted:
                await consumer.getmany(timeout_ms=200)
                # By its positions: where a worker ran in this process before, a poll gives chunks of records.
                got = sum([await consumer.position(partition) for partition in partitions])
        return got
    finally:
        await consumer.stop()


def test_fault_03_a_client_whose_brokers_are_all_gone_asks_the_bootstrap_servers_again(
    settings: Settings, topics: list[str], monkeypatch: pytest.MonkeyPatch, proof: Proof
) -> None:
    monkeypatch.setattr(aiokafka.consumer.consumer, "AIOKafkaClient", RebootstrappingClient)
    send(settings, events(5))
    assert asyncio.run(read_stranded(settings, 5)) == 5
    proof.note(injections=1)


def test_fault_03_a_client_whose_brokers_are_all_gone_control(
    settings: Settings, topics: list[str], monkeypatch: pytest.MonkeyPatch, proof: Proof
) -> None:
    monkeypatch.setattr(aiokafka.consumer.consumer, "AIOKafkaClient", AIOKafkaClient)
    send(settings, events(5))
    with pytest.raises(TimeoutError):
        asyncio.run(read_stranded(settings, 5))
    proof.show(f"nothing was read within {SECS_MAX} s, nor would it be")
