"""Follows the lake's endpoints in a DuckDB file of this process: the snapshot first, then what lands, merged in the order of acceptance."""

import datetime as dt
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import duckdb

from pipeline.ask.spill import SpillFolder
from pipeline.bare_duckdb import open_duckdb
from pipeline.config import Settings
from pipeline.endpoints.end_offsets import EndOffsets
from pipeline.endpoints.horizon import read_new_updates
from pipeline.endpoints.merge import EndpointStates
from pipeline.endpoints.snapshot import read_states
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable

THREADS = 2


class EndpointFollower:
    """The merged state of all endpoints, how far it is, and how many updates came too late for their place in the order. For one thread; lookups may run beside it, each on a cursor of its own.

    The file lies in a folder of its own under HEADWATER_HOME, which is gone when this is closed, or with the process.
    """

    def __init__(self, settings: Settings) -> None:
        store = build_store(settings, is_reader=True)
        self._updates, self._snapshot = (LakeTable(store, load_table(name)) for name in ("endpoint_updates", "endpoint_states"))
        self._ends = EndOffsets(settings)
        self._margin = dt.timedelta(seconds=settings.endpoint_order_secs)
        self._is_loaded = False
        self.late_count = 0
        with ExitStack() as opened:
            opened.callback(self._ends.close)
            folder = SpillFolder(settings.home / "spill")
            opened.callback(folder.remove)
            self._con = open_table(folder.path, settings.api_endpoints_memory_bytes_max)
            opened.callback(self._con.close)
            self._states = EndpointStates(self._con)
            self._opened = opened.pop_all()

    @property
    def as_of(self) -> dt.datetime | None:
        """Every update accepted until then is merged; None while that is not known of any moment."""
        return self._states.as_of() if self._is_loaded else None

    def open_cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for lookups of one thread at a time."""
        return self._con.cursor()

    def follow(self) -> int:
        """Merge what has landed since; returns the count of updates. What was merged before an error stays so.

        Raises UnavailableError when Kafka or the store does not answer.
        """
        if not self._is_loaded:
            self._load()
        count = 0
        states = self._states
        for batch in read_new_updates(self._updates, states.covered(), states.as_of(), self._ends.ask, time.time, self._margin):
            if batch.rows.num_rows:
                states.merge(batch.rows)
                count += batch.rows.num_rows
            states.cover(batch.offsets, batch.until)
            self.late_count += batch.late_count
        return count

    def count_endpoints(self) -> int:
        """Endpoints that are not deleted."""
        row = self._con.execute("select count(*) from lake.endpoint_states where kind = 'endpoint'").fetchone()
        assert row is not None, "a count has one row"
        return int(row[0])

    def interrupt(self) -> None:
        """Make what is under way fail; from another thread, which may come when this is closed already."""
        with suppress(duckdb.ConnectionException):
            self._con.interrupt()

    def close(self) -> None:
        """Close the file and remove it."""
        self._opened.close()

    def _load(self) -> None:
        """Take over maintenance's snapshot, where there is one; without it all updates are merged from the first."""
        if self._snapshot.exists():
            self._snapshot.refresh()
            self._states.load(read_states(self._snapshot))
        self._is_loaded = True


def open_table(folder: Path, memory_bytes: int) -> duckdb.DuckDBPyConnection:
    """A DuckDB for the states, a file in this folder."""
    return open_duckdb(folder / "endpoints.duckdb", memory_limit=f"{memory_bytes}B", threads=THREADS, temp_directory=str(folder))
