"""The fault proxy itself: each fault as a client and a small real server see it."""

import asyncio
import hashlib
import http.client
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from tests.faults.wire.proxy import FaultProxy, fault_proxy
from tests.faults.wire.proxy_pumps import Connection
from tests.faults.wire.proxy_rules import Rules
from tests.stream import send
from tests.worker_process import wait_until

BODY = bytes(range(256)) * 64
# How long a test waits for an answer that must not come.
SILENCE_SECS = 0.4


class Server:
    """Answers a PUT with its body's SHA-256 and a GET with GET; `bodies` are those that came whole."""

    def __init__(self) -> None:
        bodies = self.bodies = list[bytes]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_PUT(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) == length:
                    bodies.append(body)
                    self._answer(hashlib.sha256(body).hexdigest().encode())

            def do_GET(self) -> None:
                self._answer(b"GET")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=[0.02], daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultProxy]:
    with fault_proxy(server.http.server_port, random.Random(1)) as made:
        yield made


def ask(proxy: FaultProxy, method: str = "PUT", path: str = "/key", secs_max: float = 10, body: bytes = BODY) -> tuple[int, bytes]:
    """Status and body of the answer to one request, on a connection of its own."""
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=secs_max)
    try:
        client.request(method, path, body if method == "PUT" else None)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


def sha256(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def test_without_a_rule_everything_passes_request_after_request(proxy: FaultProxy, server: Server) -> None:
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    for number in range(20):
        body = BODY * number
        client.request("PUT", "/key", body, {"Expect": "100-continue"} if number % 2 else {})
        assert client.getresponse().read() == sha256(body)
        client.request("GET", "/key")
        assert client.getresponse().read() == b"GET"
    client.close()
    assert len(server.bodies) == 20


def test_a_rule_strikes_what_it_matches_so_often_and_is_counted(proxy: FaultProxy) -> None:
    with proxy.injected("answer", method="PUT", path=r"_delta_log/\d+\.json$", times=2):
        found = [ask(proxy, path="/lake/_delta_log/00001.json")[0] for _ in range(3)]
        assert (found, ask(proxy, path="/lake/part-1.parquet")[0], ask(proxy, "GET", "/_delta_log/1.json")[0]) == (
            [503, 503, 200],
            200,
            200,
        )
    assert proxy.count("answer") == 2


def test_a_share_is_drawn_and_the_same_seed_draws_the_same(server: Server) -> None:
    def draws() -> list[int]:
        with fault_proxy(server.http.server_port, random.Random(5)) as proxy, proxy.injected("answer", share=0.5, status=500):
            return [ask(proxy)[0] for _ in range(20)]

    found = draws()
    assert set(found) == {200, 500}
    assert draws() == found


def test_an_error_is_said_as_s3_says_it(proxy: FaultProxy, server: Server) -> None:
    with proxy.injected("answer"):
        status, body = ask(proxy)
    assert (status, b"<Code>SlowDown</Code>" in body, server.bodies) == (503, True, [])


def test_a_delay_passes_the_request_on_later(proxy: FaultProxy) -> None:
    begun = time.monotonic()
    with proxy.injected("delay", secs=0.5):
        assert ask(proxy) == (200, sha256(BODY))
    assert time.monotonic() - begun >= 0.5


def test_an_answer_of_its_own_can_hide_that_the_request_arrived(proxy: FaultProxy, server: Server) -> None:
    with proxy.injected("answer_after", status=500):
        status, body = ask(proxy)
    assert (status, b"<Code>InternalError</Code>" in body, server.bodies) == (500, True, [BODY])


def test_what_the_server_answered_to_what_was_struck_is_counted(proxy: FaultProxy) -> None:
    with proxy.injected("flip"):
        ask(proxy)
    ask(proxy)
    assert proxy.answers("flip") == {200: 1}


@pytest.mark.parametrize(("fault", "arrived"), [("cut_before", 0), ("cut_after", 1), ("tear", 0)])
def test_a_cut_loses_the_request_or_its_reply(proxy: FaultProxy, server: Server, fault: str, arrived: int) -> None:
    with proxy.injected(fault, times=1), pytest.raises((OSError, http.client.HTTPException)):  # type: ignore[arg-type]
        ask(proxy)
    assert len(server.bodies) == arrived
    assert ask(proxy) == (200, sha256(BODY))


def test_a_truncated_body_looks_whole_to_the_server(proxy: FaultProxy, server: Server) -> None:
    with proxy.injected("truncate"):
        assert ask(proxy)[0] == 200
    assert server.bodies == [BODY[: len(BODY) // 2]]


def test_a_flip_alters_one_bit(proxy: FaultProxy, server: Server) -> None:
    with proxy.injected("flip"):
        assert ask(proxy)[0] == 200
    different = [one ^ other for one, other in zip(server.bodies[0], BODY, strict=True) if one != other]
    assert [each.bit_count() for each in different] == [1]


@pytest.mark.parametrize(("fault", "arrived"), [("black_hole", 0), ("half_open", 1)])
def test_silence_is_for_as_long_as_the_connection_lasts(proxy: FaultProxy, server: Server, fault: str, arrived: int) -> None:
    rule = proxy.inject(fault)  # type: ignore[arg-type]
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=SILENCE_SECS)
    client.request("PUT", "/key", BODY)
    assert client.sock is not None
    silent = client.sock
    with pytest.raises(TimeoutError):
        silent.recv(1)
    proxy.mend(rule)
    with pytest.raises(TimeoutError):
        silent.recv(1)
    client.close()
    assert len(server.bodies) == arrived
    assert ask(proxy) == (200, sha256(BODY))


@pytest.mark.parametrize("side", ["up", "down", "both"])
def test_what_was_held_arrives_late_even_when_the_client_has_gone(proxy: FaultProxy, server: Server, side: str) -> None:
    rule = proxy.inject("hold", side=side)
    with pytest.raises(TimeoutError):
        ask(proxy, secs_max=SILENCE_SECS)
    assert len(server.bodies) == (1 if side == "down" else 0)
    proxy.mend(rule)
    wait_until(lambda: len(server.bodies) == 1, "the request that was held")
    assert ask(proxy) == (200, sha256(BODY))


def test_a_refusal_breaks_connections_and_the_same_port_is_back_afterwards(proxy: FaultProxy) -> None:
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    client.request("GET", "/key")
    assert client.getresponse().read() == b"GET"
    with proxy.injected("refuse"):
        assert client.sock is not None
        with suppress(ConnectionResetError):
            assert client.sock.recv(1) == b""
        client.close()
        with pytest.raises(ConnectionRefusedError):
            ask(proxy)
    assert ask(proxy) == (200, sha256(BODY))


def test_its_end_closes_every_connection_and_the_port(server: Server) -> None:
    with fault_proxy(server.http.server_port, random.Random(1)) as proxy:
        proxy.inject("black_hole")
        clients = [socket.create_connection(("127.0.0.1", proxy.port), timeout=10) for _ in range(5)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        wait_until(lambda: proxy.count("black_hole") == 5, "requests")
    for client in clients:
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
        client.close()
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
    assert not [thread for thread in threading.enumerate() if thread.name == "fault-proxy"]


def test_a_connection_that_is_told_to_end_while_it_ends_leaves_no_side_open(server: Server) -> None:
    class Ending(Connection):
        """Its server has ended it, and its client's side takes a moment to do so."""

        async def _pass_up(self) -> None:
            try:
                await asyncio.sleep(10)
            finally:
                is_ending.set()
                await asyncio.sleep(0.05)

        async def _pass_down(self) -> None:
            raise ConnectionResetError

    async def end_twice() -> bool:
        near, far = [await asyncio.open_connection("127.0.0.1", server.http.server_port) for _ in range(2)]
        serving = asyncio.create_task(Ending(Rules(random.Random(1)), near, far).serve())
        await is_ending.wait()
        serving.cancel()
        await asyncio.wait([serving])
        assert serving.cancelled()
        return near[1].transport.is_closing() and far[1].transport.is_closing()

    is_ending = asyncio.Event()
    assert asyncio.run(end_twice())


def test_all_traffic_of_a_kafka_client_goes_through_it(settings: Settings, topics: list[str]) -> None:
    with fault_proxy(settings.kafka_port, random.Random(1), "kafka") as proxy:
        through = settings.model_copy(update={"kafka": f"127.0.0.1:{proxy.port}"})
        with open_admin(through) as admin:
            brokers = admin.describe_cluster()["brokers"]
        assert [broker["port"] for broker in brokers] == [proxy.port]
        rule = proxy.inject("hold")
        sender = threading.Thread(target=send, args=[through, [(b"key", b"value")]])
        sender.start()
        time.sleep(1)
        assert sender.is_alive(), "no byte may go around the proxy"
        proxy.mend(rule)
        sender.join(30)
        assert not sender.is_alive()
        assert proxy.count("hold") > 0
