"""Who would bring the API down by what they send (row S8 of the faults), and paths that lead elsewhere (S6): refused, within bounds of memory."""

import contextlib
import gzip
import json
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from backports import zstd

from pipeline.api.bodies import unpack
from pipeline.config import Settings
from pipeline.stores import build_store
from tests.api_process import ApiProcess, make_app, make_write_key, serving
from tests.stream import landed_ids, rows
from tests.worker_process import WorkerProcess, running, wait_until

pytestmark = [pytest.mark.attack("S8"), pytest.mark.unforked]

READ_SECS = 2
LIMITS = {"HEADWATER_API_READ_SECS_MAX": str(READ_SECS), "HEADWATER_API_CONNECTIONS_MAX": "40"}
GROWTH_BYTES_MAX = 60_000_000


@pytest.fixture
def api(settings: Settings, topics: list[str], tmp_path: Path) -> Iterator[ApiProcess]:
    make_app(settings)
    with serving(ApiProcess(settings, tmp_path, **LIMITS)) as process:
        yield process


@pytest.fixture
def plain(settings: Settings, topics: list[str], tmp_path: Path) -> Iterator[ApiProcess]:
    """The control: the same without the bounds of the protocol."""
    with serving(ApiProcess(settings, tmp_path, "tests.plain_api", **LIMITS)) as process:
        yield process


def connect(api: ApiProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=READ_SECS * 3)


def answer_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes, or says nothing more for a while."""
    found = b""
    with contextlib.suppress(OSError):
        while part := connection.recv(65536):
            found += part
    return found


def one_answer_of(connection: socket.socket) -> bytes:
    """One answer, whole, of a connection that stays open; it may come in several parts."""
    head, body = b"", b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length and len(body) < int(length[1]):
        body += connection.recv(int(length[1]) - len(body))
    return head + body


def ask(api: ApiProcess, request: bytes) -> bytes:
    with connect(api) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request)
        connection.settimeout(READ_SECS * 3)
        return answer_of(connection)


def memory(api: ApiProcess) -> int:
    assert api.process is not None
    return int(psutil.Process(api.process.pid).memory_info().rss)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def trickle(api: ApiProcess, head: bytes) -> bytes:
    """Send a byte now and then, never the last one, for three times the time that there is."""
    with connect(api) as connection:
        connection.settimeout(0.2)
        end, place = time.monotonic() + READ_SECS * 3, 0
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                connection.send(head[place : place + 1] or b"x")
            place += 1
            try:
                found = connection.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return b"reset"
            return found or b"closed"
        return b""


def test_slow_head_is_ended_in_time_and_without_the_bound_it_is_not(api: ApiProcess, plain: ApiProcess) -> None:
    assert status(trickle(api, b"GET /health HTTP/1.1\r\nhost: a\r\nx-slow: ")) == 408
    assert trickle(plain, b"GET /health HTTP/1.1\r\nhost: a\r\nx-slow: ") == b""


def test_connection_that_says_nothing_is_ended_in_time(api: ApiProcess) -> None:
    with connect(api) as connection:
        assert status(answer_of(connection)) == 408


def test_slow_body_is_ended_in_time(api: ApiProcess, settings: Settings) -> None:
    head = (
        f"POST /v1/apps/shop/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {make_write_key(settings)}\r\ncontent-length: 900\r\n\r\n"
    )
    with connect(api) as connection:
        connection.sendall(head.encode() + b"{")
        assert status(answer_of(connection)) == 408


def test_body_that_drips_on_after_its_answer_is_ended_in_time_and_without_the_bound_it_is_not(api: ApiProcess, plain: ApiProcess) -> None:
    head = b"POST /t.js HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n"
    for process, is_bounded in ((api, True), (plain, False)):
        with connect(process) as connection:
            connection.sendall(head)
            assert status(one_answer_of(connection)) == 405
            is_ended, end = False, time.monotonic() + READ_SECS * 3
            connection.settimeout(0.2)
            while not is_ended and time.monotonic() < end:
                try:
                    connection.send(b"x")
                    is_ended = connection.recv(1024) == b""
                except TimeoutError:
                    continue
                except OSError:
                    is_ended = True
            assert is_ended is is_bounded


def test_flood_of_headers_is_refused_and_without_the_bound_it_is_not(api: ApiProcess, plain: ApiProcess) -> None:
    flood = (
        b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" + b"".join(b"x-%d: 1\r\n" % number for number in range(150)) + b"\r\n"
    )
    assert status(ask(api, flood)) == 431
    assert status(ask(plain, flood)) == 200


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /health HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 2_000_000, 431),
        (b"GET /health HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
        (b"GET /" + b"y" * 2_000_000, 414),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST /v1/batch HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET \xff\xfe HTTP/1.1\r\n\r\n", 400),
    ],
    ids=["endless header", "large header", "long address", "endless address", "no HTTP", "two lengths", "bad chunk", "bad address"],
)
def test_head_that_cannot_be_is_refused_in_awss_shape_and_memory_stays(api: ApiProcess, head: bytes, expected: int) -> None:
    before = memory(api)
    for _ in range(5):
        answer = ask(api, head)
        # Where the sender was still sending, the refusal may not have reached it.
        assert status(answer) in {expected, 0}
        if answer:
            assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"Message", "RequestID"}
    assert memory(api) - before < GROWTH_BYTES_MAX
    assert api.answers()


def test_bomb_is_refused_and_memory_stays(api: ApiProcess, settings: Settings) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(b"0" * 1_000_000) for _ in range(500)), packer.flush()])
    before = memory(api)
    key = make_write_key(settings)
    for _ in range(3):
        head = f"POST /v1/apps/shop/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n"
        assert status(ask(api, head.encode() + bomb)) == 413
    assert memory(api) - before < GROWTH_BYTES_MAX


def test_without_the_bound_a_bomb_is_unpacked_whole_control() -> None:
    bomb = gzip.compress(b"0" * 100_000_000)
    assert unpack(bomb, "gzip", 1_000_000) is None
    assert len(unpack(bomb, "gzip", 10**9) or b"") == 100_000_000


SMALL: dict[str, tuple[str, bytes]] = {
    "events": ("/v1/apps/shop/events", b'{"BatchItem":{"e":{"Endpoint":{},"Events":{' + b'"i":0,' * 500_000 + b'"i":0}}}}'),
    "calls": ("/v1/batch", b'{"batch":[' + b"0," * 1_000_000 + b"0]}"),
    "lines": ("/v1/apps/shop/ndjson", b"0\n" * 1_000_000),
    "objects run together": ("/v1/apps/shop/ndjson", b"{}" * 1_000_000),
}


@pytest.mark.parametrize("name", SMALL)
def test_very_many_small_things_are_refused_before_they_are_made_into_items_and_memory_stays(
    api: ApiProcess, settings: Settings, name: str
) -> None:
    path, body = SMALL[name]
    before = memory(api)
    assert status(post(api, path, body, make_write_key(settings))) == 413
    assert memory(api) - before < GROWTH_BYTES_MAX
    assert api.answers()


def test_record_of_very_many_values_is_refused_and_its_neighbours_are_not(api: ApiProcess, settings: Settings) -> None:
    body = b"[" + b"{}," * 1_000_000 + b'{}]\n{"event":"good"}\n'
    answer = post(api, "/v1/apps/shop/ndjson", body, make_write_key(settings))
    assert status(answer) == 200
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (found["accepted"], [each["line"] for each in found["rejected"]]) == (1, [1])


def test_body_that_comes_after_its_answer_leaves_no_connection_without_an_end(api: ApiProcess) -> None:
    with connect(api) as connection:
        connection.sendall(b"POST /t.js HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n")
        assert status(one_answer_of(connection)) == 405
        connection.sendall(b"body")
        connection.settimeout(READ_SECS * 3)
        assert status(answer_of(connection)) in {408, 0}
        # The other side has ended it: nothing more comes, and no time-out of ours.
        assert connection.recv(1) == b""


def test_who_shows_no_key_yet_is_given_little_room(api: ApiProcess, settings: Settings) -> None:
    body = b'{"batch":[]' + b" " * 700_000 + b"}"
    assert status(post(api, "/v1/batch", body, "")) == 413
    assert status(post(api, "/v1/batch", body, make_write_key(settings))) == 200


@pytest.mark.timeout(60)
def test_body_of_very_many_empty_members_is_refused(api: ApiProcess) -> None:
    for encoding, member in (("zstd", zstd.compress(b"")), ("gzip", gzip.compress(b""))):
        body = member * (200_000 // len(member))
        assert status(post(api, "/v1/batch", body, "", f"content-encoding: {encoding}\r\n")) == 400


def post(api: ApiProcess, path: str, body: bytes, key: str, more: str = "") -> bytes:
    shown = f"authorization: Bearer {key}\r\n" if key else ""
    head = f"POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{shown}{more}content-length: {len(body)}\r\n\r\n"
    return ask(api, head.encode() + body)


@pytest.mark.parametrize(("held_bytes_max", "is_bounded"), [("20000000", True), ("2000000000", False)])
def test_bodies_are_held_within_bounds_until_they_are_answered(
    settings: Settings, tmp_path: Path, held_bytes_max: str, is_bounded: bool
) -> None:
    make_app(settings)
    key = make_write_key(settings)
    # One event and much that is nothing, packed small, while nobody is there to take the event.
    events = b'{"BatchItem":{"e":{"Endpoint":{},"Events":{"id":{"EventType":"x","Timestamp":"2026-01-01T00:00:00Z"}}}}'
    body = gzip.compress(events + b" " * 9_000_000 + b"}")
    limits = {"HEADWATER_KAFKA": "127.0.0.1:1", "HEADWATER_ACK_SECS_MAX": "4", "HEADWATER_API_HELD_BYTES_MAX": held_bytes_max}
    with serving(ApiProcess(settings, tmp_path, **limits)) as api:
        before, most = memory(api), 0
        threads = [
            threading.Thread(target=post, args=[api, "/v1/apps/shop/events", body, key, "content-encoding: gzip\r\n"]) for _ in range(30)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            most = max(most, memory(api))
            time.sleep(0.05)
        assert (most - before < 120_000_000) is is_bounded, (most - before) / 1e6


@pytest.mark.parametrize("is_chunked", [False, True])
def test_batch_of_a_million_events_is_refused_before_it_is_read(api: ApiProcess, settings: Settings, is_chunked: bool) -> None:
    before, key = memory(api), make_write_key(settings)
    event = b'"%d":{"EventType":"x","Timestamp":"2026-01-01T00:00:00Z"},'
    length = "transfer-encoding: chunked" if is_chunked else f"content-length: {len(event) * 1_000_000}"
    head = f"POST /v1/apps/shop/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n{length}\r\n\r\n".encode()
    with connect(api) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(head)
            for thousand in range(1000):
                part = b"".join(event % (thousand * 1000 + number) for number in range(1000))
                connection.sendall(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
        assert status(answer_of(connection)) in {413, 0}
    assert memory(api) - before < GROWTH_BYTES_MAX
    assert api.answers()


def test_flood_of_connections_is_turned_away_and_callers_come_through_when_it_is_over(api: ApiProcess, plain: ApiProcess) -> None:
    for process, is_bounded in ((api, True), (plain, False)):
        with contextlib.ExitStack() as stack:
            flood = [stack.enter_context(connect(process)) for _ in range(80)]
            turned_away = 0
            for connection in flood:
                connection.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    turned_away += status(connection.recv(4096)) == 500
            assert (turned_away > 30) is is_bounded
        wait_until(process.answers, "a caller comes through", 10)


def test_bodies_beyond_what_is_held_are_answered_at_once_as_not_stored(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    make_app(settings)
    limits = LIMITS | {"HEADWATER_API_HELD_BYTES_MAX": "1000000"}
    with serving(ApiProcess(settings, tmp_path, **limits)) as api, contextlib.ExitStack() as stack:
        key = make_write_key(settings)
        head = f"POST /v1/apps/shop/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: 400001\r\n\r\n".encode()
        statuses = []
        for _ in range(4):
            connection = stack.enter_context(connect(api))
            connection.sendall(head + b"x" * 400_000)
            connection.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                statuses.append(status(connection.recv(4096)))
        assert statuses.count(500) >= 1


@pytest.mark.attack("S1")
def test_nothing_of_requests_that_are_not_let_in_reaches_kafka(api: ApiProcess, settings: Settings, tmp_path: Path) -> None:
    body = json.dumps(
        {"BatchItem": {"e": {"Endpoint": {}, "Events": {"id": {"EventType": "x", "Timestamp": "2026-01-01T00:00:00Z"}}}}}
    ).encode()

    def send(authorization: str) -> int:
        head = f"POST /v1/apps/shop/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: {authorization}\r\ncontent-length: {len(body)}\r\n\r\n"
        return status(ask(api, head.encode() + body))

    attempts = ["", "Bearer hwk_wrong", "Basic eA==", "AWS4-HMAC-SHA256 x", f"Bearer {make_write_key(settings)}x"]
    found: list[int] = []
    threads = [threading.Thread(target=lambda each=each: found.append(send(each))) for each in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {400 <= each < 500 for each in found} == {True}
    # The control: the same with a key lands.
    assert send(f"Bearer {make_write_key(settings)}") == 202
    with running(WorkerProcess(settings, tmp_path)):
        wait_until(lambda: landed_ids(settings) == {"id": 1}, "the one that was let in has landed")
    assert rows(settings, "dead_letters") == []


# Values that would lead out of a folder if somebody made paths of them (row S6).
PATHS = ["..", "../../etc/passwd", "%2e%2e%2f", "..\\..\\x", "a\x00b", "/etc/passwd", "arrival_date=2020-01-01", "a/b=c", "x" * 1024]


@pytest.mark.attack("S6")
def test_values_that_look_like_paths_land_as_values_and_no_object_lies_elsewhere(
    api: ApiProcess, settings: Settings, tmp_path: Path
) -> None:
    key = make_write_key(settings)
    events = {value: {"EventType": value, "Timestamp": "2026-01-01T00:00:00Z", "Attributes": {value: value}} for value in PATHS}
    body = json.dumps({"BatchItem": {value: {"Endpoint": {"Address": value}, "Events": events} for value in PATHS}}).encode()
    head = f"POST /v1/apps/shop/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    assert status(ask(api, head.encode() + body)) == 202
    with running(WorkerProcess(settings, tmp_path)):
        wait_until(lambda: len(rows(settings)) == len(PATHS) ** 2, "every event has landed")
    found: Any = rows(settings, columns=["endpoint_id", "event_id", "event_type"])
    assert found == sorted(((endpoint, event, event) for endpoint in PATHS for event in PATHS), key=repr)
    assert strangers(settings) == []
    # The control: an object that lies elsewhere is found.
    build_store(settings).put("etc/passwd", b"x")
    assert strangers(settings) == ["etc/passwd"]


def strangers(settings: Settings) -> list[str]:
    """Keys of the bucket that are no file of a table of the lake."""
    keys = [each.key for each in build_store(settings).list_objects("")]
    assert keys
    tables = ("lake/events/", "lake/endpoint_updates/", "lake/dead_letters/", "lake/_probe/")
    return [key for key in keys if not key.startswith(tables) or ".." in key]
