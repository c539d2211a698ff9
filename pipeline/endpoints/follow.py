"""Follows the lake's endpoints in a DuckDB file of this process: the snapshot first, then what lands, merged in the order of acceptance."""

import datetime as dt

import duckdb

from pipeline.ask.spill import SpillFolder
from pipeline.config import Settings
from pipeline.endpoints.merge import EndpointStates
from pipeline.stores import build_store
from schemas.errors import UnavailableError
from schemas.tables import load_table
from sinks.lake import LakeTable

THREADS = 2


class EndpointFollower:
    """The merged state of all endpoints, and how far it is. For one thread; lookups may run beside it, each on a cursor of its own.

    The file lies in a folder of its own under HEADWATER_HOME, which is gone when this is closed, or with the process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = SpillFolder(settings.home / "spill")
        self._con = duckdb.connect(
            str(self._folder.path / "endpoints.duckdb"),
            config={
                "memory_limit": f"{settings.api_endpoints_memory_bytes_max}B",
                "threads": THREADS,
                "temp_directory": str(self._folder.path / "temp"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        store = build_store(settings, is_reader=True)
        self._updates, self._snapshot = (LakeTable(store, load_table(name)) for name in ("endpoint_updates", "endpoint_states"))
        self._states = EndpointStates(self._con)
        self.as_of: dt.datetime | None = None

    def open_cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for lookups of one thread at a time."""
        return self._con.cursor()

    def follow(self) -> int:
        """Merge what has landed since; returns the count of updates.

        Raises UnavailableError when Kafka or the store does not answer, or the tables are not there yet.
        """
        raise UnavailableError("not yet")

    def count_endpoints(self) -> int:
        """Endpoints that are not deleted."""
        row = self._con.execute("select count(*) from lake.endpoint_states where kind = 'endpoint'").fetchone()
        assert row is not None
        return int(row[0])

    def interrupt(self) -> None:
        """Make what is under way fail; from another thread."""
        self._con.interrupt()

    def close(self) -> None:
        """Close the file and remove it."""
        self._con.close()
        self._folder.remove()
