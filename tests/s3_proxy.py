"""An HTTP proxy before the local S3 server that changes what passes: it drops a condition, moves the Date, takes any key for the writer's, or refuses one."""

import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pipeline.config import Settings
from pipeline.stack.keys import load_keys
from tests.loopback_server import serving_loopback

_NOT_PASSED_ON = {
    "host",
    "authorization",
    "connection",
    "content-length",
    "expect",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
    "transfer-encoding",
}

_EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


@dataclass
class Change:
    """What the proxy changes, from now on: `drops` are names of request headers in lower case, `date_moved_by` is added to the answers' Date;
    `allows` says of a request's access key id whether it is let through."""

    drops: frozenset[str] = frozenset()
    date_moved_by: timedelta = timedelta()
    allows: Callable[[str], bool] = lambda access_key_id: True


@contextmanager
def s3_behind(settings: Settings, change: Change) -> Iterator[dict[str, Any]]:
    """The settings that lead to the local S3 server through the proxy. Every request is signed anew: the reader's with the reader's key, all others with the writer's."""
    keys = load_keys(settings)["s3"]
    writer, reader = (Credentials(keys[role]["access_key_id"], keys[role]["secret_access_key"]) for role in ("writer", "reader"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            _, _, credential = self.headers.get("Authorization", "").partition("Credential=")
            if not change.allows(credential.partition("/")[0]):
                self._answer(403, {"Content-Type": "application/xml"}, _EXPIRED if self.command != "HEAD" else b"")
                return
            left_out = _NOT_PASSED_ON | change.drops
            headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
            request = AWSRequest(self.command, f"http://127.0.0.1:{settings.s3_port}{self.path}", headers, body)
            request.context["payload_signing_enabled"] = False
            # botocore reads the query from the parameters.
            parts = urllib.parse.urlsplit(self.path)
            request.url = f"http://127.0.0.1:{settings.s3_port}{parts.path}"
            request.params = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
            is_reader = reader.access_key in self.headers.get("Authorization", "")
            S3SigV4Auth(reader if is_reader else writer, "s3", "us-east-1").add_auth(request)
            prepared = request.prepare()
            target = urllib.parse.urlsplit(prepared.url)
            path = f"{target.path}?{target.query}" if target.query else target.path
            with closing(HTTPConnection("127.0.0.1", settings.s3_port, timeout=20)) as far:
                far.request(self.command, path, body, dict(prepared.headers.items()))
                answer = far.getresponse()
                self._answer(answer.status, dict(answer.getheaders()), answer.read())

        def handle(self) -> None:
            # Who asked may be gone before the answer is there.
            with suppress(ConnectionError):
                super().handle()

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _pass_on

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + change.date_moved_by, usegmt=True))
            # The answer to a HEAD has no body, and says how long it would be.
            is_head = self.command == "HEAD"
            for name, value in headers.items():
                if name.lower() not in {"date", "transfer-encoding", "connection"} | ({"content-length"} if not is_head else set()):
                    self.send_header(name, value)
            if not is_head:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving_loopback(Handler) as address:
        yield {
            "s3_endpoint": address,
            "s3_access_key_id": "ANYKEY",
            "s3_secret_access_key": "any secret at all",
        }
