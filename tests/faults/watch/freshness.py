"""Freshness as seen from outside: how old the oldest record is that Kafka has acknowledged and the lake has not."""

import threading
import time
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import confluent_kafka

from pipeline.config import Settings
from tests.faults.rig.beside import Beside
from tests.faults.rig.load import Load
from tests.faults.watch.landed_offsets import LandedOffsets

SAMPLE_SECS = 0.2
# A worker flushes several times a second: when nothing lands for so long, it stands.
STALL_SECS = 1.0


class TimedLoad(Load):
    """A load that knows when each record was acknowledged: of each partition its offsets and the moments, in order."""

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.acknowledged: dict[int, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))

    def _note(self, event_id: str | None, value: bytes | None, error: object, message: confluent_kafka.Message) -> None:
        super()._note(event_id, value, error, message)
        partition, offset = message.partition(), message.offset()
        if error is None and partition is not None and offset is not None:
            offsets, moments = self.acknowledged[partition]
            offsets.append(offset)
            moments.append(time.monotonic())


@dataclass(frozen=True)
class Sample:
    """At a moment of the monotonic clock: the age in seconds of the oldest record that has not landed, and how many have."""

    at: float
    age_secs: float
    landed: int


class Watch:
    """Samples for the time of a `with` block, in a thread of its own; when that fails, so does whoever asks for a sample."""

    def __init__(self, settings: Settings, load: TimedLoad) -> None:
        self.samples: list[Sample] = []
        self._offsets, self._load = LandedOffsets(settings), load
        self._thread = Beside(self._run)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    def _run(self, is_done: threading.Event) -> None:
        while not is_done.wait(SAMPLE_SECS):
            wanted = self._offsets.read()
            now = time.monotonic()
            oldest = [now]
            for partition, (offsets, moments) in list(self._load.acknowledged.items()):
                first = bisect_left(offsets, wanted.get(partition, 0))
                oldest += moments[first : first + 1]
            self.samples.append(Sample(now, now - min(oldest), sum(wanted.values())))

    @property
    def age_secs(self) -> float:
        """The newest sample's."""
        self._thread.check()
        return self.samples[-1].age_secs if self.samples else 0.0

    def ages_since(self, start: float, end: float = float("inf")) -> list[float]:
        """Ages of all samples between two moments."""
        return [sample.age_secs for sample in self.samples if start <= sample.at <= end]

    def landed_per_sec(self, start: float, end: float) -> float:
        """Records landed a second between two moments."""
        part = [sample for sample in self.samples if start <= sample.at <= end]
        return (part[-1].landed - part[0].landed) / (part[-1].at - part[0].at)

    def stalled_secs(self, start: float, end: float) -> float:
        """Time between two moments in which nothing had landed for STALL_SECS or longer."""
        stalled, moved_at, before = 0.0, start, -1
        for sample in self.samples:
            if start <= sample.at <= end and sample.landed != before:
                stalled += max(0.0, sample.at - moved_at - STALL_SECS) if before >= 0 else 0.0
                moved_at, before = sample.at, sample.landed
        return stalled
