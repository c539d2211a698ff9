"""The HTTP protocol with the bounds that uvicorn's lacks: how large a request's head may be, how long it may take, how many may call.

Slow senders, floods of headers and floods of connections each meet a bound here, before a line of the application runs.
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


@dataclass(frozen=True)
class HeadLimits:
    """Bounds of a request's head and of connections."""

    bytes_max: int
    secs_max: float
    connections_max: int
    headers_max: int = 100
    on_refused: Callable[[int], None] = lambda status: None
    """Told the status of each refusal."""


class _RefusedError(Exception):
    """Ends the parsing of a head that is refused."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools; `limits` is set by `build_protocol`."""

    limits: HeadLimits
    _deadline: asyncio.TimerHandle | None = None
    _is_in_head = True
    _head_bytes = 0
    _is_body_whole = True
    _name_bytes = 0
    _refusal: tuple[int, str, str] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections_max:
            self._refuse(500, "InternalServerErrorException", "Too many connections are open; call again.")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        if self._is_in_head:
            # Headers count one by one below; one that never ends shows here only.
            self._head_bytes += len(data)
            if self._head_bytes > 4 * self.limits.bytes_max and self._is_head_growing():
                self._refuse_head()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._is_body_whole = True, False
        self._head_bytes = self._name_bytes = 0
        if self._deadline is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.bytes_max:
            self._refusal = (
                414,
                "RequestUriTooLargeException",
                f"The address has more than {self.limits.bytes_max} bytes; expected fewer.",
            )
            raise _RefusedError

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._name_bytes += len(name) + len(value) + 4
        if self._name_bytes > self.limits.bytes_max or len(self.headers) > self.limits.headers_max:
            self._refusal = self._head_refusal()
            raise _RefusedError

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_body_whole = True
        self._stop_waiting()
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete and not self.transport.is_closing():
            # Answered before: its own keep-alive timer was ended by what came since.
            self._await_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_body_whole and self._deadline is None and not self.transport.is_closing():
            # Answered without its body: what is left of that may not keep the connection for ever.
            self._deadline = self.loop.call_later(self.limits.secs_max, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP, and what is refused while it is read, in AWS's shape."""
        if self._refusal is None:
            self._refusal = (400, "BadRequestException", msg)
        self._refuse(*self._refusal)

    def _is_head_growing(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse_head(self) -> None:
        self._refuse(*self._head_refusal())

    def _head_refusal(self) -> tuple[int, str, str]:
        limits = self.limits
        message = f"The head has more than {limits.bytes_max} bytes or {limits.headers_max} headers; expected fewer."
        return 431, "RequestHeaderFieldsTooLargeException", message

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.limits.secs_max, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(408, "RequestTimeoutException", f"The request's head had not come after {self.limits.secs_max:g} s; call again.")

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._refusal = (status, kind, message)
        self._stop_waiting()
        self.limits.on_refused(status)
        request_id = uuid.uuid4()
        body = f'{{"Message":"{message}","RequestID":"{request_id}"}}'.encode()
        head = (
            f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-amzn-errortype: {kind}\r\nx-amzn-requestid: {request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def build_protocol(limits: HeadLimits) -> type[BoundedProtocol]:
    """The protocol class for uvicorn's `http`."""
    return type("LimitedProtocol", (BoundedProtocol,), {"limits": limits})
