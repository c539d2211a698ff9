"""Only a store that keeps rival commits apart is used: the real one passes, one that lets two rivals win is refused and says why."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import botocore.exceptions
import pytest

from pipeline.config import Settings
from pipeline.stores import build_store
from sinks.probe import UnfitStoreError, probe_store
from sinks.store import Store
from tests.conftest import RunHeadwater
from tests.loopback_server import serving_loopback

# Is the nth PUT of a key let through?
Rule = Callable[[str, int], bool]


@contextmanager
def store_that(lets: Rule, deletes: bool = True) -> Iterator[Store]:
    """An S3 server on the loopback address that takes a PUT as the rule says, and answers 412 to the others."""
    puts: dict[str, int] = {}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                puts[self.path] = puts.get(self.path, 0) + 1
                number = puts[self.path]
            self._answer(200 if lets(self.path, number) else 412)

        def do_DELETE(self) -> None:
            self._answer(204 if deletes else 403)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving_loopback(Handler) as address:
        yield Store(address, "us-east-1", "lake", "key", "secret")


def only_the_first(key: str, number: int) -> bool:
    return number == 1


def all_of_them(key: str, number: int) -> bool:
    return True


def two_of_a_race(key: str, number: int) -> bool:
    return number == 1 or (number == 2 and key.endswith("/race"))


def test_the_local_store_passes_and_nothing_is_left_behind(settings: Settings) -> None:
    store = build_store(settings)
    probe_store(store)
    assert "Contents" not in store.client().list_objects_v2(Bucket=store.bucket, Prefix="lake/_probe/")


@pytest.mark.parametrize("deletes", [True, pytest.param(False, id="a key that may not delete")])
def test_a_store_that_lets_only_the_first_win_passes(deletes: bool) -> None:
    with store_that(only_the_first, deletes) as store:
        probe_store(store)


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (all_of_them, "a second PUT with If-None-Match"),
        (two_of_a_race, "2 of 8 rival PUTs"),
        (lambda *_: False, "or the first was refused"),
    ],
    ids=["ignores the condition", "lets two rivals win", "refuses everything"],
)
@pytest.mark.parametrize("deletes", [True, False], ids=["deletes", "deletes nothing"])
def test_a_store_that_keeps_rivals_not_apart_is_refused(rule: Rule, found: str, deletes: bool) -> None:
    with store_that(rule, deletes) as store, pytest.raises(UnfitStoreError, match=f"{found}.*Expected a store with conditional writes"):
        probe_store(store)


def test_a_worker_does_not_start_on_an_unfit_store(run_headwater: RunHeadwater) -> None:
    with store_that(all_of_them) as store:
        keys = {"s3_access_key_id": "key", "s3_secret_access_key": "secret"}
        done = run_headwater("worker", s3_endpoint=store.endpoint, s3_bucket="lake", secs_max=30, **keys)
    assert done.returncode == 2
    assert f"The S3 store at '{store.endpoint}' (HEADWATER_S3_ENDPOINT) cannot keep commits apart" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"s3_bucket": "nowhere"}, "has no bucket 'nowhere' (HEADWATER_S3_BUCKET); create it"),
        ({"s3_access_key_id": "stranger", "s3_secret_access_key": "x"}, "set another (HEADWATER_S3_ACCESS_KEY_ID and its secret"),
    ],
    ids=["no bucket", "no such key"],
)
def test_a_worker_leaves_at_once_when_only_a_person_can_mend_its_store(
    run_headwater: RunHeadwater, wrong: dict[str, str], said: str
) -> None:
    done = run_headwater("worker", secs_max=30, **wrong)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_control_a_store_that_is_away_is_waited_for() -> None:
    with pytest.raises(botocore.exceptions.BotoCoreError):
        probe_store(Store("http://127.0.0.1:9", "us-east-1", "lake", "key", "secret"))
