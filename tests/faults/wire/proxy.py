"""A fault proxy on the loopback address, between workers and S3 or Kafka: it delays, cuts, alters, is silent and answers itself, as its rules say.

It runs in a thread of its own and is told what to do from the test's. A client of Kafka that was given the proxy as its server goes through it
with all its connections: where the broker names its own port, the proxy puts its own.
"""

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from tests.faults.wire.http_wire import HEAD_BYTES_MAX
from tests.faults.wire.proxy_pumps import GONE, Connection, Ends, HttpConnection, KafkaConnection
from tests.faults.wire.proxy_rules import Fault, Rule, Rules


class FaultProxy:
    """Passes connections on to 127.0.0.1:`target`; use `fault_proxy`. `port` is where it listens."""

    def __init__(self, target: int, speaks: Literal["http", "kafka"], chance: random.Random) -> None:
        self.target, self.speaks = target, speaks
        # Bound for the proxy's whole life, so that nobody else takes the port while nobody listens.
        self._place = _bind(0)
        self.port = int(self._place.getsockname()[1])
        self._rules = Rules(chance)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._connections: dict[asyncio.Task[None], Connection | None] = {}
        self._listener: asyncio.Server | None = None
        self._is_ended = False

    # Called in the test's thread

    def start(self) -> None:
        self._thread.start()
        self._call(self._listen_or_refuse())

    def close(self) -> None:
        """End every connection and the thread."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._place.close()

    def inject(self, fault: Fault, **options: Any) -> Rule:
        """Switch a rule on (options as in Rule), until it is mended."""
        rule = Rule(fault, **options)
        self._rules.add(rule)
        self._call(self._listen_or_refuse())
        return rule

    def mend(self, rule: Rule) -> None:
        """Switch a rule off; what it held flows."""
        self._rules.remove(rule)
        self._call(self._listen_or_refuse())

    @contextmanager
    def injected(self, fault: Fault, **options: Any) -> Iterator[Rule]:
        """A rule for the time of a `with` block."""
        rule = self.inject(fault, **options)
        try:
            yield rule
        finally:
            self.mend(rule)

    def count(self, fault: Fault) -> int:
        """How often a fault struck."""
        return self._rules.struck[fault]

    def answers(self, fault: Fault) -> dict[int, int]:
        """How often the server answered with which status what this fault had struck; HTTP only."""
        return {status: count for (name, status), count in list(self._rules.answers.items()) if name == fault}

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    # In the proxy's thread

    async def _listen_or_refuse(self) -> None:
        if self._rules.is_refusing and self._listener is not None:
            self._listener.close()
            self._listener = None
            self._rules.struck["refuse"] += 1
            for connection in filter(None, self._connections.values()):
                connection.cut()
        elif not self._rules.is_refusing and self._listener is None:
            self._listener = await asyncio.start_server(self._accept, sock=_bind(self.port), limit=HEAD_BYTES_MAX)

    async def _end(self) -> None:
        self._is_ended = True
        if self._listener is not None:
            self._listener.close()
        # Some were accepted just now, and have not begun: they see that it has ended.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in self._connections:
                task.cancel()
            await asyncio.wait(tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = None
        # The end of a connection, or of the proxy.
        with contextlib.suppress(*GONE, asyncio.CancelledError):
            if not self._is_ended:
                far = await asyncio.open_connection("127.0.0.1", self.target, limit=HEAD_BYTES_MAX)
                connection = self._connections[task] = self._build_connection((reader, writer), far)
                await connection.serve()
        writer.transport.abort()
        del self._connections[task]

    def _build_connection(self, near: Ends, far: Ends) -> Connection:
        if self.speaks == "kafka":
            return KafkaConnection(self._rules, near, far, self.target, self.port)
        return HttpConnection(self._rules, near, far)


def _bind(port: int) -> socket.socket:
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    place.bind(("127.0.0.1", port))
    return place


@contextmanager
def fault_proxy(target: int, chance: random.Random, speaks: Literal["http", "kafka"] = "http") -> Iterator[FaultProxy]:
    """A proxy for the time of a `with` block; without a rule it passes everything on."""
    proxy = FaultProxy(target, speaks, chance)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
