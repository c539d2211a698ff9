"""A TCP proxy on the loopback address that a test can cut, let hang and mend: an outage of S3 or Kafka as a client sees it."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TcpProxy:
    """Passes connections on to 127.0.0.1:`target`. Cut: refuses connections and breaks those that there are. Hanging: takes them and is silent."""

    def __init__(self, target: int, is_open: bool = True) -> None:
        self.target = target
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._flows = threading.Event()
        self._flows.set()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        if is_open:
            self.mend()

    def mend(self) -> None:
        """Take connections and pass everything on."""
        self._flows.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def cut(self) -> None:
        """Refuse connections; break those that there are."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # The thread that waits for a connection is woken by this, not by closing.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            broken, self._sockets = self._sockets, set()
        for one in broken:
            _close(one)
        self._flows.set()

    def hang(self) -> None:
        """Go on taking connections, pass nothing on until mended."""
        self._flows.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._sockets |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=[source, sink], daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while body := source.recv(65536):
                self._flows.wait()
                sink.sendall(body)
        with self._lock:
            self._sockets -= {source, sink}
        for one in (source, sink):
            _close(one)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def proxy_to(port: int, is_open: bool = True) -> Iterator[TcpProxy]:
    """A proxy for the time of a `with` block."""
    proxy = TcpProxy(port, is_open)
    try:
        yield proxy
    finally:
        proxy.cut()
