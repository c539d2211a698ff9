"""A connection through the fault proxy: two pumps between client and server, each asking the rules about what it passes on."""

import asyncio
import contextlib
import struct

from tests.faults.wire.http_wire import Request, TooLargeError, build_error, read_request
from tests.faults.wire.proxy_rules import Rule, Rules, Side

_CHUNK_BYTES = 65_536
# More than a broker of ours sends at once.
_FRAME_BYTES_MAX = 256_000_000
# How a connection ends.
GONE = (OSError, asyncio.IncompleteReadError, TooLargeError)
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Connection:
    """Both ends of it; subclasses know what is spoken."""

    def __init__(self, rules: Rules, near: Ends, far: Ends) -> None:
        self._rules = rules
        self._near, self._near_writer = near
        self._far, self._far_writer = far
        self._is_cut = False
        # What a black hole took is missing for ever, so nothing that comes later may be passed on.
        self._gone: set[Side] = set()

    def cut(self) -> None:
        self._is_cut = True
        for writer in (self._near_writer, self._far_writer):
            writer.transport.abort()

    async def serve(self) -> None:
        """Until one of both sides ends it."""
        up, down = (asyncio.create_task(pump) for pump in (self._pass_up(), self._pass_down()))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            if up.done() and up.exception() is None and not self._is_cut:
                # The client sends no more; what it asked for may still be answered.
                with contextlib.suppress(OSError):
                    self._far_writer.write_eof()
                await down
        finally:
            # First: while it waits for its pumps it may be told to end, and would leave the far side open.
            self.cut()
            for pump in (up, down):
                pump.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _pass_up(self) -> None:
        raise NotImplementedError

    async def _pass_down(self) -> None:
        raise NotImplementedError

    async def _send_up(self, body: bytes) -> None:
        if "up" not in self._gone:
            self._far_writer.write(body)
            await self._far_writer.drain()

    async def _send_down(self, body: bytes) -> None:
        if "down" not in self._gone:
            self._near_writer.write(body)
            await self._near_writer.drain()

    async def _stop(self, rule: Rule, side: Side) -> None:
        """Wait while a rule holds this way; under a black hole everything that comes this way is gone."""
        if rule.fault == "hold":
            await self._rules.wait_until_off(rule)
        else:
            self._gone |= {each for each in ("up", "down") if rule.stops(each)}

    def _flip(self, body: bytes) -> bytes:
        if not body:
            return body
        place = self._rules.chance.randrange(len(body))
        return body[:place] + bytes([body[place] ^ 1 << self._rules.chance.randrange(8)]) + body[place + 1 :]


class HttpConnection(Connection):
    """Request by request; what is answered flows by, and belongs to the request before it."""

    def __init__(self, rules: Rules, near: Ends, far: Ends) -> None:
        super().__init__(rules, near, far)
        # Of the request that is under way.
        self._request = Request(b"", b"")
        self._rule: Rule | None = None
        self._is_answered = True

    async def _pass_up(self) -> None:
        while (request := await read_request(self._near, self._near_writer)) is not None:
            self._request, self._rule = request, self._rules.draw(request.method, request.path)
            self._is_answered = False
            passed = await self._strike(self._rule, request) if self._rule is not None else request
            if self._is_cut:
                return
            if passed is not None:
                await self._send_up(passed.head + passed.body)

    async def _strike(self, rule: Rule, request: Request) -> Request | None:
        """The request as it is passed on; None when it is not."""
        if rule.fault == "delay":
            await asyncio.sleep(rule.secs)
        elif rule.fault == "cut_before":
            self.cut()
        elif rule.fault == "tear":
            await self._send_up(request.head + request.body[: len(request.body) // 2])
            self._far_writer.close()
            self.cut_near()
        elif rule.fault == "answer":
            await self._send_down(build_error(rule.status, request.method))
            return None
        elif rule.fault == "truncate":
            return request.shortened()
        elif rule.fault == "flip":
            return Request(request.head, self._flip(request.body))
        elif rule.stops("up"):
            await self._stop(rule, "up")
        return request

    def cut_near(self) -> None:
        """Towards the client alone: the server gets what was sent to it, and then the end."""
        self._is_cut = True
        self._near_writer.transport.abort()

    async def _pass_down(self) -> None:
        while chunk := await self._far.read(_CHUNK_BYTES):
            rule = self._rule
            self._note_answer(rule, chunk)
            if rule is not None and rule.fault == "cut_after":
                self.cut()
                return
            if rule is not None and rule.fault == "answer_after":
                await self._send_down(build_error(rule.status, self._request.method))
                self._is_cut = True
                self._near_writer.close()
                return
            if rule is None or not rule.stops("down"):
                rule = self._rules.find_stopping(self._request.method, self._request.path)
            if rule is not None:
                await self._stop(rule, "down")
            await self._send_down(chunk)

    def _note_answer(self, rule: Rule | None, chunk: bytes) -> None:
        """The status stands in the answer's first line."""
        if rule is not None and not self._is_answered:
            self._rules.answers[rule.fault, int(chunk.split(b" ", 2)[1])] += 1
        self._is_answered = True


class KafkaConnection(Connection):
    """Chunks towards the broker, its answers frame by frame: the broker's port in them becomes the proxy's."""

    def __init__(self, rules: Rules, near: Ends, far: Ends, broker_port: int, own_port: int) -> None:
        super().__init__(rules, near, far)
        self._find, self._replacement = (b"127.0.0.1" + struct.pack(">i", port) for port in (broker_port, own_port))

    async def _pass_up(self) -> None:
        while chunk := await self._near.read(_CHUNK_BYTES):
            chunk = await self._strike(chunk, "up")
            if self._is_cut:
                return
            await self._send_up(chunk)

    async def _pass_down(self) -> None:
        while True:
            head = await self._far.readexactly(4)
            (size,) = struct.unpack(">i", head)
            if not 0 <= size <= _FRAME_BYTES_MAX:
                raise TooLargeError
            frame = (await self._far.readexactly(size)).replace(self._find, self._replacement)
            frame = await self._strike(head + frame, "down")
            if self._is_cut:
                return
            await self._send_down(frame)

    async def _strike(self, chunk: bytes, side: Side) -> bytes:
        rule = self._rules.draw_chunk(side) if side not in self._gone else None
        if rule is None:
            return chunk
        if rule.fault == "delay":
            await asyncio.sleep(rule.secs)
        elif rule.stops(side):
            await self._stop(rule, side)
        elif rule.fault == "flip":
            return self._flip(chunk)
        else:
            self.cut()
        return chunk
