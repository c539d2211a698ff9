"""The API's own table of endpoints, in a DuckDB of this process: loaded from the lake, followed as updates land, asked by id and by user."""

import asyncio
import datetime as dt
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import confluent_kafka
import duckdb
from botocore.exceptions import BotoCoreError, ClientError
from deltalake.exceptions import DeltaError

from pipeline.api.metrics import ApiMetrics
from pipeline.config import Settings
from pipeline.endpoints.follow import EndpointFollower
from pipeline.endpoints.horizon import BATCH_ROWS
from pipeline.endpoints.lookup import find_endpoint, find_user_endpoints
from schemas.errors import HeadwaterError

log = logging.getLogger(__name__)

BACKOFF_SECS_MAX = 5.0
# Of the time that a look took: among a million endpoints a merge of a few updates takes a third of a second, and events come first.
_REST = 3.0
# Of API_ENDPOINTS_FRESH_SECS: longer than this nothing rests.
_REST_SHARE_MAX = 0.5
# There is a cursor for each reader; a table that lends none in this time is gone.
_CURSOR_SECS_MAX = 5.0
# Requests that read at the same moment; more wait for their turn.
READERS = 4
# After these DuckDB answers nothing more.
_BROKEN = (duckdb.FatalException, duckdb.InternalException)
# What Kafka, the lake and the network raise when they are away; anything else is a fault of ours, and its trace is wanted.
_OUTAGES = (OSError, HeadwaterError, DeltaError, confluent_kafka.KafkaException, BotoCoreError, ClientError)
Row = dict[str, Any]


class NotLoadedError(Exception):
    """There is no table to ask, not any more or not yet."""


class LoadedTable:
    """A table that is loaded with the cursors that ask it: readers take both at once, so that none asks a table that is being loaded."""

    def __init__(self, follower: EndpointFollower) -> None:
        self.follower = follower
        self._cursors: queue.SimpleQueue[duckdb.DuckDBPyConnection] = queue.SimpleQueue()
        for _ in range(READERS):
            self._cursors.put(follower.open_cursor())

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of one's own for a while. Raises NotLoadedError when there is none."""
        try:
            cursor = self._cursors.get(timeout=_CURSOR_SECS_MAX)
        except queue.Empty:
            raise NotLoadedError from None
        try:
            yield cursor
        finally:
            self._cursors.put(cursor)


class EndpointIndex:
    """One thread of its own loads and merges, however long that takes and whatever is away; lookups run in others, beside it.

    What is asked is answered from what is merged. `as_of` says how far that is: it stands still while Kafka, S3 or the worker is away.
    """

    def __init__(self, settings: Settings, metrics: ApiMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that only grow. `why` says why nothing is shown, or what is shown grows old."""
        self._settings, self._metrics, self._clock = settings, metrics, clock
        self._is_closed = threading.Event()
        # The follower is the thread's own; readers have it once it is loaded.
        self._follower: EndpointFollower | None = None
        self._table: LoadedTable | None = None
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="endpoint-reads")
        self._thread = threading.Thread(target=self._follow_forever, name="endpoints", daemon=True)
        self.why = "they are being loaded."

    def start(self) -> None:
        """Begin to load; comes back at once."""
        self._thread.start()

    @property
    def as_of(self) -> dt.datetime | None:
        """Every update accepted until then can be found; None until the endpoints are loaded."""
        table = self._table
        return table.follower.as_of if table is not None else None

    @property
    def age_secs(self) -> float:
        """How long ago `as_of` is; -1 while nothing is loaded."""
        as_of = self.as_of
        return -1.0 if as_of is None else time.time() - as_of.timestamp()

    async def find_endpoint(self, app_id: str, endpoint_id: str) -> list[Row]:
        """The endpoint as a row of core.endpoints; none where there is no such endpoint. Raises NotLoadedError."""
        return await self._ask(lambda cursor: [row] if (row := find_endpoint(cursor, app_id, endpoint_id)) else [])

    async def find_user_endpoints(self, app_id: str, user_id: str) -> list[Row]:
        """The user's endpoints as rows of core.endpoints. Raises NotLoadedError."""
        return await self._ask(lambda cursor: find_user_endpoints(cursor, app_id, user_id))

    def close(self, secs_max: float) -> None:
        """Stop following and remove the table; what is under way is interrupted."""
        self._is_closed.set()
        self._readers.shutdown(cancel_futures=True)
        if self._thread.is_alive():
            if self._follower is not None:
                self._follower.interrupt()
            self._thread.join(secs_max)

    async def _ask(self, ask: Callable[[duckdb.DuckDBPyConnection], list[Row]]) -> list[Row]:
        table = self._table
        if table is None:
            raise NotLoadedError

        def run() -> list[Row]:
            try:
                with table.cursor() as cursor:
                    return ask(cursor)
            except duckdb.Error as error:
                # It was given up and closed while it was asked.
                if self._table is table:
                    raise
                raise NotLoadedError from error

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def _follow_forever(self) -> None:
        backoff, said = 0.2, ""
        try:
            while not self._is_closed.is_set():
                began, is_load = self._clock(), self._table is None
                try:
                    updates = self._follow_once()
                except Exception as error:  # noqa: BLE001 - as the comment says
                    # Whatever is away or wrong: reads go on with what there is, and a person must see why it grows old.
                    if self._is_closed.is_set():
                        return
                    self._metrics.endpoints_failures.inc()
                    said = self._note(error, said)
                    if isinstance(error, _BROKEN):
                        self._begin_anew()
                    self._is_closed.wait(backoff)
                    backoff = min(backoff * 2, BACKOFF_SECS_MAX)
                    continue
                if said:
                    log.info("Endpoints are followed again.")
                backoff, said = 0.2, ""
                self._is_closed.wait(self._rest_secs(self._clock() - began, updates, is_load and self._table is not None))
        finally:
            if self._follower is not None:
                self._follower.close()

    def _rest_secs(self, look_secs: float, updates: int, is_load: bool) -> float:
        """How long the thread stands still after a look: not after a load, nor while more waits than one look merges."""
        if is_load or updates >= BATCH_ROWS:
            return 0.0
        settings = self._settings
        return max(settings.api_endpoints_refresh_secs, min(_REST * look_secs, _REST_SHARE_MAX * settings.api_endpoints_fresh_secs))

    def _follow_once(self) -> int:
        """Merge what has landed; the count of updates."""
        if self._follower is None:
            self._follower = EndpointFollower(self._settings)
        follower = self._follower
        late_before = follower.late_count
        updates = follower.follow()
        # Whatever grows old from now on does so because nothing lands.
        self.why = "what Kafka holds of them has not landed; see that a worker runs."
        if self._table is None and follower.as_of is not None:
            self._table = LoadedTable(follower)
        self._metrics.endpoints_late.inc(follower.late_count - late_before)
        if updates:
            self._metrics.endpoints_merged.inc(updates)
            self._metrics.endpoints.set(follower.count_endpoints())
        return updates

    def _begin_anew(self) -> None:
        """Let go of a table that cannot be used any more; it is loaded from the first."""
        follower, self._follower, self._table = self._follower, None, None
        if follower is not None:
            follower.close()

    def _note(self, error: Exception, said: str) -> str:
        """Say once what is wrong; what is not an outage with its trace."""
        now = repr(error)
        self.why = f"{error}"
        if now != said:
            log.warning("Endpoints are shown as of %s: %s", self.as_of or "no moment yet", error, exc_info=not isinstance(error, _OUTAGES))
        return now
