"""What a worker counts, for tests that do not know yet whether it answers: 0 until it does."""

from tests.stream import metrics
from tests.worker_process import WorkerProcess


def landed(worker: WorkerProcess) -> float:
    """Records that it has landed since it started."""
    return _read(worker, "headwater_records_consumed_total")


def fenced(worker: WorkerProcess) -> float:
    """Partitions that it met as another worker's."""
    return _read(worker, "headwater_partitions_fenced_total")


def _read(worker: WorkerProcess, name: str) -> float:
    try:
        return metrics(worker)[name]
    except OSError:
        return 0
