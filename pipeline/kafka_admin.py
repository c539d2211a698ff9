"""Kafka's admin client, opened and closed: topics, configuration, the cluster."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.stores import kafka_python_options
from schemas.errors import UnavailableError

CONNECT_SECS_MAX = 5
BOOTSTRAP_SECS_MAX = 15


@contextmanager
def open_admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """An admin client for the time of a `with` block.

    Raises UnavailableError when no server answers; what Kafka refuses later is a KafkaError.
    """
    admin = connect_admin(settings)
    try:
        yield admin
    finally:
        admin.close()


def connect_admin(settings: Settings) -> KafkaAdminClient:
    """A connected admin client; its caller closes it.

    Raises UnavailableError when no server answers.
    """
    # kafka-python leaves a thread that tries for ever behind when it cannot connect, so it is asked only once somebody listens.
    servers = settings.kafka_servers.split(",")
    failures = [failure for server in servers if (failure := _find_failure(server.strip()))]
    if len(failures) == len(servers):
        raise _unavailable(settings, "; ".join(failures))
    try:
        return KafkaAdminClient(bootstrap_timeout_ms=BOOTSTRAP_SECS_MAX * 1000, **kafka_python_options(settings))
    except KafkaError as error:
        raise _unavailable(settings, f"{type(error).__name__}: {error}") from None


def _find_failure(server: str) -> str:
    """Why a server accepts no connection; '' when it does."""
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECS_MAX).close()
    except (OSError, ValueError) as error:
        return f"{server}: {error}"
    return ""


def _unavailable(settings: Settings, why: str) -> UnavailableError:
    return UnavailableError(
        f"Kafka at '{settings.kafka_servers}' (HEADWATER_KAFKA) does not answer ({why}); expected host:port of running brokers and the right "
        "HEADWATER_KAFKA_SECURITY_* settings. Start it ('headwater up' starts the local one), or name another."
    )
