"""A schema registry for tests: a real HTTP server that speaks what a registry documents of reading schemas by id, and can be ill."""

import base64
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Registry(ThreadingHTTPServer):
    """`answers` by path; `ill` says how it does not answer: None, "error" (500), "slow", "drip", "html" (200 of something else)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0, login: str = "") -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answers: dict[str, Mapping[str, Any]] = {}
        self.ill: str | None = None
        self.login = login
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def register(self, schema_id: int, schema: Any, **more: Any) -> None:
        """Have a schema under an id, as `GET /schemas/ids/{id}` answers it."""
        self.answers[f"/schemas/ids/{schema_id}"] = {"schema": json.dumps(schema), **more}

    def register_version(self, subject: str, version: int, schema: Any, **more: Any) -> None:
        """Have a schema as version of a subject, which references name."""
        self.answers[f"/subjects/{subject}/versions/{version}"] = {
            "subject": subject,
            "version": version,
            "schema": json.dumps(schema),
            **more,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: the second would wait for the first's acknowledgement.
    disable_nagle_algorithm = True
    server: Registry

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.path)
        expected = "Basic " + base64.b64encode(server.login.encode()).decode()
        if server.ill == "error":
            self._answer(500, {"error_code": 50001, "message": "Error in the backend datastore"})
        elif server.ill == "html":
            self._send(200, b"<html>Sign in</html>", "text/html")
        elif server.ill == "elsewhere":
            self._answer(404, {"status": 404, "message": "Not Found"})
        elif server.ill in {"slow", "drip"}:
            self._dawdle()
        elif server.login and self.headers.get("Authorization") != expected:
            self._answer(401, {"error_code": 40101, "message": "Unauthorized"})
        elif self.path in server.answers:
            self._answer(200, server.answers[self.path])
        else:
            number = re.sub(r"\D", "", self.path)
            self._answer(404, {"error_code": 40403, "message": f"Schema {number} not found"})

    def _dawdle(self) -> None:
        if self.server.ill == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
        while self.server.ill:
            if self.server.ill == "drip":
                try:
                    self.wfile.write(b" ")
                except OSError:
                    break
            time.sleep(0.05)
        self.close_connection = True

    def _answer(self, status: int, document: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(document).encode(), "application/vnd.schemaregistry.v1+json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def running_registry(port: int = 0, login: str = "") -> Iterator[Registry]:
    """A registry that listens on a free port, or on this one."""
    with Registry(port, login) as registry:
        thread = threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            registry.ill = None
            registry.shutdown()
            thread.join()
