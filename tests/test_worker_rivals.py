"""Two workers on one topic: they share it, take over from each other, and one that was stopped too long doubles nothing."""

import signal
from pathlib import Path

from pipeline.config import Settings
from pipeline.topology import LANDING_STREAMS
from tests.stream import audit, metrics
from tests.test_exactly_once import Load, rows_in_lake
from tests.worker_process import WorkerProcess, running, wait_until


def assigned(worker: WorkerProcess) -> float:
    """Partitions of one topic: each topic is shared out evenly, so there are as many of the one as of the others."""
    return metrics(worker)["headwater_partitions_assigned"] / len(LANDING_STREAMS)


def landed(worker: WorkerProcess) -> float:
    """Records that this worker has landed; 0 before it answers."""
    try:
        return metrics(worker)["headwater_records_consumed_total"]
    except OSError:
        return 0


def test_workers_share_a_topic_through_joins_leaves_and_a_stop_that_is_longer_than_the_session(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    # A dynamic member: its partitions are given away as soon as it leaves.
    first, second = (WorkerProcess(settings, tmp_path, number, HEADWATER_WORKER_INSTANCE="") for number in range(2))
    with running(first):
        with Load(settings, seed=9, per_sec=1000) as load, running(second):
            wait_until(lambda: landed(first) > 0 and landed(second) > 0, "both workers land")
            wait_until(lambda: (assigned(first), assigned(second)) == (2, 2), "each has half of the partitions")
            assert second.process is not None
            second.process.send_signal(signal.SIGSTOP)
            wait_until(lambda: assigned(first) == 4, "the first worker takes over")
            before = landed(first)
            wait_until(lambda: landed(first) > before + 1000, "the first worker lands all partitions")
            second.process.send_signal(signal.SIGCONT)
            wait_until(lambda: assigned(first) == 2, "the second worker comes back")
            before = landed(second)
            wait_until(lambda: landed(second) > before, "the second worker lands again")
            assert second.stop() == 0
            wait_until(lambda: assigned(first) == 4, "the first worker takes over again")
        wait_until(lambda: len(rows_in_lake(settings)) == load.count, "all records")
        assert first.stop() == 0
    found = audit(settings)
    assert found["is_clean"], found
    assert rows_in_lake(settings) == load.acknowledged
