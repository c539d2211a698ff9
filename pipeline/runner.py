"""What a worker does around the stream: collects batches, flushes them, and starts anew where the lake says after a rebalance.

Three threads: Faust's event loop (agents, timers, the flush loop), Faust's consumer thread (polling Kafka, heartbeats), and
the lake's thread, in which every flush and every take-over runs.
"""

import asyncio
import contextlib
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NoReturn

from faust.types import TP

from agents.batch import Batch
from agents.buffer import Offer
from agents.flush_report import FlushReport
from pipeline import flush_decision
from pipeline.config import Settings
from pipeline.flush_pace import FlushPace, count_committers
from pipeline.flush_size import FlushSize, is_out_of_memory
from pipeline.lake_thread import GivenUpError, LakeThread, StaleBoundsError
from pipeline.metrics import WorkerMetrics
from pipeline.takeover import Stream, TakeOver
from pipeline.topic_ids import TopicIds

log = logging.getLogger(__name__)

# Another worker took a partition that Kafka still gives to us: wait before taking it back, or two would only fence each other.
FENCED_PAUSE_SECS = 5.0
# Memory was short: whatever else needs it on this machine may be done soon.
SHORT_PAUSE_SECS = 0.5


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
        self.thread = LakeThread(metrics)
        self._settings, self._metrics, self._topic_ids = settings, metrics, topic_ids
        self._streams = {stream.topic: stream for stream in streams}
        for topic, stream in self._streams.items():
            metrics.declare(topic)
            for table in (stream.ingest.landing.events, stream.ingest.landing.dead_letters):
                metrics.declare_table(table.name)
        self._commit_offsets, self._run_step = commit_offsets, run_step
        self._takeover = TakeOver(settings, metrics, topic_ids, run_step, self.thread.stop)
        self._pace = FlushPace(settings.flush_secs_max, settings.commit_secs_min)
        self._size = FlushSize(settings.flush_bytes_max, settings.inflight_bytes_max)
        metrics.held_bytes_max.set_function(lambda: self._size.held_bytes_now)
        self._flush_lock = asyncio.Lock()
        self._is_reset_wanted = threading.Event()
        self._is_leaving = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reset_not_before = 0.0
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()

    @property
    def held_bytes(self) -> int:
        """Bytes consumed and not landed yet, of all streams together: it is the worker's memory that is bounded."""
        return sum(stream.buffer.bytes_held for stream in self._streams.values())

    # Called by the agents, in the event loop

    async def add(self, batch: Batch) -> None:
        """Take a batch in; waits while too many bytes are held, and Faust then stops polling."""
        stream = self._streams[batch.topic]
        while self.held_bytes >= self._size.held_bytes_now and batch.generation == self.generation:
            self._has_room.clear()
            await self._has_room.wait()
        if self._is_leaving.is_set():
            return
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
        batches = stream.buffer.take(self._size.bytes_now)
        if not batches:
            return
        try:
            offsets = await self.thread.run(self._flush, stream, batches)
        except GivenUpError:
            # The worker leaves.
            return
        finally:
            stream.buffer.release(batches)
            self._metrics.bytes_held.labels(stream.topic).set(stream.buffer.bytes_held)
            self._has_room.set()
        if offsets:
            self._run_step("before Kafka commit")
            await self._commit_offsets(offsets)
            self._run_step("after Kafka commit")

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
        self._has_news.set()
        self.thread.close()

    async def _wait_until_due(self) -> None:
        await self._has_news.wait()
        self._has_news.clear()
        waiting_since = time.monotonic()
        while not self._is_leaving.is_set():
            is_full = any(stream.buffer.bytes_waiting >= self._size.bytes_now for stream in self._streams.values())
            left = self._pace.due_at(waiting_since, is_full) - time.monotonic()
            if left <= 0:
                break
            try:
                async with asyncio.timeout(left):
                    await self._has_news.wait()
                    self._has_news.clear()
            except TimeoutError:
                break
        self._pace.begin(time.monotonic(), sum(not stream.buffer.is_empty for stream in self._streams.values()))
        # What is left after this flush is due again.
        self._has_news.set()

    # Called by the transport, in the consumer thread

    async def look_at_topics(self) -> None:
        """Know which topics the names stand for; called before Kafka is asked for the bounds of their partitions. What is being tried is given up."""
        if any(stream.state is None for stream in self._streams.values()):
            self.thread.interrupt()
            # It is given up when the worker leaves.
            with contextlib.suppress(GivenUpError):
                await self.thread.run(self._takeover.look, self._streams.values())

    async def take_over(
        self, earliest: Mapping[TP, int], latest: Mapping[TP, int], is_current: Callable[[], bool]
    ) -> Mapping[TP, int] | None:
        """Own exactly these partitions; what was buffered is dropped. Waits out outages of the lake and of Kafka.

        None when it was given up: Kafka must be asked again where they begin and end, `is_current` says that they are not
        assigned to us any more, or the worker leaves.
        """
        self.thread.interrupt()
        try:
            return await self.thread.run(self._take_over, earliest, latest, is_current)
        except (StaleBoundsError, GivenUpError):
            return None
        finally:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._has_room.set)

    def is_reset_wanted(self) -> bool:
        return self._is_reset_wanted.is_set() and time.monotonic() >= self._reset_not_before

    # In the lake's thread

    def _take_over(self, earliest: Mapping[TP, int], latest: Mapping[TP, int], is_current: Callable[[], bool]) -> dict[TP, int]:
        self.thread.resume()
        self._is_reset_wanted.clear()
        self.generation += 1
        for stream in self._streams.values():
            # Nothing of before is taken from here on, whatever the lake says and however long it takes.
            stream.buffer.reset({}, self.generation)
            self._metrics.bytes_held.labels(stream.topic).set(stream.buffer.bytes_held)
        starts: dict[TP, int] = {}
        for stream in self._streams.values():
            partitions = {tp.partition: tp for tp in earliest if tp.topic == stream.topic}
            attempt = functools.partial(self._takeover.run, stream, partitions, earliest, latest)
            taken = self.thread.retry(attempt, is_current)
            if not is_current():
                # The next rebalance came meanwhile: what is taken over now would have to be taken over again.
                raise GivenUpError
            flush_decision.expect(stream.buffer, stream.topic, taken, self.generation)
            starts |= {partitions[partition]: offset for partition, offset in taken.items()}
        self._note_committers()
        return starts

    def _note_committers(self) -> None:
        known = [(stream, stream.state) for stream in self._streams.values() if stream.state is not None]
        self._pace.committers = count_committers((state.partition_count, len(stream.ingest.landing.owned)) for stream, state in known)
        self._metrics.committers.set(self._pace.committers)

    def _flush(self, stream: Stream, batches: Sequence[Batch]) -> dict[TP, int]:
        """Land batches, trying again until it is done; returns the offsets that Kafka may show as committed."""

        report = FlushReport()
        size_bytes = sum(batch.held_bytes for batch in batches)

        def attempt() -> dict[TP, int]:
            if flush_decision.is_void(batches, self.generation):
                raise GivenUpError
            assert stream.state is not None
            found = self._topic_ids.look_up([stream.topic]).get(stream.topic)
            if flush_decision.is_another_topic(found, stream.state):
                log.error("Topic '%s' was made anew; what was buffered of the old one is dropped.", stream.topic)
                self._want_reset()
                raise GivenUpError
            try:
                landed, fenced = stream.ingest.flush(batches, stream.state.topic_id, self._run_step, report)
            except Exception as error:
                if is_out_of_memory(error):
                    self._shrink(stream, size_bytes, error)
                raise
            finally:
                self._metrics.note_doubts(stream.ingest.landing.doubts)
            if landed:
                self._size.note_landed(size_bytes)
                self._metrics.record(stream.topic, report)
            self._metrics.dedup_keys.labels(stream.topic).set(stream.ingest.steps.windows.key_count)
            self._metrics.dedup_bytes.labels(stream.topic).set(stream.ingest.steps.windows.memory_bytes)
            self._metrics.dedup_window.labels(stream.topic).set(stream.ingest.steps.windows.covered_secs)
            if flush_decision.must_set_anew(fenced):
                # Also of a flush of which nothing landed: that is what a zombie's last one is.
                self._metrics.fenced.labels(stream.topic).inc(len(fenced))
                log.warning("Another worker owns partitions %s of '%s' by now.", [one.position.partition for one in fenced], stream.topic)
                self._want_reset(FENCED_PAUSE_SECS)
            return {TP(stream.topic, one.position.partition): one.end for one in landed}

        try:
            return self.thread.retry(attempt, lambda: not self.thread.is_interrupted)
        except GivenUpError:
            if self.thread.is_interrupted:
                flush_decision.give_up(stream.buffer, batches, self.generation)
            return {}

    def _shrink(self, stream: Stream, size_bytes: int, error: Exception) -> NoReturn:
        """Let go of what is held, and read it again in smaller pieces: this batch would fail for ever."""
        self._metrics.failures.inc()
        self._size.note_out_of_memory(size_bytes)
        stream.ingest.let_go()
        # What follows would not be what the lake wants next.
        stream.buffer.reset({}, self.generation)
        log.warning(
            "Memory does not suffice to land %d bytes of records at once (%s: %s); they are read again, and landed by %d bytes.",
            *(size_bytes, type(error).__name__, error, self._size.bytes_now),
        )
        self._want_reset(SHORT_PAUSE_SECS)
        raise GivenUpError from error

    def _want_reset(self, pause_secs: float = 0) -> None:
        """Have positions set anew, after a pause at the earliest; being asked again while one is due does not put it off."""
        due = time.monotonic() + pause_secs
        self._reset_not_before = min(due, self._reset_not_before) if self._is_reset_wanted.is_set() else due
        self._is_reset_wanted.set()
