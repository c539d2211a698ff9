"""A worker that dies by its own hand before a named step, or that lacks a guard: `python -m tests.rigged_worker`.

Environment: RIG_SEED chooses, at each start, before which step of landing it kills itself and at which time; RIG_FILE counts the
starts; RIG_HOLD names a file that says when everything is found and Faust is about to start; RIG_UNGUARDED takes the offsets from Kafka in place of the lake, as a pipeline without exactly-once would.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import kafka
from kafka import TopicPartition

import pipeline.commands.worker
import pipeline.worker
from agents.land import Candidate, Landing, Owned, Range, Steps
from pipeline.commands.worker import app
from pipeline.config import load_settings
from pipeline.metrics import serve_metrics
from pipeline.stores import kafka_python_options

STEPS = (
    "before dead_letters upload",
    "before dead_letters commit",
    "after dead_letters commit",
    "before events upload",
    "before events commit",
    "after events commit",
)


def build_killer() -> Callable[[str], None]:
    """Kills this process before a step chosen by the seed and by how often the worker was started."""
    starts = Path(os.environ["RIG_FILE"])
    with starts.open("ab") as file:
        file.write(b".")
    chance = random.Random(f"{os.environ['RIG_SEED']}/{starts.stat().st_size}")
    fatal_step, passes = chance.choice(STEPS), chance.randint(0, 3)
    left = [passes]

    def run_step(step: str) -> None:
        if step == fatal_step:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return run_step


class UnguardedLanding(Landing):
    """Lands without looking: starts at Kafka's committed offset and commits without transactions."""

    def take_over(self, candidates: Sequence[Candidate]) -> Steps:
        yield "before take-over"
        self.owned = {one.position: Owned(0, _committed_in_kafka(self.topic, one), 0, 0, frozenset()) for one in candidates}

    def flush(self, ranges: Sequence[Range], judge: object, fenced: list[Range], landed: list[Range]) -> Steps:
        judged = judge(ranges, {one.position: frozenset() for one in ranges})  # type: ignore[operator]
        for table, name, rows in ((self.dead_letters, "dead_letters", judged.dead), (self.events, "events", judged.events)):
            yield f"before {name} upload"
            uploads = table.upload(rows)
            yield f"before {name} commit"
            table.refresh()
            table.commit(uploads, {})
            yield f"after {name} commit"
        landed += ranges


def _committed_in_kafka(topic: str, candidate: Candidate) -> int:
    settings = load_settings()
    consumer = kafka.KafkaConsumer(group_id=settings.worker_group, **kafka_python_options(settings))
    try:
        found = consumer.committed(TopicPartition(topic, candidate.position.partition))
    finally:
        consumer.close()
    return candidate.earliest if found is None else int(found)


def serve_and_hold(port: int) -> None:
    """The last step before Faust starts: say by a file that everything was found; go on once somebody has removed it."""
    serve_metrics(port)
    file = Path(os.environ["RIG_HOLD"])
    file.touch()
    while file.exists():
        time.sleep(0.05)


def main() -> None:
    """Run `headwater worker`, rigged."""
    build_worker = pipeline.worker.build_worker
    if "RIG_SEED" in os.environ:
        killer = build_killer()
        mock.patch.object(
            pipeline.commands.worker, "build_worker", lambda settings, metrics: build_worker(settings, metrics, killer)
        ).start()
    if "RIG_HOLD" in os.environ:
        mock.patch.object(pipeline.commands.worker, "serve_metrics", serve_and_hold).start()
    if "RIG_UNGUARDED" in os.environ:
        mock.patch.object(pipeline.worker, "Landing", UnguardedLanding).start()
    app()


if __name__ == "__main__":
    main()
