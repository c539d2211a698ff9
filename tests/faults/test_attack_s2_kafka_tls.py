"""Attack S2: a broker that cannot prove who it is is told nothing, and nothing that is secret goes over the wire in the clear."""

import base64
import datetime as dt
import ssl
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from pipeline.config import Settings, load_settings
from pipeline.producer import Producer
from pipeline.stream_status import read_stream_status
from pipeline.topics import ensure_topics
from schemas.errors import UnavailableError
from tests.faults.rig.proof import Proof
from tests.faults.wire.recorder import Impostor, RecordingProxy, posing
from tests.secured_kafka import PASSWORD, PROTOCOLS, USER, SecuredStack, choose_settings, listener_port, running_secured_stack
from tests.stream import raw_events

SECRET = "a-payload-that-nobody-may-read"


@dataclass
class Wire:
    """A secured Kafka behind proxies, one for each listener, by which alone clients find it."""

    stack: SecuredStack
    proxies: dict[str, RecordingProxy]

    def settings(self, protocol: str, at: int = 0, **given: Any) -> Settings:
        """Settings of a client of this listener, by its proxy or by another port."""
        name = uuid.uuid4().hex[:12]
        own: dict[str, Any] = {
            "kafka": f"127.0.0.1:{at or self.proxies[protocol].port}",
            "topic_prefix": f"t-{name}-",
            "worker_group": f"t-{name}",
        }
        return load_settings(**self.stack.security(protocol) | own | given)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    folder = tmp_path_factory.mktemp("secured")
    settings = choose_settings(folder)
    with ExitStack() as stack:
        proxies = {protocol: RecordingProxy(listener_port(settings, protocol)) for protocol in PROTOCOLS}
        for proxy in proxies.values():
            stack.callback(proxy.cut)
        ports = {protocol: proxy.port for protocol, proxy in proxies.items()}
        yield Wire(stack.enter_context(running_secured_stack(folder, settings, ports)), proxies)


def send_through(settings: Settings) -> None:
    """Topics are made and a record is sent, as in production."""
    ensure_topics(settings)
    producer = Producer(settings, raw_events(settings))
    producer.send(b"shop/phone", f'{{"event_id": "{SECRET}"}}'.encode())
    producer.flush(60)


def secrets_in(seen: bytes) -> list[str]:
    """What may not be read on the way: the payload, the password, and who uses it."""
    wanted = {"payload": SECRET.encode(), "password": PASSWORD.encode(), "password in base64": base64.b64encode(PASSWORD.encode())}
    return [name for name, text in wanted.items() if text in seen]


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SSL"])
def test_attack_s2_nothing_is_read_on_the_way_through_tls(wire: Wire, proof: Proof, protocol: str) -> None:
    proxy = wire.proxies[protocol]
    proxy.seen.clear()
    send_through(wire.settings(protocol))
    assert len(proxy.seen) > 5000, "everything went this way"
    assert secrets_in(bytes(proxy.seen)) == []
    assert USER.encode() not in proxy.seen
    assert b"raw-events" not in proxy.seen
    proof.note(injections=1, bytes_seen=len(proxy.seen), secrets_seen=0)


def test_attack_s2_without_tls_payload_and_password_are_read_on_the_way_control(wire: Wire, proof: Proof) -> None:
    proxy = wire.proxies["SASL_PLAINTEXT"]
    proxy.seen.clear()
    send_through(wire.settings("SASL_PLAINTEXT"))
    found = secrets_in(bytes(proxy.seen))
    proof.show(f"read on the way: {', '.join(found)}" if {"payload", "password"} <= set(found) else "")


def refusals(settings: Settings) -> list[str]:
    """How each kind of client of ours says that it is not let in: the admin's, the producer's, the consumer's."""

    def refusal(call: Any) -> str:
        with pytest.raises(UnavailableError) as caught:
            call(settings)
        return str(caught.value)

    calls = [ensure_topics, lambda given: Producer(given, raw_events(given)).check_topic(), read_stream_status]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(refusal, calls))


def test_attack_s2_what_is_wrong_is_refused_and_tells_nothing(wire: Wire, proof: Proof) -> None:
    cases: dict[str, Settings] = {
        "another authority": wire.settings("SASL_SSL", kafka_security_ca_file=wire.stack.folder / "other-ca.pem"),
        "wrong password": wire.settings("SASL_SSL", kafka_security_password="guessed"),
        "no client certificate": wire.settings("SSL", kafka_security_cert_file=None, kafka_security_key_file=None),
        # A listener that speaks no TLS, as somebody on the way would like it.
        "downgrade": wire.settings("SASL_SSL", at=wire.proxies["SASL_PLAINTEXT"].port),
    }
    for proxy in wire.proxies.values():
        proxy.seen.clear()
    told = 0
    for name, settings in cases.items():
        for said in refusals(settings):
            assert "HEADWATER_KAFKA" in said, name
            assert "guessed" not in said
            told += 1
    seen = b"".join(bytes(proxy.seen) for proxy in wire.proxies.values())
    assert seen
    assert secrets_in(seen) == []
    assert USER.encode() not in seen
    proof.note(injections=told, kinds=len(cases), secrets_seen=0)


def broker_certificate(authority: trustme.CA, *names: str, **given: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **given).configure_cert(context)
    return context


def call_impostor(wire: Wire, authority: trustme.CA, context: ssl.SSLContext, folder: Path) -> tuple[Impostor, list[str]]:
    """Let every client of ours call a server with this certificate; they trust its authority."""
    authority.cert_pem.write_to_path(folder / "ca.pem")
    with posing(context) as impostor:
        settings = wire.settings("SASL_SSL", at=impostor.port, kafka_security_ca_file=folder / "ca.pem")
        return impostor, refusals(settings)


def test_attack_s2_a_broker_whose_certificate_is_over_or_anothers_is_told_nothing(wire: Wire, tmp_path: Path, proof: Proof) -> None:
    now, authority = dt.datetime.now(dt.UTC), trustme.CA()
    certificates = {
        "expired": broker_certificate(authority, "127.0.0.1", not_before=now - dt.timedelta(days=9), not_after=now - dt.timedelta(days=1)),
        "not yet": broker_certificate(authority, "127.0.0.1", not_before=now + dt.timedelta(days=1), not_after=now + dt.timedelta(days=9)),
        "another host": broker_certificate(authority, "kafka.example.com"),
        "another address": broker_certificate(authority, "127.0.0.2"),
        "another authority": broker_certificate(trustme.CA(), "127.0.0.1"),
    }
    calls = 0
    for name, context in certificates.items():
        impostor, said = call_impostor(wire, authority, context, tmp_path)
        assert impostor.calls >= len(said), name
        assert bytes(impostor.told) == b"", name
        assert all("certificate" in each.lower() and "HEADWATER_KAFKA" in each for each in said), said
        calls += len(said)
    proof.note(injections=calls, kinds=len(certificates), bytes_told=0)


def test_attack_s2_a_broker_with_a_certificate_in_order_is_spoken_to_control(wire: Wire, tmp_path: Path, proof: Proof) -> None:
    authority = trustme.CA()
    impostor, _ = call_impostor(wire, authority, broker_certificate(authority, "127.0.0.1"), tmp_path)
    proof.show(f"a server with a certificate in order was told {len(impostor.told)} bytes" if impostor.told else "")
