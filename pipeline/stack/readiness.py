"""Asks Kafka and S3 whether they answer, as their clients do."""

import socket
from typing import Any

import botocore.exceptions
from kafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.stores import build_store
from schemas.errors import SettingError, UnavailableError


def answers_kafka(settings: Settings) -> bool:
    """Whether Kafka describes its cluster with a broker in it."""
    if not is_listening(settings.kafka_port):
        return False
    try:
        with open_admin(settings) as admin:
            return bool(admin.describe_cluster()["brokers"])
    except (KafkaError, UnavailableError):
        return False


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
    """Make the bucket of the lake when it is not there.

    Raises SettingError when the store does not take the bucket's name.
    """
    client: Any = build_store(settings).client()
    if settings.s3_bucket in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        return
    try:
        client.create_bucket(Bucket=settings.s3_bucket)
    except (botocore.exceptions.ClientError, botocore.exceptions.ParamValidationError) as error:
        raise SettingError("S3_BUCKET", settings.s3_bucket, f"a name that S3 takes for a bucket ({error}), for example headwater") from None


def is_listening(port: int) -> bool:
    """Whether something accepts connections at this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
