"""Taking partitions over: where the lake wants each to be read from, and what is said when Kafka no longer has it."""

import contextlib
import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import NoReturn

from faust.types import TP

from agents.buffer import Buffer
from agents.ingest import Ingest
from agents.land import Candidate, EndedTopicError, LostTailError, Position
from pipeline.config import Settings
from pipeline.lake_thread import StaleBoundsError
from pipeline.metrics import WorkerMetrics
from pipeline.topic_ids import TopicIds, TopicState
from schemas.errors import UnavailableError

log = logging.getLogger(__name__)


class Stream:
    """One landing stream in this worker: its topic as Kafka had it at the last take-over, its buffer, its ingest."""

    def __init__(self, topic: str, ingest: Ingest) -> None:
        self.topic, self.ingest, self.buffer = topic, ingest, Buffer()
        self.state: TopicState | None = None
        self.is_replacement_said = False


class TakeOver:
    """Takes partitions over in the lake. Runs in the lake's thread; `stop` stops the worker and says why."""

    def __init__(
        self, settings: Settings, metrics: WorkerMetrics, topic_ids: TopicIds, run_step: Callable[[str], None], stop: Callable[[str], None]
    ) -> None:
        self._metrics, self._topic_ids, self._run_step, self._stop = metrics, topic_ids, run_step, stop
        self._is_stop_wanted = settings.gap_policy == "stop"
        self._wanted_beyond_end: dict[Position, int] = {}

    def look(self, streams: Iterable[Stream]) -> None:
        """Know which topics the streams' names stand for, before Kafka is asked where their partitions begin and end."""
        unknown = [stream for stream in streams if stream.state is None]
        # Should it fail, the take-over looks again, waits, and says why.
        with contextlib.suppress(UnavailableError):
            found = self._topic_ids.look_up([stream.topic for stream in unknown]) if unknown else {}
            for stream in unknown:
                stream.state = found.get(stream.topic)

    def run(self, stream: Stream, partitions: Mapping[int, TP], earliest: Mapping[TP, int], latest: Mapping[TP, int]) -> dict[int, int]:
        """Own exactly these partitions of a stream's topic, step by step; returns the offset to read each from. Errors as of `steps`."""
        steps = self.steps(stream, partitions, earliest, latest)
        while True:
            try:
                step = next(steps)
            except StopIteration as done:
                starts: dict[int, int] = done.value
                return starts
            self._run_step(step)

    def steps(
        self, stream: Stream, partitions: Mapping[int, TP], earliest: Mapping[TP, int], latest: Mapping[TP, int]
    ) -> Generator[str, None, dict[int, int]]:
        """The same as a generator, which yields a step's name before each effect.

        Raises StaleBoundsError when `earliest` and `latest` must be asked of Kafka again, UnavailableError when the topic is not
        there, LostTailError when Kafka lost what had landed.
        """
        landing = stream.ingest.landing
        found = self._topic_ids.look_up([stream.topic]).get(stream.topic)
        landing.release(list(landing.owned))
        self._metrics.partitions.labels(stream.topic).set(len(partitions))
        if not partitions:
            yield "before looking back"
            landing.look_back()
            self._note_findings(stream)
            return {}
        if found is None:
            raise UnavailableError(
                f"Topic '{stream.topic}' does not exist; create it ('headwater up' does), or name another HEADWATER_TOPIC_PREFIX."
            )
        before, stream.state = stream.state, found
        if before is None or before.topic_id != found.topic_id:
            # The bounds may be those of a topic that had the name before.
            if before is not None:
                self._note_made_anew(stream, f"before {before.topic_id}")
                stream.is_replacement_said = True
            raise StaleBoundsError
        candidates = [
            Candidate(Position(found.topic_id, partition), earliest[tp], latest[tp], found.partition_count)
            for partition, tp in partitions.items()
        ]
        try:
            yield from landing.take_over(candidates, lambda: self._is_present(stream.topic, found.topic_id))
        except EndedTopicError as error:
            raise StaleBoundsError from error
        except LostTailError as error:
            self._raise_unless_confirmed(error)
        finally:
            self._metrics.note_doubts(landing.doubts)
        self._note_findings(stream)
        starts = {position.partition: owned.wanted for position, owned in landing.owned.items()}
        stream.ingest.steps.windows.assign(found.topic_id, starts, found.partition_count)
        return starts

    def _is_present(self, topic: str, topic_id: str) -> bool:
        found = self._topic_ids.look_up([topic]).get(topic)
        return found is not None and found.topic_id == topic_id

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

    def _note_findings(self, stream: Stream) -> None:
        """A topic made anew and gaps, once each."""
        landing = stream.ingest.landing
        if landing.is_topic_replaced:
            landing.is_topic_replaced = False
            if not stream.is_replacement_said:
                self._note_made_anew(stream, "another one when a worker last looked")
        stream.is_replacement_said = False
        self._note_gaps(stream)

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
        if self._is_stop_wanted:
            self._stop(f"{reason}, and HEADWATER_GAP_POLICY is 'stop'; start the worker again to go on after the gap")
