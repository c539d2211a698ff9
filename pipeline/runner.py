"""What a worker does around the stream: takes partitions over, collects batches, flushes them in a thread, and waits out outages.

Three threads: Faust's event loop (agents, timers, the flush loop), Faust's consumer thread (polling Kafka, heartbeats), and
one flush thread, in which everything that touches the lake runs, one thing at a time: one committer for each table.
"""

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn, TypeVar

import botocore.exceptions
import kafka.errors
from deltalake.exceptions import DeltaError
from faust.types import TP

from agents.batch import Batch
from agents.buffer import Buffer, Offer
from agents.ingest import FlushReport, Ingest
from agents.land import Candidate, LostTailError, Position, UnbalancedError
from pipeline.config import Settings
from pipeline.metrics import WorkerMetrics
from pipeline.topic_ids import TopicIds, TopicState
from schemas.errors import HeadwaterError, UnavailableError

log = logging.getLogger(__name__)

T = TypeVar("T")
BACKOFF_SECS_MAX = 5.0
# Another worker took a partition that Kafka still gives to us: wait before taking it back, or two would only fence each other.
FENCED_PAUSE_SECS = 5.0

# What Kafka, the lake and the network raise when they are away; anything else is a fault of ours, and its trace is wanted.
_OUTAGES = (
    OSError,
    HeadwaterError,
    DeltaError,
    kafka.errors.KafkaError,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
)

# Exit status of a worker that stopped on purpose and must not be started again by itself.
STOPPED_ON_PURPOSE = 3


class InterruptedFlushError(Exception):
    """The flush was given up because positions are set anew or the worker leaves; its records will be read again."""


class StaleBoundsError(Exception):
    """Where partitions begin and end was asked of Kafka too long ago: ask again."""


class Stream:
    """One landing stream in this worker: its topic, its buffer, its ingest."""

    def __init__(self, topic: str, ingest: Ingest) -> None:
        self.topic, self.ingest, self.buffer = topic, ingest, Buffer()
        self.state: TopicState | None = None


class Runner:
    """Implements pipeline.transport.Positions, and the agents' `add`."""

    def __init__(
        self,
        settings: Settings,
        streams: Sequence[Stream],
        metrics: WorkerMetrics,
        topic_ids: TopicIds,
        commit_offsets: Callable[[Mapping[TP, int]], Awaitable[object]],
        run_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.generation = 0
        self.exit_status = 0
        self.stop_worker: Callable[[], None] = lambda: None
        self._settings, self._metrics, self._topic_ids = settings, metrics, topic_ids
        self._streams = {stream.topic: stream for stream in streams}
        for topic in self._streams:
            metrics.declare(topic)
        self._commit_offsets, self._run_step = commit_offsets, run_step
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._calls_under_way = 0
        self._flush_lock = asyncio.Lock()
        self._is_interrupted = threading.Event()
        self._is_reset_wanted = threading.Event()
        self._is_leaving = threading.Event()
        self._is_closed = threading.Event()
        self._wanted_beyond_end: dict[Position, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reset_not_before = 0.0
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()

    # Called by the agents, in the event loop

    async def add(self, batch: Batch) -> None:
        """Take a batch in; waits while too many bytes are held, and Faust then stops polling."""
        stream = self._streams[batch.topic]
        if self._is_leaving.is_set():
            return
        while stream.buffer.bytes_held >= self._settings.inflight_bytes_max and batch.generation == self.generation:
            self._has_room.clear()
            await self._has_room.wait()
        offer = stream.buffer.offer(batch)
        if offer is Offer.AHEAD:
            log.info(
                "Records before offset %d of %s/%d were skipped by the consumer; seeking back.", batch.start, batch.topic, batch.partition
            )
            self._want_reset()
        elif offer is Offer.TAKEN:
            self._metrics.bytes_held.labels(batch.topic).set(stream.buffer.bytes_held)
            self._has_news.set()

    async def flush_forever(self) -> None:
        """Flush whenever enough is buffered or the oldest of it is old enough; the next batches come in meanwhile."""
        self._loop = asyncio.get_running_loop()
        while not self._is_leaving.is_set():
            await self._wait_until_due()
            await self.flush_once()

    async def flush_once(self) -> None:
        """Land what is buffered now, of every stream; one flush at a time."""
        async with self._flush_lock:
            for stream in self._streams.values():
                await self._flush_stream(stream)

    async def _flush_stream(self, stream: Stream) -> None:
        batches = stream.buffer.take(self._settings.flush_bytes_max)
        if not batches:
            return
        try:
            offsets = await self._in_thread(self._flush, stream, batches, self.generation)
        finally:
            stream.buffer.release(batches)
            self._metrics.bytes_held.labels(stream.topic).set(stream.buffer.bytes_held)
            self._has_room.set()
        if offsets:
            await self._commit_offsets(offsets)

    async def close(self, secs_max: float) -> None:
        """Take nothing more in, land what is buffered, at most so long; then nothing more is landed."""
        self._is_leaving.set()
        try:
            async with asyncio.timeout(secs_max):
                # At least once: it waits for the flush that is under way.
                await self.flush_once()
                while any(not stream.buffer.is_empty for stream in self._streams.values()):
                    await self.flush_once()
        except TimeoutError:
            log.warning("The lake did not take the last records within %g s; they will be read again.", secs_max)
        self._is_closed.set()
        self._is_interrupted.set()
        self._has_news.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _wait_until_due(self) -> None:
        await self._has_news.wait()
        self._has_news.clear()
        due = time.monotonic() + self._settings.flush_secs_max
        while (left := due - time.monotonic()) > 0 and not self._is_leaving.is_set():
            if any(stream.buffer.bytes_waiting >= self._settings.flush_bytes_max for stream in self._streams.values()):
                break
            try:
                async with asyncio.timeout(left):
                    await self._has_news.wait()
                    self._has_news.clear()
            except TimeoutError:
                break
        # What is left after this flush is due again.
        self._has_news.set()

    # Called by the transport, in the consumer thread

    async def take_over(
        self, earliest: Mapping[TP, int], latest: Mapping[TP, int], is_current: Callable[[], bool]
    ) -> Mapping[TP, int] | None:
        """Own exactly these partitions; what was buffered is dropped. Waits out outages of the lake and of Kafka.

        None when it was given up: Kafka must be asked again where they begin and end, `is_current` says that they are not
        assigned to us any more, or the worker leaves.
        """
        self._is_interrupted.set()
        try:
            return await self._in_thread(self._take_over, earliest, latest, is_current)
        except StaleBoundsError:
            return None
        except (InterruptedFlushError, RuntimeError):
            # A RuntimeError is the closed executor's.
            if not self._is_closed.is_set() and is_current():
                raise
            return None
        finally:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._has_room.set)

    @property
    def is_at_work(self) -> bool:
        """True while something is under way with the lake, be it that the store does not answer."""
        return self._calls_under_way > 0

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        """Run a call in the flush thread."""

        def run() -> T:
            self._calls_under_way += 1
            try:
                return call(*arguments)
            finally:
                self._calls_under_way -= 1

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def is_reset_wanted(self) -> bool:
        return self._is_reset_wanted.is_set() and time.monotonic() >= self._reset_not_before

    # In the flush thread

    def _take_over(self, earliest: Mapping[TP, int], latest: Mapping[TP, int], is_current: Callable[[], bool]) -> dict[TP, int]:
        self._is_interrupted.clear()
        self._is_reset_wanted.clear()
        self.generation += 1
        starts: dict[TP, int] = {}
        for stream in self._streams.values():
            partitions = {tp.partition: tp for tp in earliest if tp.topic == stream.topic}
            attempt = functools.partial(self._take_over_stream, stream, partitions, earliest, latest)
            taken = self._retry(attempt, is_current)
            stream.buffer.reset({(stream.topic, partition): offset for partition, offset in taken.items()}, self.generation)
            starts |= {partitions[partition]: offset for partition, offset in taken.items()}
        return starts

    def _take_over_stream(
        self, stream: Stream, partitions: Mapping[int, TP], earliest: Mapping[TP, int], latest: Mapping[TP, int]
    ) -> dict[int, int]:
        landing = stream.ingest.landing
        found = self._topic_ids.look_up([stream.topic]).get(stream.topic)
        landing.release(list(landing.owned))
        self._metrics.partitions.labels(stream.topic).set(len(partitions))
        if not partitions:
            return {}
        if found is None:
            raise UnavailableError(
                f"Topic '{stream.topic}' does not exist; create it ('headwater up' does), or name another HEADWATER_TOPIC_PREFIX."
            )
        before, stream.state = stream.state, found
        if before is not None and before.topic_id != found.topic_id:
            self._note_made_anew(stream, f"before {before.topic_id}")
            raise StaleBoundsError
        candidates = [
            Candidate(Position(found.topic_id, partition), earliest[tp], latest[tp], found.partition_count)
            for partition, tp in partitions.items()
        ]
        try:
            for step in landing.take_over(candidates):
                self._run_step(step)
        except LostTailError as error:
            self._raise_unless_confirmed(error)
        self._wanted_beyond_end.clear()
        if landing.is_topic_replaced:
            landing.is_topic_replaced = False
            if before is None:
                self._note_made_anew(stream, "another one when a worker last looked")
        self._note_gaps(stream)
        starts = {position.partition: owned.wanted for position, owned in landing.owned.items()}
        stream.ingest.windows.assign(found.topic_id, starts, found.partition_count)
        return starts

    def _flush(self, stream: Stream, batches: Sequence[Batch], generation: int) -> dict[TP, int]:
        """Land batches, trying again until it is done; returns the offsets that Kafka may show as committed."""

        report = FlushReport()

        def attempt() -> dict[TP, int]:
            if generation != self.generation:
                raise InterruptedFlushError
            assert stream.state is not None
            found = self._topic_ids.look_up([stream.topic]).get(stream.topic)
            if found is None or found.topic_id != stream.state.topic_id:
                log.error("Topic '%s' was made anew; what was buffered of the old one is dropped.", stream.topic)
                self._want_reset()
                raise InterruptedFlushError
            landed, fenced = stream.ingest.flush(batches, stream.state.topic_id, self._run_step, report)
            self._metrics.record(stream.topic, report)
            self._metrics.dedup_keys.labels(stream.topic).set(stream.ingest.windows.key_count)
            self._metrics.dedup_bytes.labels(stream.topic).set(stream.ingest.windows.memory_bytes)
            self._metrics.dedup_window.labels(stream.topic).set(stream.ingest.windows.covered_secs)
            if fenced:
                log.warning("Another worker owns partitions %s of '%s' by now.", [one.position.partition for one in fenced], stream.topic)
                self._want_reset(FENCED_PAUSE_SECS)
            return {TP(stream.topic, one.position.partition): one.end for one in landed}

        try:
            return self._retry(attempt, lambda: not self._is_interrupted.is_set())
        except InterruptedFlushError:
            return {}

    def _retry(self, attempt: Callable[[], T], is_current: Callable[[], bool]) -> T:
        """Try until it works; between tries wait, longer each time. Given up when it is not wanted any more.

        Raises InterruptedFlushError when it was given up, or when going on would do harm and the worker stops.
        """
        backoff, said = 0.2, ""
        while True:
            try:
                return attempt()
            except (InterruptedFlushError, StaleBoundsError):
                raise
            except (LostTailError, UnbalancedError) as error:
                self._stop(str(error), STOPPED_ON_PURPOSE)
                raise InterruptedFlushError from error
            except Exception as error:
                # Whatever the lake or Kafka answers: nothing is lost by waiting, and a person must see why.
                self._metrics.failures.inc()
                is_trace_wanted = repr(error) != said and (log.isEnabledFor(logging.DEBUG) or not isinstance(error, _OUTAGES))
                log.warning("Waiting %.1f s after %s: %s", backoff, type(error).__name__, error, exc_info=is_trace_wanted)
                said = repr(error)
                self._is_interrupted.wait(backoff)
                if self._is_closed.is_set() or not is_current():
                    raise InterruptedFlushError from error
                backoff = min(backoff * 2, BACKOFF_SECS_MAX)

    def _raise_unless_confirmed(self, error: LostTailError) -> NoReturn:
        """Stop only when Kafka's log ends before what had landed already when Kafka was asked.

        Where it ends was asked before the lake was: another worker may have landed more since, when this one was stopped or
        the lake was away for a while.
        """
        known = self._wanted_beyond_end.get(error.position)
        if known is not None and error.latest < known:
            raise error
        self._wanted_beyond_end[error.position] = error.wanted
        raise StaleBoundsError from error

    def _note_made_anew(self, stream: Stream, before: str) -> None:
        assert stream.state is not None
        self._metrics.made_anew.labels(stream.topic).inc()
        log.error(
            "Topic '%s' was made anew (id %s, %s): records of the old one that had not landed are lost.",
            *(stream.topic, stream.state.topic_id, before),
        )
        self._stop_on_gap(f"topic '{stream.topic}' was made anew")

    def _note_gaps(self, stream: Stream) -> None:
        gaps, stream.ingest.landing.gaps = stream.ingest.landing.gaps, []
        for gap in gaps:
            self._metrics.gap.labels(stream.topic).inc(gap.end - gap.start)
            log.error(
                "Gap: %d offsets [%d, %d) of %s/%d are gone from Kafka and never landed.",
                *(gap.end - gap.start, gap.start, gap.end, stream.topic, gap.position.partition),
            )
        if gaps:
            self._stop_on_gap(f"records of '{stream.topic}' were gone before they were read")

    def _stop_on_gap(self, reason: str) -> None:
        if self._settings.gap_policy == "stop":
            self._stop(f"{reason}, and HEADWATER_GAP_POLICY is 'stop'; start the worker again to go on after the gap", STOPPED_ON_PURPOSE)

    def _stop(self, reason: str, exit_status: int) -> None:
        log.critical("The worker stops: %s", reason)
        self.exit_status = exit_status
        self._is_closed.set()
        self.stop_worker()

    def _want_reset(self, pause_secs: float = 0) -> None:
        self._reset_not_before = time.monotonic() + pause_secs
        self._is_reset_wanted.set()
