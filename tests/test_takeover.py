"""Taking over with what Kafka said some time ago: a log that only seems to have lost its end is asked about again, one that did stops the worker."""

from collections.abc import Iterator

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from agents.land import LostTailError, Position
from pipeline.config import Settings
from pipeline.lake_thread import StaleBoundsError
from pipeline.metrics import WorkerMetrics
from pipeline.takeover import Stream, TakeOver
from pipeline.topic_ids import TopicIds
from pipeline.worker import build_streams
from schemas.errors import UnavailableError


class Worker:
    """What of a worker takes over: a partition of the topic, with the end that Kafka is said to have named."""

    def __init__(self, settings: Settings) -> None:
        self.stopped: list[str] = []
        self.topic_ids = TopicIds(settings)
        self.stream: Stream = build_streams(settings)[0]
        self._registry = CollectorRegistry()
        self.takeover = TakeOver(settings, WorkerMetrics(self._registry), self.topic_ids, self.run_step, self.stopped.append)
        self.fails_at = ""

    def run_step(self, step: str) -> None:
        if step == self.fails_at:
            raise UnavailableError("the store is away")

    def take_over(self, latest: int, partition: int = 0, earliest: int = 0) -> int:
        self.takeover.look([self.stream])
        place = TP(self.stream.topic, partition)
        return self.takeover.run(self.stream, {partition: place}, {place: earliest}, {place: latest})[partition]

    def gap_count(self) -> float | None:
        return self._registry.get_sample_value("headwater_gap_records_total", {"topic": self.stream.topic})

    def lose_partitions(self) -> None:
        self.takeover.run(self.stream, {}, {}, {})

    def land_up_to(self, offset: int) -> None:
        """As another worker does while this one is stopped."""
        landing = self.stream.ingest.landing
        assert self.stream.state is not None
        landing.events.refresh()
        landing.events.commit([], {Position(self.stream.state.topic_id, 0).app_id(landing.events.name): offset})


@pytest.fixture
def worker(settings: Settings, topics: list[str]) -> Iterator[Worker]:
    found = Worker(settings)
    yield found
    found.topic_ids.close()


def test_a_log_that_was_asked_for_its_end_before_another_worker_landed_more_has_lost_nothing(worker: Worker) -> None:
    assert worker.take_over(latest=10) == 0
    worker.land_up_to(40)
    with pytest.raises(StaleBoundsError):
        worker.take_over(latest=10)
    assert worker.take_over(latest=40) == 40


def test_the_same_again_and_again_stops_nobody_as_long_as_the_end_moves_on(worker: Worker) -> None:
    worker.take_over(latest=10)
    for offset in (40, 80, 120):
        worker.land_up_to(offset)
        with pytest.raises(StaleBoundsError):
            worker.take_over(latest=offset - 20)
    assert worker.take_over(latest=120) == 120


def test_a_log_whose_end_lies_before_what_had_landed_when_it_was_asked_has_lost_it(worker: Worker) -> None:
    worker.take_over(latest=10)
    worker.land_up_to(40)
    with pytest.raises(StaleBoundsError):
        worker.take_over(latest=10)
    with pytest.raises(LostTailError, match=r"ends at offset 39, and the lake has landed up to 40"):
        worker.take_over(latest=39)


def test_what_is_taken_over_in_between_does_not_put_that_off(worker: Worker) -> None:
    """As when a topic that is well is taken over before the one that lost its end, each time."""
    worker.take_over(latest=10)
    worker.land_up_to(40)
    with pytest.raises(StaleBoundsError):
        worker.take_over(latest=39)
    assert worker.take_over(latest=5, partition=1) == 0
    with pytest.raises(LostTailError):
        worker.take_over(latest=39)


@pytest.mark.parametrize(("fails_at", "gap"), [("after take-over of events", 7), ("before take-over", 0)])
def test_a_gap_that_was_written_down_by_a_take_over_that_failed_is_said_when_its_partitions_go_to_another(
    worker: Worker, fails_at: str, gap: int
) -> None:
    """Nobody else meets it: the lake goes on behind it. What was not written down is for the next to find."""
    worker.take_over(latest=10)
    worker.fails_at = fails_at
    with pytest.raises(UnavailableError):
        worker.take_over(earliest=7, latest=10)
    worker.fails_at = ""
    assert not worker.gap_count()
    worker.lose_partitions()
    assert (worker.gap_count() or 0) == gap
    worker.lose_partitions()
    assert worker.take_over(earliest=7, latest=10) == 7
    assert worker.gap_count() == 7
