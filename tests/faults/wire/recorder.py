"""What goes over a wire: a proxy that writes it down, and a server that poses as a broker."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.tcp_proxy import TcpProxy


class RecordingProxy(TcpProxy):
    """Passes everything on; `seen` is all that went by, both ways."""

    def __init__(self, target: int) -> None:
        self.seen = bytearray()
        super().__init__(target)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        class Recorded:
            def recv(inner, size: int) -> bytes:
                body = source.recv(size)
                self.seen += body
                return body

            def __getattr__(inner, name: str) -> object:
                return getattr(source, name)

        super()._pass_on(Recorded(), sink)  # type: ignore[arg-type]


class Impostor:
    """Listens with a certificate of its own, and says nothing. `told`: what callers said to it once they trusted it; `calls`: how many came."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.told, self.calls = bytearray(), 0
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            threading.Thread(target=self._listen_to, args=[connection], daemon=True).start()

    def _listen_to(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        with contextlib.suppress(OSError), self._context.wrap_socket(connection, server_side=True) as secured:
            while said := secured.recv(65536):
                self.told += said


@contextmanager
def posing(context: ssl.SSLContext) -> Iterator[Impostor]:
    impostor = Impostor(context)
    try:
        yield impostor
    finally:
        impostor.close()
