"""Settings made into the things that touch S3 and Kafka: the one place that knows which key opens what."""

import ssl
from typing import Any

from pydantic import SecretStr

from pipeline.config import Settings
from schemas.errors import SettingError
from sinks.store import Store


def build_store(settings: Settings, is_reader: bool = False) -> Store:
    """The S3 store of the lake; with `is_reader`, under the read-only key where there is one.

    Raises SettingError for half a key.
    """
    _require_whole("S3", settings.s3_access_key_id, settings.s3_secret_access_key)
    _require_whole("S3_READER", settings.s3_reader_access_key_id, settings.s3_reader_secret_access_key)
    if settings.s3_is_local:
        role = "reader" if is_reader else "writer"
        return Store(
            endpoint=f"http://127.0.0.1:{settings.s3_port}",
            region=settings.s3_region,
            bucket=settings.s3_bucket,
            access_key_id=settings.s3_access_key_id or settings.local_secret("s3", role, "access_key_id"),
            secret_access_key=settings.s3_secret_access_key.get_secret_value() or settings.local_secret("s3", role, "secret_access_key"),
            is_local=True,
        )
    if is_reader and settings.s3_reader_access_key_id:
        key, secret, token = settings.s3_reader_access_key_id, settings.s3_reader_secret_access_key.get_secret_value(), ""
    else:
        key = settings.s3_access_key_id
        secret, token = settings.s3_secret_access_key.get_secret_value(), settings.s3_session_token.get_secret_value()
    return Store(settings.s3_endpoint, settings.s3_region, settings.s3_bucket, key, secret, token)


def kafka_python_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for kafka-python's clients.

    Raises SettingError for security settings that cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_servers.split(","),
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": build_ssl_context(settings),
    }
    login = sasl_login(settings)
    if login:
        options |= {"sasl_mechanism": login[0], "sasl_plain_username": login[1], "sasl_plain_password": login[2]}
    return options


def confluent_options(settings: Settings) -> dict[str, Any]:
    """Configuration of confluent-kafka's clients.

    Raises SettingError for security settings that cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_servers,
        # librdkafka prints every retry to standard error; what fails for good is raised.
        "log_level": 0,
        "security.protocol": settings.kafka_security_protocol,
    }
    # Opened here only so that a file that is wrong is named by its setting.
    if build_ssl_context(settings):
        files = {
            "ssl.ca.location": settings.kafka_security_ca_file,
            "ssl.certificate.location": settings.kafka_security_cert_file,
            "ssl.key.location": settings.kafka_security_key_file or settings.kafka_security_cert_file,
        }
        options |= {name: str(path) for name, path in files.items() if path}
    login = sasl_login(settings)
    if login:
        options |= {"sasl.mechanism": login[0], "sasl.username": login[1], "sasl.password": login[2]}
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
        # As soon as workers see partitions that were added: by its key a record belongs to one under the new number of them.
        "topic.metadata.refresh.interval.ms": 5_000,
        "linger.ms": 20,
        "message.max.bytes": 64_000_000,
        "queue.buffering.max.messages": 500_000,
        "queue.buffering.max.kbytes": 262_144,
    }


def build_ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """How a client in Python speaks TLS to the brokers; None when it does not.

    Raises SettingError for a file that is not there or is not what its setting says.
    """
    if not settings.kafka_security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.kafka_security_ca_file)
    except OSError as error:
        raise _file_error("CA", settings.kafka_security_ca_file, f"certificates ({error})", "ca.pem") from None
    # As librdkafka and Java have it: Python 3.13 refuses authorities that lack what many of one's own making lack.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    cert_file, key_file = settings.kafka_security_cert_file, settings.kafka_security_key_file
    if key_file and not cert_file:
        raise _file_error(
            "CERT", cert_file, f"the client's certificate, since HEADWATER_KAFKA_SECURITY_KEY_FILE is '{key_file}'", "client.pem"
        )
    if cert_file:
        try:
            # Without a password given here OpenSSL would ask the terminal for one.
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            expected = f"the client's certificate, with its key, not encrypted, there or in HEADWATER_KAFKA_SECURITY_KEY_FILE ('{key_file or ''}') ({error})"
            raise _file_error("CERT", cert_file, expected, "client.pem") from None
    return context


def sasl_login(settings: Settings) -> tuple[str, str, str] | None:
    """Mechanism, user and password for the brokers; None when the protocol has no SASL.

    Raises SettingError when one of them is missing.
    """
    protocol = settings.kafka_security_protocol
    if not protocol.startswith("SASL"):
        return None
    user, password = settings.kafka_security_username, settings.kafka_security_password.get_secret_value()
    for name, value in (("USERNAME", user), ("PASSWORD", password)):
        if not value:
            raise SettingError(
                f"KAFKA_SECURITY_{name}",
                "",
                f"the SASL {name.lower()}, since HEADWATER_KAFKA_SECURITY_PROTOCOL is '{protocol}', for example headwater",
            )
    return settings.kafka_security_mechanism, user, password


def describe_security(settings: Settings) -> str:
    """What the brokers are shown, and by which settings; secrets by name only."""
    said = [f"{settings.kafka_security_protocol} (HEADWATER_KAFKA_SECURITY_PROTOCOL)"]
    if settings.kafka_security_protocol.startswith("SASL"):
        said += [
            f"know user '{settings.kafka_security_username}' (HEADWATER_KAFKA_SECURITY_USERNAME)",
            f"by the password (HEADWATER_KAFKA_SECURITY_PASSWORD) and {settings.kafka_security_mechanism} (HEADWATER_KAFKA_SECURITY_MECHANISM)",
        ]
    if settings.kafka_security_protocol.endswith("SSL"):
        authority = settings.kafka_security_ca_file or "the system's authorities"
        said.append(f"have a certificate for their host signed by '{authority}' (HEADWATER_KAFKA_SECURITY_CA_FILE)")
        shown = settings.kafka_security_cert_file
        said.append(f"take the client certificate '{shown or ''}' (HEADWATER_KAFKA_SECURITY_CERT_FILE)")
    return ", ".join(said)


def _file_error(which: str, path: object, expected: str, example: str) -> SettingError:
    return SettingError(f"KAFKA_SECURITY_{which}_FILE", path or "", f"a PEM file of {expected}, for example /etc/kafka/{example}")


def _require_whole(name: str, access_key_id: str, secret_access_key: SecretStr) -> None:
    secret = secret_access_key.get_secret_value()
    if access_key_id and not secret:
        raise SettingError(
            f"{name}_SECRET_ACCESS_KEY", "", f"the secret of HEADWATER_{name}_ACCESS_KEY_ID, for example from a secret store"
        )
    if secret and not access_key_id:
        raise SettingError(f"{name}_ACCESS_KEY_ID", "", f"the key that HEADWATER_{name}_SECRET_ACCESS_KEY belongs to, for example AKIA...")
