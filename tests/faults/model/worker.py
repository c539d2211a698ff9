"""One life of a worker, as pipeline.runner leads it: take over, fetch, buffer, flush, and again. What is decided about commits and about the
buffer is the real code; that a step follows the other, is tried again after an outage and is given up for a rebalance is modelled here."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

import agents.buffer
import agents.land
import pipeline.takeover
from agents.batch import Batch
from agents.ingest import join_ranges
from agents.land import Judged, LostTailError, Position, Range, Steps, UnbalancedError
from pipeline import flush_decision
from pipeline.lake_thread import StaleBoundsError
from tests.faults.model.kafka import HOLE, TOPIC, Kafka, OutOfRangeError
from tests.faults.model.lake import DeadHandle, Handle, OutageError, Row, Rows
from tests.faults.model.referee import Referee

UPLOAD_SECS_MAX = 600.0
_SETTINGS = SimpleNamespace(gap_policy="count")
_BYTES_MAX = 1_000_000


class Count:
    """A metric that only counts."""

    def __init__(self) -> None:
        self.value = 0

    def labels(self, topic: str) -> "Count":
        return self

    def inc(self, count: int = 1) -> None:
        self.value += count

    def set(self, value: int) -> None:
        pass


class ModelJudged(Judged):
    """Rows without Arrow."""

    def dead_offsets(self, position: Position) -> frozenset[int]:
        return frozenset(offset for where, offset, _ in cast(Rows, self.dead) if where == position)


class Worker:
    """`rules` choose which records are bad. `fault` strikes once, where it can. `steps` is its life, which ends when it stops for good."""

    def __init__(
        self, number: int, rules: int, kafka: Kafka, referee: Referee, start_offset: Any, clock: Any, overtake: Callable[[int], None]
    ) -> None:
        self.number, self.rules, self.kafka, self.referee = number, rules, kafka, referee
        self.let_overtake = lambda: overtake(number)
        self.fault, self.is_stopped, self.is_idle = "", False, False
        self.landing = agents.land.Landing(
            TOPIC, Handle(referee.events, self, clock), DeadHandle(referee.dead, self, clock), start_offset, UPLOAD_SECS_MAX, clock
        )
        self.metrics = SimpleNamespace(partitions=Count(), made_anew=Count(), gap=Count(), note_doubts=lambda doubts: doubts.take())
        steps = SimpleNamespace(windows=SimpleNamespace(assign=lambda *_: None))
        self.stream = pipeline.takeover.Stream(TOPIC, cast(Any, SimpleNamespace(landing=self.landing, steps=steps)))
        self.buffer = self.stream.buffer = agents.buffer.Buffer()
        self.takeover = pipeline.takeover.TakeOver(
            cast(Any, _SETTINGS), cast(Any, self.metrics), cast(Any, kafka), lambda step: None, lambda reason: None
        )
        self.generation = 0
        self._lingering: list[Batch] = []
        self._waiting: list[Batch] = []
        self._consumed: Mapping[int, Sequence[tuple[int, int]]] = {}
        self.steps: Steps = self._live()

    def _assigned(self) -> frozenset[int]:
        return self.kafka.assigned[self.number]

    def _live(self) -> Steps:
        try:
            while True:
                assigned = self._assigned()
                starts = yield from self._take_over(assigned)
                if starts is not None and (yield from self._end_what_was_begun()):
                    yield from self._consume(assigned, starts)
        except LostTailError as error:
            self.referee.on_stop(str(error))
        except UnbalancedError:
            # A step of ours that lost a record: nothing was committed, and somebody must look.
            pass
        self.is_stopped = True

    def _take_over(self, assigned: frozenset[int]) -> Generator[str, None, dict[int, int] | None]:
        self.generation += 1
        self.buffer.reset({}, self.generation)
        if self.number != 0:
            # Of worker 0 Kafka's controller is always away at that moment.
            self.takeover.look([self.stream])
        yield "knows the topic"
        partitions = {number: TP(TOPIC, number) for number in assigned}
        earliest = {tp: self.kafka.partitions[number].start for number, tp in partitions.items()}
        latest = {tp: self.kafka.partitions[number].end for number, tp in partitions.items()}
        yield "Kafka has said where partitions begin and end"
        while True:
            try:
                starts = yield from self.takeover.steps(self.stream, partitions, earliest, latest)
                break
            except StaleBoundsError:
                return None
            except OutageError:
                yield "waits for the store"
                if self._assigned() != assigned:
                    return None
        self.referee.on_taken_over(self, self.metrics.gap.value, self.metrics.made_anew.value > 0)
        flush_decision.expect(self.buffer, TOPIC, starts, self.generation)
        return starts

    def _consume(self, assigned: frozenset[int], starts: dict[int, int]) -> Steps:
        """Until positions must be set anew."""
        places = dict(starts)
        while True:
            yield "polls"
            if self._assigned() != assigned:
                return
            if self.fault == "records are skipped":
                self.fault = ""
                places = {number: place + (place < self.kafka.partitions[number].end) for number, place in places.items()}
            is_stray = self.fault == "a stray batch"
            try:
                batches = self._fetch(places)
            except OutOfRangeError:
                return
            if is_stray and batches:
                # Past the buffer, one that does not begin where the lake wants: landing must not rely on who calls it.
                self.fault = ""
                yield from self._flush([self._shifted(batches[0])], is_stray=True)
                return
            self._lingering = batches[:1]
            if self.fault == "a batch comes twice":
                self.fault, batches = "", [*batches, *batches]
            if any(self.buffer.offer(batch) is agents.buffer.Offer.AHEAD for batch in batches):
                return
            taken = self.buffer.take(_BYTES_MAX)
            if not taken:
                if places and self.kafka.topic_id != self.landing_topic_id:
                    return
                self.is_idle = True
                yield "is idle"
                self.is_idle = False
                continue
            if not (yield from self._flush_unless_later(taken, assigned)):
                yield from self._flush_what_follows(places)
                return
            self.buffer.release(taken)

    def _end_what_was_begun(self) -> Generator[str, None, bool]:
        """What was fetched before positions were set anew, and Faust hands over only now; and the flush that waited for the take-over."""
        lingering, self._lingering = self._lingering, []
        for batch in lingering:
            self.buffer.offer(batch)
        waiting, self._waiting = self._waiting, []
        return not waiting or (yield from self._flush(waiting))

    def _flush_unless_later(self, taken: list[Batch], assigned: frozenset[int]) -> Generator[str, None, bool]:
        """The flush, unless the lake's thread has a take-over to do first; it then comes after it."""
        yield "takes what waits"
        if self._assigned() == assigned:
            return (yield from self._flush(taken))
        self._waiting = taken
        return False

    def _flush_what_follows(self, places: dict[int, int]) -> Steps:
        """Before positions are set anew, once more: what came in meanwhile. Not before a flush that waits."""
        if self._waiting:
            return
        with contextlib.suppress(OutOfRangeError):
            for batch in self._fetch(places):
                self.buffer.offer(batch)
        taken = self.buffer.take(_BYTES_MAX)
        if taken:
            yield from self._flush(taken)

    @property
    def landing_topic_id(self) -> str:
        """As of the last take-over."""
        return self.stream.state.topic_id if self.stream.state else ""

    def _fetch(self, places: dict[int, int]) -> list[Batch]:
        """The next batch of each partition. Batches are of different sizes, which follow from where they begin."""
        batches = []
        for number, place in places.items():
            entries = self.kafka.partitions[number].fetch(place, 1 + (place + self.rules) % 3)
            if entries:
                batches.append(self._batch(number, place, entries))
                places[number] = place + len(entries)
        return batches

    def _batch(self, number: int, start: int, entries: Sequence[int]) -> Batch:
        records = [(start + place, serial) for place, serial in enumerate(entries) if serial != HOLE]
        chunk = SimpleNamespace(offsets=records, data=b"x" * len(records))
        return Batch(TOPIC, number, self.generation, start, start + len(entries), [cast(Any, chunk)])

    def _shifted(self, batch: Batch) -> Batch:
        """The same partition read from an offset before, or after when there is none."""
        log = self.kafka.partitions[batch.partition]
        start = batch.start - 1 if batch.start > log.start else batch.start + 1
        return self._batch(batch.partition, start, log.entries[start : batch.end + 1] or [HOLE])

    def _flush(self, batches: Sequence[Batch], is_stray: bool = False) -> Generator[str, None, bool]:
        """Land them, trying again until it is done; False when positions must be set anew."""
        assigned, state = self._assigned(), self.stream.state
        assert state is not None
        self._consumed = _records_of(batches)
        ranges = join_ranges(batches, state.topic_id)
        while True:
            if flush_decision.is_void(batches, self.generation):
                return True
            if flush_decision.is_another_topic(self.kafka.look_up([TOPIC]).get(TOPIC), state):
                return False
            landed: list[Range] = []
            fenced: list[Range] = []
            try:
                yield from self.landing.flush(ranges, self._judge, fenced, landed)
                if self.fault == "fails after landing":
                    self.fault = ""
                    raise OutageError
                break
            except OutageError:
                yield "waits for the store"
                if self._assigned() != assigned:
                    flush_decision.give_up(self.buffer, batches, self.generation)
                    return False
        self.referee.on_report(self, landed, fenced, is_stray)
        return not flush_decision.must_set_anew(fenced)

    def _judge(self, ranges: Sequence[Range], held: Mapping[Position, frozenset[int]]) -> Judged:
        good: list[Row] = []
        dead: list[Row] = []
        counts = Counter[Position]()
        for one in ranges:
            held_here = held[one.position]
            for offset, serial in self._consumed[one.position.partition]:
                if offset in held_here:
                    counts[one.position] += 1
                else:
                    (dead if (serial + self.rules) % 3 == 0 else good).append((one.position, offset, serial))
        if self.fault == "a step loses a record" and good:
            good.pop()
        return ModelJudged(cast(Any, Rows(good)), cast(Any, Rows(dead)), counts)


def _records_of(batches: Sequence[Batch]) -> Mapping[int, Sequence[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for batch in batches:
        for chunk in batch.chunks:
            found[batch.partition] += cast(Any, chunk.offsets)
    return found
