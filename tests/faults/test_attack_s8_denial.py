"""Attack S8: who would bring the API down is refused within bounds of memory, is counted, and keeps nobody else out."""

import contextlib
import gzip
import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline.config import Settings
from tests.api_process import ApiProcess, make_app, make_write_key, serving
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.test_api_denial import ask, connect, post, status

pytestmark = pytest.mark.unforked

READ_SECS = 3
LIMITS = {"HEADWATER_API_READ_SECS_MAX": str(READ_SECS), "HEADWATER_API_CONNECTIONS_MAX": "60"}
GROWTH_BYTES_MAX = 80_000_000
EVENT = b'"%d":{"EventType":"x","Timestamp":"2026-01-01T00:00:00Z"},'


@contextmanager
def watched(api: ApiProcess) -> Iterator[list[int]]:
    """Its memory, every 20 ms, for the time of a `with` block."""
    assert api.process is not None
    process, seen, is_over = psutil.Process(api.process.pid), [], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            seen.append(int(process.memory_info().rss))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def bomb(api: ApiProcess, key: str) -> int:
    """300 MB of nothing in 300 KB."""
    return status(post(api, "/v1/apps/shop/events", gzip.compress(b"0" * 300_000_000, 1), key, "content-encoding: gzip\r\n"))


def million_events(api: ApiProcess, key: str) -> int:
    parts = [b"".join(EVENT % (thousand * 1000 + number) for number in range(1000)) for thousand in range(1000)]
    head = f"POST /v1/apps/shop/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: {sum(map(len, parts))}\r\n\r\n"
    return status(ask(api, head.encode() + b"".join(parts)))


def many_values(api: ApiProcess, key: str) -> int:
    return status(
        post(api, "/v1/apps/shop/events", b'{"BatchItem":{"e":{"Endpoint":{},"Events":{' + b'"i":0,' * 500_000 + b'"i":0}}}}', key)
    )


def deep_json(api: ApiProcess, key: str) -> int:
    return status(post(api, "/v1/apps/shop/events", b'{"BatchItem":' + b"[" * 100_000 + b"]" * 100_000 + b"}", key))


def many_headers(api: ApiProcess, _: str) -> int:
    return status(
        ask(
            api,
            b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" + b"".join(b"x-%d: 1\r\n" % each for each in range(5000)) + b"\r\n",
        )
    )


def endless_header(api: ApiProcess, _: str) -> int:
    return status(ask(api, b"GET /health HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 4_000_000))


def no_key(api: ApiProcess, _: str) -> int:
    return status(post(api, "/v1/batch", b'{"batch":[]' + b" " * 3_000_000 + b"}", ""))


ATTACKS: dict[str, Callable[[ApiProcess, str], int]] = {
    each.__name__: each for each in (bomb, million_events, many_values, deep_json, many_headers, endless_header, no_key)
}


def slow_heads(api: ApiProcess, count: int) -> list[int]:
    """So many callers at once that send a byte now and then: their answers."""
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(connect(api)) for _ in range(count)]
        for caller in callers:
            caller.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\nx-slow: ")
        statuses: dict[int, int] = {}
        end = time.monotonic() + READ_SECS * 3
        while len(statuses) < count and time.monotonic() < end:
            for number, caller in enumerate(callers):
                if number in statuses:
                    continue
                caller.settimeout(0.01)
                try:
                    caller.send(b"x")
                    if found := caller.recv(4096):
                        statuses[number] = status(found)
                except TimeoutError:
                    continue
                except OSError:
                    statuses[number] = 0
            time.sleep(0.2)
        return [statuses.get(number, -1) for number in range(count)]


def refused(api: ApiProcess) -> dict[str, float]:
    """What the API has counted, by status."""
    with urllib.request.urlopen(f"{api.url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {found[1]: float(found[2]) for found in re.finditer(r'headwater_api_refusals_total\{status="(\d+)"\} (\S+)', text)}


@pytest.fixture
def key(settings: Settings, topics: list[str]) -> str:
    make_app(settings)
    return make_write_key(settings)


def is_let_in(api: ApiProcess, key: str) -> bool:
    body = json.dumps(
        {"BatchItem": {"e": {"Endpoint": {}, "Events": {"id": {"EventType": "x", "Timestamp": "2026-01-01T00:00:00Z"}}}}}
    ).encode()
    return status(post(api, "/v1/apps/shop/events", body, key)) == 202


def test_attack_s8_floods_are_refused_within_bounds_and_are_counted(
    settings: Settings, key: str, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    rounds = schedule.choose(1, 15)
    with serving(ApiProcess(settings, tmp_path, **LIMITS)) as api:
        assert is_let_in(api, key)
        names = list(ATTACKS) * rounds
        schedule.chance.shuffle(names)
        with watched(api) as memory:
            found = [(name, ATTACKS[name](api, key)) for name in names]
            # 0: the sender was still sending when it was refused, and did not read the answer.
            assert [(name, each) for name, each in found if each not in {0, 400, 413, 431}] == []
            trickled = slow_heads(api, 20)
            assert set(trickled) <= {408, 0}, trickled
            with contextlib.ExitStack() as stack:
                flood = [stack.enter_context(connect(api)) for _ in range(120)]
                time.sleep(0.5)
                assert len(flood) == 120
        end = time.monotonic() + 60
        while not is_let_in(api, key):
            assert time.monotonic() < end, "callers come through when it is over"
        counted = refused(api)
        growth = max(memory) - memory[0]
    assert growth < GROWTH_BYTES_MAX
    assert counted["431"] >= 2 * rounds
    assert counted["408"] >= 15
    assert counted["500"] >= 50
    proof.note(
        injections=len(found) + len(trickled) + len(flood),
        growth_bytes_max=growth,
        rss_bytes_max=max(memory),
        refused_unread=sum(counted.values()),
    )


def test_attack_s8_without_the_bounds_of_heads_floods_come_through_control(
    settings: Settings, key: str, tmp_path: Path, proof: Proof
) -> None:
    with serving(ApiProcess(settings, tmp_path, "tests.plain_api", **LIMITS)) as api, watched(api) as memory:
        headers = many_headers(api, key)
        trickled = slow_heads(api, 5)
        growth = max(memory) - memory[0]
    is_open = headers == 200 and -1 in trickled
    proof.show(
        f"5,000 headers were answered {headers}, {trickled.count(-1)} of 5 slow heads were waited for, memory grew by {growth:,} bytes"
        if is_open
        else ""
    )
