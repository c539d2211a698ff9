"""Kafka's admin client, opened and closed: topics, configuration, the cluster."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.kafka_answer import require_answer, unavailable
from pipeline.stores import kafka_python_options

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

    Raises UnavailableError when no server answers, SettingError for security settings that cannot be used.
    """
    options = kafka_python_options(settings)
    # kafka-python leaves a thread behind when it cannot connect, and does not say what TLS or SASL objected to, so it is asked last.
    servers = settings.kafka_servers.split(",")
    failures = [failure for server in servers if (failure := _find_failure(server.strip()))]
    if len(failures) == len(servers):
        raise unavailable(settings, "; ".join(failures))
    require_answer(settings)
    try:
        return KafkaAdminClient(bootstrap_timeout_ms=BOOTSTRAP_SECS_MAX * 1000, **options)
    except KafkaError as error:
        raise unavailable(settings, f"{type(error).__name__}: {error}") from None


def _find_failure(server: str) -> str:
    """Why a server accepts no connection; '' when it does."""
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECS_MAX).close()
    except (OSError, ValueError) as error:
        return f"{server}: {error}"
    return ""
