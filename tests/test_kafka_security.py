"""Kafka of one's own, which wants to know who asks: everything works through TLS and SASL, and what is refused is named by its setting."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion
from prometheus_client import CollectorRegistry

from pipeline.config import Settings, load_settings
from pipeline.kafka_admin import connect_admin, open_admin
from pipeline.metrics import WorkerMetrics
from pipeline.producer import Producer
from pipeline.stack.keys import load_keys
from pipeline.stack.readiness import ensure_bucket, is_listening
from pipeline.stores import confluent_options, kafka_python_options
from pipeline.stream_status import read_stream_status
from pipeline.topics import ensure_topics
from pipeline.topology import TOPICS, topic_name
from pipeline.worker import build_app, build_worker
from schemas.errors import SettingError, UnavailableError
from tests.conftest import headwater
from tests.secured_kafka import PROTOCOLS, SecuredStack, running_secured_stack
from tests.stream import events, landed_count, lines, raw_events
from tests.worker_process import WorkerProcess, running, wait_until

pytestmark = pytest.mark.attack("S2")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredStack]:
    with running_secured_stack(tmp_path_factory.mktemp("secured")) as stack:
        yield stack


@pytest.fixture
def build(secured: SecuredStack, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a machine that has neither Kafka nor S3, only their addresses and keys: build("SASL_SSL", kafka_security_username="x")."""

    def build(protocol: str, **overrides: Any) -> Settings:
        name, key = uuid.uuid4().hex[:12], load_keys(secured.settings)["s3"]["writer"]
        settings: dict[str, Any] = {
            "home": tmp_path / "home",
            "port_offset": secured.settings.port_offset,
            "s3_endpoint": f"http://127.0.0.1:{secured.settings.s3_port}",
            "s3_access_key_id": key["access_key_id"],
            "s3_secret_access_key": key["secret_access_key"],
            "s3_bucket": f"t-{name}",
            "topic_prefix": f"t-{name}-",
            "worker_group": f"t-{name}",
        }
        found = load_settings(**settings | secured.security(protocol) | overrides)
        ensure_bucket(found)
        return found

    return build


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_events_are_sent_land_and_are_counted_through_a_listener_of_each_kind(
    protocol: str, build: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = build(protocol)
    assert len(ensure_topics(settings)) == len(TOPICS)
    worker = WorkerProcess(settings, tmp_path)
    with running(worker):
        simulated = headwater(settings, "simulate", "--users", "10", "--days", "1", "--dirty", "0", "--json")
        assert simulated.returncode == 0, simulated.stderr
        producer = Producer(settings, raw_events(settings))
        for key, value in events(50):
            producer.send(key, value)
        producer.flush()
        sent = producer.acknowledged + json.loads(simulated.stdout)["acknowledged"]
        assert sent > 50
        wait_until(lambda: landed_count(settings) == sent, "all have landed")
        topic, *_ = json.loads(headwater(settings, "status", "--json").stdout)["stream"]["topics"]
        assert (topic["topic"], topic["lag"], topic["freshness_seconds"]) == (raw_events(settings), 0, 0)
        assert sum(partition["next_offset"] for partition in topic["partitions"]) == sent
        assert worker.stop() == 0, worker.log.read_text()


def test_control_without_the_security_settings_nobody_gets_in(build: Callable[..., Settings], secured: SecuredStack) -> None:
    bare = [load_settings(kafka=build(protocol).kafka) for protocol in PROTOCOLS]
    with ThreadPoolExecutor() as pool:
        for settings, error in zip(bare, pool.map(_refusal_of_admin, bare), strict=True):
            assert f"'{settings.kafka}' (HEADWATER_KAFKA)" in error
            assert "PLAINTEXT (HEADWATER_KAFKA_SECURITY_PROTOCOL)" in error
    assert ensure_topics(secured.settings) == [], "the very same broker answers at its open listener"


def _cases() -> Iterator[Any]:
    """A listener, a setting that is wrong there, what the broker or TLS says, and the name that the error must give."""
    password: dict[str, Any] = {"kafka_security_password": "guessed"}
    yield pytest.param("SASL_PLAINTEXT", password, "Authentication failed", "HEADWATER_KAFKA_SECURITY_PASSWORD", id="password, PLAIN")
    yield pytest.param("SASL_SSL", password, "Authentication failed", "HEADWATER_KAFKA_SECURITY_PASSWORD", id="password, SCRAM")
    mechanism = {"kafka_security_mechanism": "SCRAM-SHA-256"}
    yield pytest.param(
        "SASL_SSL", mechanism, "Unsupported SASL mechanism", "SCRAM-SHA-256 (HEADWATER_KAFKA_SECURITY_MECHANISM)", id="mechanism"
    )
    authority = {"kafka_security_ca_file": "other-ca.pem"}
    for protocol in ("SASL_SSL", "SSL"):
        yield pytest.param(
            protocol,
            authority,
            "certificate verify failed",
            "other-ca.pem' (HEADWATER_KAFKA_SECURITY_CA_FILE)",
            id=f"authority, {protocol}",
        )
    nobody = {"kafka_security_cert_file": None, "kafka_security_key_file": None}
    yield pytest.param(
        "SSL", nobody, "certificate required", "client certificate '' (HEADWATER_KAFKA_SECURITY_CERT_FILE)", id="no certificate"
    )


@pytest.mark.parametrize(("protocol", "wrong", "reason", "named"), list(_cases()))
def test_what_is_refused_is_said_in_finite_time_and_names_the_setting(
    protocol: str, wrong: dict[str, Any], reason: str, named: str, build: Callable[..., Settings], secured: SecuredStack
) -> None:
    settings = build(protocol, **_in_folder(secured, wrong))
    with ThreadPoolExecutor() as pool:
        refusals = [pool.submit(refusal, settings) for refusal in (_refusal_of_admin, _refusal_of_producer, _refusal_of_status)]
    for error in (refusal.result() for refusal in refusals):
        assert reason in error
        assert named in error
        assert f"'{settings.kafka}' (HEADWATER_KAFKA)" in error
        assert "guessed" not in error, "a password is never shown, not even a wrong one"


def test_a_worker_that_is_refused_says_so_in_its_log_and_goes_on_once_it_is_not(
    build: Callable[..., Settings], secured: SecuredStack, tmp_path: Path
) -> None:
    name = uuid.uuid4().hex
    stranger = WorkerProcess(build("SASL_SSL", kafka_security_username=name, kafka_security_password=f"of-{name}"), tmp_path)
    misled = WorkerProcess(build("SASL_SSL", **_in_folder(secured, {"kafka_security_ca_file": "other-ca.pem"})), tmp_path, number=1)
    with running(stranger, misled):
        wait_until(lambda: len(_waits(misled, "certificate verify failed", "HEADWATER_KAFKA_SECURITY_CA_FILE")) > 1, "it said so twice")
        wait_until(lambda: bool(_waits(stranger, "Authentication failed", "HEADWATER_KAFKA_SECURITY_PASSWORD")), "it said so")
        with open_admin(secured.settings) as admin:
            admin.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password=f"of-{name}".encode())]
            )
        wait_until(lambda: is_listening(stranger.metrics_port), "it works")
        assert stranger.stop() == 0, stranger.log.read_text()
        assert misled.is_running
        assert f"of-{name}" not in stranger.log.read_text()


def test_a_refused_producer_that_sends_all_the_same_says_why_nothing_arrives(build: Callable[..., Settings]) -> None:
    settings = build("SASL_SSL", kafka_security_password="guessed")
    producer = Producer(settings, topic_name(settings, TOPICS[0]))
    producer.send(b"key", b"value")
    with pytest.raises(UnavailableError, match=r"not acknowledged 1 of 1 .* after 2 s \(.*Authentication failed"):
        producer.flush(2)


def test_a_certificate_and_its_key_may_lie_in_one_file(build: Callable[..., Settings], secured: SecuredStack, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes((secured.folder / "client.pem").read_bytes() + (secured.folder / "client.key").read_bytes())
    settings = build("SSL", kafka_security_cert_file=both, kafka_security_key_file=None)
    assert len(ensure_topics(settings)) == len(TOPICS)
    Producer(settings, raw_events(settings)).check_topic()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are what their names say."""
    folder = tmp_path_factory.mktemp("files")
    authority = trustme.CA()
    client, other = authority.issue_cert("a@example.com"), authority.issue_cert("b@example.com")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    other.private_key_pem.write_to_path(folder / "another.key")
    (folder / "words.pem").write_text("these are words")
    key = load_pem_private_key(client.private_key_pem.bytes(), None)
    (folder / "locked.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"locked")))
    return folder


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("CA_FILE", {"ca_file": "absent.pem"}),
        ("CA_FILE", {"ca_file": "words.pem"}),
        ("CERT_FILE", {"cert_file": "absent.pem"}),
        ("CERT_FILE", {"cert_file": "client.pem", "key_file": "absent.key"}),
        ("CERT_FILE", {"cert_file": "client.pem", "key_file": "another.key"}),
        ("CERT_FILE", {"cert_file": "client.pem", "key_file": "locked.key"}),
        ("CERT_FILE", {"cert_file": "client.pem"}),
        ("CERT_FILE", {"key_file": "another.key"}),
        ("USERNAME", {"protocol": "SASL_SSL", "password": "secret"}),
        ("PASSWORD", {"protocol": "SASL_SSL", "username": "headwater"}),
    ],
    ids=str,
)
def test_a_setting_that_no_broker_could_take_is_refused_before_one_is_asked(name: str, given: dict[str, str], files: Path) -> None:
    said = {"protocol": "SSL", "ca_file": "ca.pem"} | given
    settings = load_settings(
        **{f"kafka_security_{key}": str(files / value) if key.endswith("_file") else value for key, value in said.items()}
    )
    for build_client in (kafka_python_options, confluent_options, build_app, connect_admin):
        with pytest.raises(SettingError) as caught:
            build_client(settings)
        assert caught.value.name == f"KAFKA_SECURITY_{name}"


def test_a_worker_whose_home_cannot_be_made_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"Setting 'HEADWATER_HOME' is '.*/file/home'.* for example \.headwater"):
        build_worker(load_settings(home=tmp_path / "file" / "home"), WorkerMetrics(CollectorRegistry()))


def test_the_command_line_ends_with_status_2_for_such_a_setting(files: Path, tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, kafka_security_protocol="SSL", kafka_security_ca_file=files / "absent.pem")
    done = headwater(settings, "simulate", "--users", "1")
    assert (done.returncode, "Setting 'HEADWATER_KAFKA_SECURITY_CA_FILE' is '" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def _waits(worker: WorkerProcess, *words: str) -> list[str]:
    """Lines of its log in which it waits for Kafka and says these words."""
    return lines(worker.log, "Waiting", "for Kafka", *words)


def _in_folder(secured: SecuredStack, wrong: dict[str, Any]) -> dict[str, Any]:
    return {name: secured.folder / value if name.endswith("_file") and value else value for name, value in wrong.items()}


def _refusal_of_admin(settings: Settings) -> str:
    with pytest.raises(UnavailableError) as caught:
        ensure_topics(settings)
    return str(caught.value)


def _refusal_of_producer(settings: Settings) -> str:
    with pytest.raises(UnavailableError) as caught:
        Producer(settings, raw_events(settings)).check_topic()
    return str(caught.value)


def _refusal_of_status(settings: Settings) -> str:
    with pytest.raises(UnavailableError) as caught:
        read_stream_status(settings)
    return str(caught.value)
