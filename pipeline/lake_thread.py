"""The one thread in which everything that touches the lake runs, one thing at a time: one committer for each table."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import botocore.exceptions
import kafka.errors
from deltalake.exceptions import DeltaError

from agents.land import LostTailError, UnbalancedError
from pipeline.metrics import WorkerMetrics
from schemas.errors import HeadwaterError
from sinks.store_failure import CLOCK_WAY_OUT, is_clock_refused

log = logging.getLogger(__name__)

T = TypeVar("T")
BACKOFF_SECS_MAX = 5.0

# Exit status of a worker that stopped on purpose and must not be started again by itself.
STOPPED_ON_PURPOSE = 3

# What Kafka, the lake and the network raise when they are away; anything else is a fault of ours, and its trace is wanted.
_OUTAGES = (
    OSError,
    HeadwaterError,
    DeltaError,
    kafka.errors.KafkaError,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
)


class GivenUpError(Exception):
    """What was tried is not wanted any more: positions are set anew, or the worker leaves. Its records will be read again."""


class StaleBoundsError(Exception):
    """Where partitions begin and end was asked of Kafka too long ago: ask again."""


class LakeThread:
    """Runs calls in a thread of its own, and tries what fails for an outage until it works.

    `stop_worker` is called when going on would do harm; `exit_status` then says why.
    """

    def __init__(self, metrics: WorkerMetrics) -> None:
        self.exit_status = 0
        self.stop_worker: Callable[[], None] = lambda: None
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="lake")
        self._calls_under_way = 0
        self._is_shut = False
        self._is_interrupted = threading.Event()
        self._is_closed = threading.Event()

    @property
    def is_at_work(self) -> bool:
        """True while something is under way with the lake, be it that the store does not answer."""
        return self._calls_under_way > 0

    @property
    def is_closed(self) -> bool:
        return self._is_closed.is_set()

    @property
    def is_interrupted(self) -> bool:
        """True from `interrupt` until `resume`: somebody waits for the thread, and what is being tried shall be given up."""
        return self._is_interrupted.is_set()

    def interrupt(self) -> None:
        self._is_interrupted.set()

    def resume(self) -> None:
        self._is_interrupted.clear()

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Run a call in the thread, after those before it.

        Raises what the call raises; GivenUpError once `close` was called.
        """

        def counted() -> T:
            if self._is_shut:
                raise GivenUpError
            self._calls_under_way += 1
            try:
                return call(*arguments)
            finally:
                self._calls_under_way -= 1

        try:
            under_way = asyncio.get_running_loop().run_in_executor(self._executor, counted)
        except RuntimeError as error:
            # The executor's own, when it was shut down.
            raise GivenUpError from error
        return await under_way

    def retry(self, attempt: Callable[[], T], is_wanted: Callable[[], bool]) -> T:
        """Try until it works; between tries wait, longer each time.

        Raises GivenUpError when it is not wanted any more, or when going on would do harm and the worker stops.
        """
        backoff, said = 0.2, ""
        while True:
            try:
                return attempt()
            except (GivenUpError, StaleBoundsError):
                raise
            except (LostTailError, UnbalancedError) as error:
                self.stop(str(error))
                raise GivenUpError from error
            except Exception as error:
                # Whatever the lake or Kafka answers: nothing is lost by waiting, and a person must see why.
                self._metrics.failures.inc()
                is_trace_wanted = repr(error) != said and (log.isEnabledFor(logging.DEBUG) or not isinstance(error, _OUTAGES))
                # What is raised as one of ours has its way out.
                way_out = f" ({CLOCK_WAY_OUT})" if is_clock_refused(error) and not isinstance(error, HeadwaterError) else ""
                log.warning("Waiting %.1f s after %s: %s%s", backoff, type(error).__name__, error, way_out, exc_info=is_trace_wanted)
                said = repr(error)
                self._is_interrupted.wait(backoff)
                if self.is_closed or not is_wanted():
                    raise GivenUpError from error
                backoff = min(backoff * 2, BACKOFF_SECS_MAX)

    def stop(self, reason: str) -> None:
        """Stop the worker for good; it is not started again by itself."""
        log.critical("The worker stops: %s", reason)
        self.exit_status = STOPPED_ON_PURPOSE
        self._is_closed.set()
        self.stop_worker()

    def close(self) -> None:
        """Give up what is being tried, and take nothing more."""
        self._is_shut = True
        self._is_closed.set()
        self._is_interrupted.set()
        # Calls that wait are not cancelled: whoever awaits one would take that for his own end.
        self._executor.shutdown(wait=False)
