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
from pipeline.endpoints.lookup import find_endpoint, find_user_endpoints
from schemas.errors import HeadwaterError

log = logging.getLogger(__name__)

BACKOFF_SECS_MAX = 5.0
# Requests that read at the same moment; more wait for their turn.
READERS = 4
# What Kafka, the lake and the network raise when they are away; anything else is a fault of ours, and its trace is wanted.
_OUTAGES = (OSError, HeadwaterError, DeltaError, confluent_kafka.KafkaException, BotoCoreError, ClientError)
Row = dict[str, Any]


class EndpointIndex:
    """One thread of its own loads and merges, however long that takes and whatever is away; lookups run in others, beside it.

    What is asked is answered from what is merged. `as_of` says how far that is: it stands still while Kafka, S3 or the worker is away.
    """

    def __init__(self, settings: Settings, metrics: ApiMetrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._is_closed = threading.Event()
        self._follower: EndpointFollower | None = None
        self._cursors: queue.SimpleQueue[duckdb.DuckDBPyConnection] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="endpoint-reads")
        self._thread = threading.Thread(target=self._follow_forever, name="endpoints", daemon=True)
        self.as_of: dt.datetime | None = None
        self.why_not_ready = "they are being loaded."

    def start(self) -> None:
        """Begin to load; comes back at once."""
        self._thread.start()

    @property
    def age_secs(self) -> float:
        """How long ago `as_of` is; -1 while nothing is loaded."""
        return -1.0 if self.as_of is None else time.time() - self.as_of.timestamp()

    async def find_endpoint(self, app_id: str, endpoint_id: str) -> list[Row]:
        """The endpoint as a row of core.endpoints; none where there is no such endpoint. Only once `as_of` is set."""
        return await self._ask(lambda cursor: [row] if (row := find_endpoint(cursor, app_id, endpoint_id)) else [])

    async def find_user_endpoints(self, app_id: str, user_id: str) -> list[Row]:
        """The user's endpoints as rows of core.endpoints. Only once `as_of` is set."""
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
        def run() -> list[Row]:
            with self._cursor() as cursor:
                return ask(cursor)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._cursors.get()
        try:
            yield cursor
        finally:
            self._cursors.put(cursor)

    def _follow_forever(self) -> None:
        backoff, said = 0.2, ""
        try:
            while not self._is_closed.is_set():
                try:
                    self._follow_once()
                except Exception as error:  # noqa: BLE001 - as the comment says
                    # Whatever is away or wrong: reads go on with what there is, and a person must see why it grows old.
                    if self._is_closed.is_set():
                        return
                    self._metrics.endpoints_failures.inc()
                    said = self._note(error, said)
                    self._is_closed.wait(backoff)
                    backoff = min(backoff * 2, BACKOFF_SECS_MAX)
                    continue
                if said:
                    log.info("Endpoints are followed again.")
                backoff, said = 0.2, ""
                self._is_closed.wait(self._settings.api_endpoints_refresh_secs)
        finally:
            if self._follower is not None:
                self._follower.close()

    def _follow_once(self) -> None:
        if self._follower is None:
            follower = EndpointFollower(self._settings)
            self._follower = follower
            for _ in range(READERS):
                self._cursors.put(follower.open_cursor())
        updates = self._follower.follow()
        self.as_of = self._follower.as_of
        if updates:
            self._metrics.endpoints_merged.inc(updates)
            self._metrics.endpoints.set(self._follower.count_endpoints())

    def _note(self, error: Exception, said: str) -> str:
        """Say once what is wrong; what is not an outage with its trace."""
        now = repr(error)
        self.why_not_ready = f"{error}" if self.as_of is None else ""
        if now != said:
            log.warning("Endpoints are shown as of %s: %s", self.as_of or "no moment yet", error, exc_info=not isinstance(error, _OUTAGES))
        return now
