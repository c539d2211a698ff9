"""A server on the loopback address that nobody should ask: it notes whoever does, and answers with something that would be worth stealing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

SECRET = "of-the-canary"


class Canary(ThreadingHTTPServer):
    """`asked`: what came, method and path; `connections`: how many connected. With `leads_to` set it answers a GET with 307, to there."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.connections = 0
        self.leads_to = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def get_request(self):  # type: ignore[no-untyped-def]
        found = super().get_request()
        self.connections += 1
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Canary

    def _answer(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        body = f'{{"schema": "\\"string\\"", "secret": "{SECRET}"}}'.encode()
        leads_to = self.server.leads_to if self.command == "GET" else ""
        self.send_response(307 if leads_to else 200)
        if leads_to:
            self.send_header("Location", leads_to)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@contextmanager
def running_canary() -> Iterator[Canary]:
    with Canary() as canary:
        thread = threading.Thread(target=canary.serve_forever, daemon=True)
        thread.start()
        try:
            yield canary
        finally:
            canary.shutdown()
            thread.join()


@pytest.fixture
def canary() -> Iterator[Canary]:
    with running_canary() as server:
        yield server
