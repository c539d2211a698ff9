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
from tests.stream import raw_events


class Worker:
    """What of a worker takes over: partition 0 of the topic, with the end that Kafka is said to have named."""

    def __init__(self, settings: Settings) -> None:
        self.place = TP(raw_events(settings), 0)
        self.stopped: list[str] = []
        self.topic_ids = TopicIds(settings)
        self.stream: Stream = build_streams(settings)[0]
        metrics = WorkerMetrics(CollectorRegistry())
        self.takeover = TakeOver(settings, metrics, self.topic_ids, lambda step: None, self.stopped.append)

    def take_over(self, latest: int) -> int:
        return self.takeover.run(self.stream, {0: self.place}, {self.place: 0}, {self.place: latest})[0]

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
