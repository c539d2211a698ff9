"""Asks Kafka and S3 whether they answer, as their clients do."""

import logging
import socket
from typing import Any

import botocore.exceptions
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.stores import build_store, kafka_python_options


def answers_kafka(settings: Settings) -> bool:
    """Whether Kafka describes its cluster with a broker in it."""
    if not is_listening(settings.kafka_port):
        return False
    log = logging.getLogger("kafka")
    level = log.level
    log.setLevel(logging.CRITICAL)  # Refused connections are what we ask about; they are no news.
    try:
        admin = KafkaAdminClient(**kafka_python_options(settings))
        try:
            return bool(admin.describe_cluster()["brokers"])
        finally:
            admin.close()
    except KafkaError:
        return False
    finally:
        log.setLevel(level)


def answers_s3(settings: Settings) -> bool:
    """Whether S3 lists its buckets under the writer's key."""
    if not is_listening(settings.s3_port):
        return False
    try:
        build_store(settings).client().list_buckets()
    except botocore.exceptions.BotoCoreError:
        return False
    return True


def ensure_bucket(settings: Settings) -> None:
    """Make the bucket of the lake when it is not there."""
    client: Any = build_store(settings).client()
    if settings.s3_bucket not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=settings.s3_bucket)


def is_listening(port: int) -> bool:
    """Whether something accepts connections at this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
