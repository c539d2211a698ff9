"""HTTP/1.1 as far as a proxy must know it: where a request ends, and how S3 says an error."""

import asyncio
import re
from dataclasses import dataclass, replace

HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 128_000_000


class TooLargeError(Exception):
    """A request that the proxy does not hold in memory."""


@dataclass(frozen=True)
class Request:
    """`head` as it came, with the empty line; `body` as it came, chunks with their sizes."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode("latin-1")

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode("latin-1")

    def header(self, name: str) -> str:
        """'' without it."""
        found = re.search(rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r]*)\r\n", self.head, re.IGNORECASE)
        return found[1].decode("latin-1").strip() if found else ""

    def shortened(self) -> "Request":
        """The first half of the body, and a head that says so."""
        body = self.body[: len(self.body) // 2]
        head = re.sub(rb"(\r\nContent-Length:[ \t]*)\d+", rb"\g<1>%d" % len(body), self.head, flags=re.IGNORECASE)
        return replace(self, head=head, body=body)


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request; None when the client has gone. Who waits to be told to send its body is told by the proxy.

    Raises TooLargeError when it is larger than a client of ours sends.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as error:
        raise TooLargeError from error
    request = Request(head, b"")
    if request.header("Expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = Request(re.sub(rb"\r\nExpect:[^\r]*", b"", head, flags=re.IGNORECASE), b"")
    if request.header("Transfer-Encoding").lower() == "chunked":
        return replace(request, body=await _read_chunks(reader))
    length = int(request.header("Content-Length") or 0)
    if length > BODY_BYTES_MAX:
        raise TooLargeError
    return replace(request, body=await reader.readexactly(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if len(body) + size > BODY_BYTES_MAX:
            raise TooLargeError
        # The last chunk has no bytes, and the empty line after it ends the body.
        body += line + await reader.readexactly(size + 2)
        if size == 0:
            return bytes(body)


def build_error(status: int, method: str) -> bytes:
    """An answer as S3 gives it when it is too busy (503) or does not know why (500)."""
    code, words = {500: ("InternalError", "Internal Server Error"), 503: ("SlowDown", "Slow Down")}[status]
    body = f"<Error><Code>{code}</Code><Message>Please try again.</Message><RequestId>fault-proxy</RequestId></Error>".encode()
    if method == "HEAD":
        body = b""
    return f"HTTP/1.1 {status} {words}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
