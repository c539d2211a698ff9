"""The store under keys that come and go: botocore's chain, rotation in mid-run, no key at all; and bodies that are altered on the way."""

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.session
import pytest
import trustme

from pipeline.config import Settings, load_settings
from pipeline.stack.keys import load_keys
from pipeline.stores import build_store
from schemas.errors import SettingError, UnavailableError
from schemas.tables import load_table
from sinks.imports import FinishedImport, Imports
from sinks.lake import LakeTable, Upload
from sinks.store import Store
from tests.conftest import RunHeadwater
from tests.lake_rows import as_arrow, event
from tests.stream import events, landed_ids, lines, send
from tests.worker_process import WorkerProcess, running, wait_until

EVENTS = load_table("events")
STRANGER = {"access_key_id": "STRANGER", "secret_access_key": "guessed"}


class Chain:
    """botocore's credential chain of this process and its children: empty, until a test fills it. `role` is writer, reader or stranger.

    The reader stands for a key that was withdrawn in part: the store knows it and lets it write nothing. The stranger for one that ended.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.keys: dict[str, dict[str, str]] = load_keys(settings)["s3"] | {"stranger": STRANGER}
        self.config, self._answer = folder / "aws-config", folder / "answer.json"
        self._endpoint, self._bucket = f"http://127.0.0.1:{settings.s3_port}", settings.s3_bucket

    def start_process(self) -> None:
        """From now on keys come from a credential_process, which answers what `say` says."""
        self.config.write_text(f"[default]\ncredential_process = cat '{self._answer}'\n")

    def say(self, role: str, secs: float = 60) -> None:
        """Rotate. botocore asks anew for a key that ends within ten minutes, so each use of it is a question."""
        answer = {
            "Version": 1,
            "AccessKeyId": self.keys[role]["access_key_id"],
            "SecretAccessKey": self.keys[role]["secret_access_key"],
            "Expiration": (datetime.now(UTC) + timedelta(seconds=secs)).isoformat(),
        }
        draft = self._answer.with_suffix(".draft")
        draft.write_text(json.dumps(answer))
        draft.replace(self._answer)

    def store(self) -> Store:
        """A store whose keys are the chain's."""
        return Store(self._endpoint, "", self._bucket)

    def pinned_store(self, role: str) -> Store:
        key = self.keys[role]
        return Store(self._endpoint, "", self._bucket, key["access_key_id"], key["secret_access_key"])


@pytest.fixture
def chain(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    found = Chain(settings, tmp_path)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(found.config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return found


def test_keys_come_from_the_environment_when_no_setting_names_one(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", chain.keys["writer"]["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", chain.keys["writer"]["secret_access_key"])
    table = LakeTable(chain.store(), EVENTS)
    table.ensure()
    table.commit(_upload(table, "one"), {"kafka": 1})
    assert _ids(table) == ["one"]


def test_keys_of_the_settings_win_over_the_chain(settings: Settings, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", STRANGER["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", STRANGER["secret_access_key"])
    assert build_store(settings).credentials().access_key_id == chain.keys["writer"]["access_key_id"]


def test_a_session_token_goes_along(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    store = chain.store()
    assert store.credentials().session_token == store.delta_options()["AWS_SESSION_TOKEN"] == store.s3fs_options()["token"] == "token"


def test_a_table_takes_up_the_key_that_is_in_force_and_commits_go_on(chain: Chain) -> None:
    chain.start_process()
    chain.say("writer")
    table = LakeTable(chain.store(), EVENTS)
    table.ensure()
    uploads = _upload(table, "one")

    chain.say("reader")
    table.refresh()
    with pytest.raises(botocore.exceptions.ClientError):
        _upload(table, "two")
    with pytest.raises(OSError, match="Generic S3 error"):
        table.commit(uploads, {"kafka": 1})

    chain.say("writer")
    # The control: an upload goes through again, a commit on a handle that nobody opened anew does not.
    uploads += _upload(table, "two")
    with pytest.raises(OSError, match="Generic S3 error"):
        table.commit(uploads, {"kafka": 1})
    table.refresh()
    assert (table.version(), table.committed("kafka")) == (0, None)
    table.commit(uploads, {"kafka": 1})
    table.refresh()
    assert (table.version(), table.committed("kafka"), _ids(table)) == (1, 1, ["one", "two"])


def test_control_a_handle_that_stays_with_the_old_key_fails_for_ever(chain: Chain) -> None:
    chain.start_process()
    chain.say("writer")
    table = LakeTable(chain.store(), EVENTS)
    table.ensure()
    uploads = _upload(table, "one")
    chain.say("reader")
    table.refresh()
    table.store = chain.pinned_store("reader")
    chain.say("writer")
    for _ in range(2):
        table.refresh()
        with pytest.raises(OSError, match="Generic S3 error"):
            table.commit(uploads, {"kafka": 1})


def test_a_key_that_rotates_while_the_store_refuses_is_taken_up_once_it_does_not(chain: Chain) -> None:
    chain.start_process()
    chain.say("reader")
    LakeTable(chain.pinned_store("writer"), EVENTS).ensure()
    table = LakeTable(chain.store(), EVENTS)
    table.refresh()
    chain.say("stranger")
    # A handle that could not be opened must not count as opened: twice, since the second look was where it did.
    for _ in range(2):
        with pytest.raises(UnavailableError, match="refuses the key"):
            table.refresh()
    chain.say("writer")
    table.refresh()
    table.commit(_upload(table, "one"), {"kafka": 1})
    table.refresh()
    assert _ids(table) == ["one"]


def test_an_import_is_recorded_once_whatever_keys_come_in_between(chain: Chain) -> None:
    chain.start_process()
    chain.say("writer")
    row = FinishedImport("hash", "x.ndjson", None, None, 3, 2, 1, 0, "keep", datetime(2026, 11, 23, tzinfo=UTC))
    imports = Imports(chain.store())
    assert imports.find("hash") is None
    chain.say("reader")
    with pytest.raises(UnavailableError, match="took no row for 1 finished imports"):
        imports.record([row])
    chain.say("stranger")
    with pytest.raises(UnavailableError, match="cannot be read"):
        imports.find("hash")
    chain.say("writer")
    for _ in range(2):
        imports.record([row])
    assert imports.find("hash") == row
    assert imports.table.dataset().count_rows() == 1


def test_a_worker_waits_out_a_key_that_may_not_write_and_lands_all_under_the_next(
    settings: Settings, topics: list[str], chain: Chain, tmp_path: Path
) -> None:
    chain.start_process()
    chain.say("writer")
    of_ones_own = load_settings(
        home=tmp_path / "worker",
        port_offset=settings.port_offset,
        kafka=settings.kafka_servers,
        s3_endpoint=f"http://127.0.0.1:{settings.s3_port}",
        s3_bucket=settings.s3_bucket,
        topic_prefix=settings.topic_prefix,
        worker_group=settings.worker_group,
    )
    assert topics
    worker = WorkerProcess(of_ones_own, tmp_path)
    with running(worker):
        send(settings, events(10, "before"))
        wait_until(lambda: len(landed_ids(settings)) == 10, "the first have landed")
        chain.say("reader")
        send(settings, events(10, "meanwhile"))
        wait_until(lambda: bool(lines(worker.log, "Waiting", "PutObject")), "the store has refused")
        assert len(landed_ids(settings)) == 10
        chain.say("writer")
        wait_until(lambda: len(landed_ids(settings)) == 20, "all have landed")
        assert worker.stop() == 0, worker.log.read_text()
    assert set(landed_ids(settings).values()) == {1}


def _use(store: Store) -> dict[str, Callable[[], object]]:
    """Everything that asks a store for its key."""
    table = LakeTable(store, EVENTS)
    return {
        "credentials": store.credentials,
        "client": store.client,
        "put": lambda: store.put("key", b"body"),
        "get": lambda: store.get("key"),
        "delta_options": store.delta_options,
        "s3fs_options": store.s3fs_options,
        "exists": table.exists,
        "ensure": table.ensure,
        "refresh": table.refresh,
        "dataset": table.dataset,
    }


@pytest.mark.parametrize(
    ("why", "config", "environment"),
    [
        ("credential chain is empty", "", {}),
        ("No such file", "[default]\ncredential_process = cat /nowhere/at/all\n", {}),
        ("profile .nobody. could not be found", "", {"AWS_PROFILE": "nobody"}),
        ("Partial credentials found in env", "", {"AWS_ACCESS_KEY_ID": "key"}),
    ],
    ids=["empty", "process fails", "no such profile", "half a key"],
)
def test_no_key_is_one_error_wherever_it_is_missed(
    why: str, config: str, environment: dict[str, str], chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.config.write_text(config)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for call in _use(chain.store()).values():
        with pytest.raises(
            UnavailableError, match=rf"(?i)No S3 key was found: HEADWATER_S3_ACCESS_KEY_ID is not set, .*{why}.*set the key"
        ):
            call()


def test_a_key_that_is_renewed_and_has_ended_all_the_same_is_no_key(chain: Chain) -> None:
    chain.start_process()
    chain.say("writer", secs=-5)
    with pytest.raises(UnavailableError, match=r"No S3 key was found: .*still expired"):
        chain.store().credentials()


def test_status_and_sql_say_that_there_is_no_key(chain: Chain, settings: Settings, topics: list[str], run_headwater: RunHeadwater) -> None:
    assert topics
    assert not chain.config.exists()
    endpoint = f"http://127.0.0.1:{settings.s3_port}"
    status = run_headwater("status", "--json", kafka=settings.kafka_servers, s3_endpoint=endpoint)
    assert status.returncode == 1
    assert "No S3 key was found" in json.loads(status.stdout)["stream"]["unavailable"]
    sql = run_headwater("sql", "select 1 from core.events", kafka=settings.kafka_servers, s3_endpoint=endpoint)
    assert (sql.returncode, "No S3 key was found" in sql.stderr, "Traceback" in sql.stderr) == (1, True, False), sql.stderr


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("S3_SECRET_ACCESS_KEY", {"s3_access_key_id": "key"}),
        ("S3_ACCESS_KEY_ID", {"s3_secret_access_key": "secret"}),
        ("S3_READER_SECRET_ACCESS_KEY", {"s3_reader_access_key_id": "key"}),
        ("S3_READER_ACCESS_KEY_ID", {"s3_reader_secret_access_key": "secret"}),
    ],
)
def test_half_a_key_names_the_other_half(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=rf"Setting 'HEADWATER_{name}' is ''; expected .* for example") as caught:
        build_store(load_settings(s3_endpoint="http://127.0.0.1:9", **given))
    assert "secret'" not in str(caught.value)


class AlteringProxy:
    """Passes S3's traffic on and turns `find` into `replacement`, of the same length, in what clients send. `altered` counts that."""

    def __init__(self, target: int, certificate: trustme.LeafCert | None, find: bytes, replacement: bytes) -> None:
        self.altered = 0
        self._target, self._find, self._replacement = target, find, replacement
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self._context)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"{'https' if certificate else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[near], daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with suppress(OSError), self._unwrap(near) as plain, socket.create_connection(("127.0.0.1", self._target)) as far:
            answers = threading.Thread(target=self._pass_on, args=[far, plain], daemon=True)
            answers.start()
            self._pass_on(plain, far, is_altered=True)
            answers.join()

    def _unwrap(self, near: socket.socket) -> socket.socket:
        return self._context.wrap_socket(near, server_side=True) if self._context else near

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_altered: bool = False) -> None:
        with suppress(OSError):
            while body := source.recv(65536):
                if is_altered:
                    self.altered += body.count(self._find)
                    body = body.replace(self._find, self._replacement)
                sink.sendall(body)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def altering(target: int, certificate: trustme.LeafCert | None, find: bytes, replacement: bytes) -> Iterator[AlteringProxy]:
    assert len(find) == len(replacement)
    proxy = AlteringProxy(target, certificate, find, replacement)
    try:
        yield proxy
    finally:
        proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.LeafCert:
    """Of an authority that botocore is told to trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "s3-ca.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "s3-ca.pem"))
    return authority.issue_cert("127.0.0.1")


def test_a_file_altered_on_its_way_through_tls_is_refused_by_its_md5(
    chain: Chain, settings: Settings, certificate: trustme.LeafCert
) -> None:
    table = LakeTable(chain.pinned_store("writer"), EVENTS)
    table.ensure()
    before = _keys(table.store)
    with altering(settings.s3_port, certificate, b"PAR1", b"PAR2") as proxy:
        store, sent = _through(proxy, chain), list[dict[str, Any]]()
        store.client().meta.events.register("before-send.s3", lambda request, **_: sent.append(dict(request.headers.items())))
        with pytest.raises(botocore.exceptions.ClientError, match="BadDigest"):
            _upload(LakeTable(store, EVENTS), "one")
    # Over TLS the signature leaves the body out: the MD5 is all that holds it.
    assert [headers["X-Amz-Content-SHA256"] for headers in sent] == [b"UNSIGNED-PAYLOAD"]
    assert proxy.altered == 2, "Parquet's mark at both ends"
    table.refresh()
    assert (table.version(), _keys(table.store)) == (0, before)


def test_a_file_altered_on_its_way_without_tls_is_refused_by_the_signature(chain: Chain, settings: Settings) -> None:
    table = LakeTable(chain.pinned_store("writer"), EVENTS)
    table.ensure()
    before = _keys(table.store)
    with altering(settings.s3_port, None, b"PAR1", b"PAR2") as proxy:
        with pytest.raises(botocore.exceptions.ClientError, match="XAmzContentSHA256Mismatch"):
            _upload(LakeTable(_through(proxy, chain), EVENTS), "one")
        assert proxy.altered == 2
    table.refresh()
    assert (table.version(), _keys(table.store)) == (0, before)


def test_control_without_md5_and_signature_an_altered_file_would_be_kept(
    chain: Chain, settings: Settings, certificate: trustme.LeafCert
) -> None:
    key, body = chain.keys["writer"], b"PAR1 and so on"
    session = botocore.session.Session()
    session.set_credentials(key["access_key_id"], key["secret_access_key"])
    unguarded = botocore.config.Config(
        s3={"addressing_style": "path", "payload_signing_enabled": False}, request_checksum_calculation="when_required"
    )
    with altering(settings.s3_port, certificate, b"PAR1", b"PAR2") as proxy:
        client = session.create_client("s3", region_name="us-east-1", endpoint_url=proxy.endpoint, config=unguarded)
        client.put_object(Bucket=settings.s3_bucket, Key="altered", Body=body)
        _through(proxy, chain).put("whole", b"nothing to alter")
    assert chain.pinned_store("writer").get("altered") == b"PAR2 and so on"
    assert chain.pinned_store("writer").get("whole") == b"nothing to alter", "what is not altered goes through"


def test_a_commit_altered_on_its_way_is_no_commit(chain: Chain, settings: Settings) -> None:
    table = LakeTable(chain.pinned_store("writer"), EVENTS)
    table.ensure()
    with altering(settings.s3_port, None, b'"txn"', b'"nxt"') as proxy:
        other = LakeTable(_through(proxy, chain), EVENTS)
        other.refresh()
        with pytest.raises(OSError, match="XAmzContentSHA256Mismatch"):
            other.commit(_upload(other, "one"), {"kafka": 1})
        assert proxy.altered
    table.refresh()
    assert (table.version(), table.committed("kafka")) == (0, None)


@pytest.mark.parametrize("look", [LakeTable.exists, LakeTable.refresh, LakeTable.ensure])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"endpoint": "http://127.0.0.1:9"}, r"'http://127\.0\.0\.1:9' \(HEADWATER_S3_ENDPOINT\) did not answer .*Connection refused"),
        ({"bucket": "nowhere"}, r"has no bucket 'nowhere' \(HEADWATER_S3_BUCKET\); create it"),
        ({"access_key_id": "stranger"}, r"refuses the key for bucket .* InvalidAccessKeyId.*HEADWATER_S3_ACCESS_KEY_ID"),
        ({"secret_access_key": "wrong"}, r"refuses the key for bucket .* SignatureDoesNotMatch"),
    ],
    ids=["away", "no bucket", "no such key", "another's secret"],
)
def test_a_store_that_cannot_be_used_is_said_in_one_line(
    chain: Chain, look: Callable[[LakeTable], object], wrong: dict[str, str], said: str
) -> None:
    direct = chain.pinned_store("writer")
    right: dict[str, Any] = {"endpoint": direct.endpoint, "region": direct.region, "bucket": direct.bucket, **chain.keys["writer"]}
    with pytest.raises(UnavailableError, match=said) as caught:
        look(LakeTable(Store(**{**right, **wrong}), EVENTS))
    assert not set("\n\x1b↳") & set(str(caught.value))


def _through(proxy: AlteringProxy, chain: Chain) -> Store:
    direct, key = chain.pinned_store("writer"), chain.keys["writer"]
    return Store(proxy.endpoint, direct.region, direct.bucket, key["access_key_id"], key["secret_access_key"])


def _upload(table: LakeTable, event_id: str) -> list[Upload]:
    return table.upload(as_arrow(EVENTS, [event(event_id=event_id)]))


def _ids(table: LakeTable) -> list[str]:
    table.refresh()
    return sorted(table.dataset().to_table(columns=["event_id"])["event_id"].to_pylist())


def _keys(store: Store) -> list[str]:
    return [entry["Key"] for entry in store.client().list_objects_v2(Bucket=store.bucket).get("Contents", [])]
