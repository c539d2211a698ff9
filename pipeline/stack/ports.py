"""Says which port is taken, by whom, and which setting moves it, before anything is started."""

import socket
from collections.abc import Iterable

import psutil

from pipeline.stack.programs import Program
from schemas.errors import UnavailableError


def require_free_ports(programs: Iterable[Program]) -> None:
    """Raise UnavailableError for the first port of these programs that another process listens on."""
    for program in programs:
        for what, port in program.ports.items():
            if not is_free(port):
                raise UnavailableError(
                    f"Port {port} of 127.0.0.1, which {what} needs, is in use by {find_owner(port)}. "
                    "Stop that, or move the whole stack to other ports: set HEADWATER_PORT_OFFSET, for example HEADWATER_PORT_OFFSET=100."
                )


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        # As servers do: connections that have ended and only wait for their time-out do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


def find_owner(port: int) -> str:
    """The process that listens on this port, for people: 'process 123 (java)'."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return "another process"
