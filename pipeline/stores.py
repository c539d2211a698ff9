"""Settings made into the things that touch S3 and Kafka: the one place that knows which key opens what."""

from typing import Any

from pipeline.config import Settings
from sinks.store import Store


def build_store(settings: Settings, is_reader: bool = False) -> Store:
    """The S3 store of the lake; with `is_reader`, under the read-only key where there is one."""
    if settings.s3_is_local:
        role = "reader" if is_reader else "writer"
        return Store(
            endpoint=f"http://127.0.0.1:{settings.s3_port}",
            region=settings.s3_region,
            bucket=settings.s3_bucket,
            access_key_id=settings.s3_access_key_id or settings.local_secret("s3", role, "access_key_id"),
            secret_access_key=settings.s3_secret_access_key.get_secret_value() or settings.local_secret("s3", role, "secret_access_key"),
        )
    if is_reader and settings.s3_reader_access_key_id:
        key, secret, token = settings.s3_reader_access_key_id, settings.s3_reader_secret_access_key.get_secret_value(), ""
    else:
        key = settings.s3_access_key_id
        secret, token = settings.s3_secret_access_key.get_secret_value(), settings.s3_session_token.get_secret_value()
    return Store(settings.s3_endpoint, settings.s3_region, settings.s3_bucket, key, secret, token)


def kafka_python_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for kafka-python's clients."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_servers.split(","),
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options |= {
            "ssl_cafile": _path(settings.kafka_security_ca_file),
            "ssl_certfile": _path(settings.kafka_security_cert_file),
            "ssl_keyfile": _path(settings.kafka_security_key_file),
        }
    if settings.kafka_security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.kafka_security_mechanism,
            "sasl_plain_username": settings.kafka_security_username,
            "sasl_plain_password": settings.kafka_security_password.get_secret_value(),
        }
    return options


def confluent_options(settings: Settings) -> dict[str, Any]:
    """Configuration of confluent-kafka's clients."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_servers,
        # librdkafka prints every retry to standard error; what fails for good is raised.
        "log_level": 0,
        "security.protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        files = {
            "ssl.ca.location": settings.kafka_security_ca_file,
            "ssl.certificate.location": settings.kafka_security_cert_file,
            "ssl.key.location": settings.kafka_security_key_file,
        }
        options |= {name: str(path) for name, path in files.items() if path}
    if settings.kafka_security_protocol.startswith("SASL"):
        options |= {
            "sasl.mechanism": settings.kafka_security_mechanism,
            "sasl.username": settings.kafka_security_username,
            "sasl.password": settings.kafka_security_password.get_secret_value(),
        }
    return options


def producer_options(settings: Settings) -> dict[str, Any]:
    """Configuration of every producer of ours: acknowledged by all replicas, in order, nothing twice, Java's partitioner.

    The partitioner matters: a resend meets its first copy only in the same partition, and librdkafka's default is another one.
    """
    return confluent_options(settings) | {
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 20,
        "message.max.bytes": 64_000_000,
        "queue.buffering.max.messages": 500_000,
        "queue.buffering.max.kbytes": 262_144,
    }


def _path(path: object) -> str | None:
    return str(path) if path else None
