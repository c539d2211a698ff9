"""Workers behind fault proxies, and what their metrics say of it."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.samples import Sample

from pipeline.config import Settings
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.wire.proxy import FaultProxy
from tests.metrics_page import read_samples
from tests.stream import landed_count
from tests.tcp_proxy import TcpProxy
from tests.worker_process import WorkerProcess, wait_until

# Paths of what a worker writes to the lake.
COMMIT = r"/lake/(events|dead_letters)/_delta_log/\d{20}\.json$"
EVENTS_COMMIT = r"/lake/events/_delta_log/\d{20}\.json$"
DEAD_LETTERS_COMMIT = r"/lake/dead_letters/_delta_log/\d{20}\.json$"
UPLOAD = r"/part-[^/]*\.parquet$"


def worker_behind(
    settings: Settings,
    folder: Path,
    number: int = 0,
    s3: FaultProxy | TcpProxy | None = None,
    kafka: FaultProxy | None = None,
    guards_off: str = "",
    **variables: str,
) -> FaultWorker:
    """A worker that reaches S3, Kafka or both through proxies."""
    worker = FaultWorker(settings, folder, number, guards_off=guards_off)
    worker.rig |= variables
    if s3 is not None:
        worker.rig |= {
            "HEADWATER_S3_ENDPOINT": f"http://127.0.0.1:{s3.port}",
            "HEADWATER_S3_ACCESS_KEY_ID": settings.local_secret("s3", "writer", "access_key_id"),
            "HEADWATER_S3_SECRET_ACCESS_KEY": settings.local_secret("s3", "writer", "secret_access_key"),
        }
    if kafka is not None:
        worker.rig["HEADWATER_KAFKA"] = f"127.0.0.1:{kafka.port}"
    return worker


def wait_until_it_lands(settings: Settings) -> None:
    """Until the first rows are there, and with them the worker's metrics."""
    wait_until(lambda: landed_count(settings) > 0, "the first rows", 240)


def samples(worker: WorkerProcess, name: str, **labels: str) -> Iterator[Sample]:
    """The samples of one name on a worker's /metrics that have these labels."""
    for sample in read_samples(worker.metrics_port, secs_max=20):
        if sample.name == name and labels.items() <= sample.labels.items():
            yield sample


def metric(worker: WorkerProcess, name: str, **labels: str) -> float:
    """Their sum."""
    return sum(sample.value for sample in samples(worker, name, **labels))


class LoopLag:
    """A worker's event loop lag from the moment at which this was made."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._before = self._read()

    def _read(self) -> dict[float, float]:
        return {float(sample.labels["le"]): sample.value for sample in samples(self._worker, "headwater_event_loop_lag_seconds_bucket")}

    def quantile(self, share: float) -> float:
        """The least border, in seconds, that so large a share of the timers stayed within.

        Raises AssertionError when the loop ran no timer.
        """
        counts = {border: count - self._before[border] for border, count in self._read().items()}
        total = counts[float("inf")]
        assert total > 0, "the loop ran no timer"
        return min(border for border, count in counts.items() if count >= share * total)
