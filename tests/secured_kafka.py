"""A stack whose Kafka also listens as servers of one's own do: SASL without TLS, SASL over TLS, and TLS with client certificates."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from pipeline.config import Settings, load_settings
from pipeline.kafka_admin import open_admin
from pipeline.stack import programs
from tests.conftest import free_port_offset, running_stack

PROTOCOLS = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
USER = "headwater"
PASSWORD = "sword; fish = 100% #1"


@dataclass(frozen=True)
class SecuredStack:
    """`settings` reach it as the local stack, without security; `folder` holds ca.pem, other-ca.pem, client.pem and client.key."""

    settings: Settings
    folder: Path

    def security(self, protocol: str) -> dict[str, Any]:
        """The settings that a client of this listener needs, by lower-case name."""
        found: dict[str, Any] = {"kafka": f"127.0.0.1:{self.port(protocol)}", "kafka_security_protocol": protocol}
        if protocol.startswith("SASL"):
            mechanism = "PLAIN" if protocol == "SASL_PLAINTEXT" else "SCRAM-SHA-512"
            found |= {"kafka_security_mechanism": mechanism, "kafka_security_username": USER, "kafka_security_password": PASSWORD}
        if protocol.endswith("SSL"):
            found["kafka_security_ca_file"] = self.folder / "ca.pem"
        if protocol == "SSL":
            found |= {
                "kafka_security_cert_file": self.folder / "client.pem",
                "kafka_security_key_file": self.folder / "client.key",
            }
        return found

    def port(self, protocol: str) -> int:
        return listener_port(self.settings, protocol)


def choose_settings(folder: Path) -> Settings:
    """Settings of a secured stack that does not run yet, on free ports."""
    return load_settings(home=folder / "home", port_offset=free_port_offset(), local_workers=0)


@contextmanager
def running_secured_stack(
    folder: Path, settings: Settings | None = None, advertised: Mapping[str, int] | None = None
) -> Iterator[SecuredStack]:
    """Kafka and S3 for the time of a `with` block: the local stack's programs, Kafka's configuration longer by three listeners.

    `settings` are of `choose_settings`; `advertised` are other ports at which clients shall find a listener, by protocol.
    """
    settings = settings or choose_settings(folder)
    _write_certificates(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "TEMPLATES", _write_templates(folder, settings, advertised or {}))
        with running_stack(settings):
            with open_admin(settings) as admin:
                admin.alter_user_scram_credentials(
                    [UserScramCredentialUpsertion(USER, ScramMechanism.SCRAM_SHA_512, iterations=4096, password=PASSWORD.encode())]
                )
            yield SecuredStack(settings, folder)


def listener_port(settings: Settings, protocol: str) -> int:
    """Ports that an offset of twenty leaves free between Kafka's and its controller's."""
    return settings.kafka_port + 1 + PROTOCOLS.index(protocol)


def _write_certificates(folder: Path) -> None:
    """The brokers' authority and what it signed; the broker's key as PKCS 8, the only form that Kafka reads. And a stranger's authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.pem")
    broker = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(broker.private_key_pem.bytes(), None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "broker.pem").write_bytes(key + b"".join(certificate.bytes() for certificate in broker.cert_chain_pems))
    client = authority.issue_cert("headwater@example.com")
    client.private_key_pem.write_to_path(folder / "client.key")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")


def _write_templates(folder: Path, settings: Settings, advertised: Mapping[str, int]) -> Path:
    """The stack's templates, Kafka's with the listeners; of a name that is given twice Kafka takes the last."""
    templates = folder / "templates"
    templates.mkdir()
    for template in programs.TEMPLATES.glob("*.properties"):
        (templates / template.name).write_text(template.read_text())
    listeners = "".join(f",{protocol}://127.0.0.1:{listener_port(settings, protocol)}" for protocol in PROTOCOLS)
    shown = "".join(f",{protocol}://127.0.0.1:{advertised.get(protocol, listener_port(settings, protocol))}" for protocol in PROTOCOLS)
    names = ",".join(f"{protocol}:{protocol}" for protocol in PROTOCOLS)
    with (templates / "kafka.properties").open("a") as file:
        file.write(
            f"""
listeners=PLAINTEXT://127.0.0.1:${{kafka_port}},CONTROLLER://127.0.0.1:${{controller_port}}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:${{kafka_port}}{shown}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{names}
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder / "broker.pem"}
ssl.truststore.type=PEM
ssl.truststore.location={folder / "ca.pem"}
"""
        )
    return templates
