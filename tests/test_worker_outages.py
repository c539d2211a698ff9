"""Outages of S3 and Kafka: what waits is bounded, lands once when they are back, and a worker that is told to leave leaves."""

import random
from pathlib import Path

from pipeline.config import Settings
from tests.stream import Record, audit, events, landed_count, landed_ids, lines, metrics, send
from tests.tcp_proxy import TcpProxy, proxy_to
from tests.worker_process import WorkerProcess, running, wait_until

LIMIT = 1_000_000
# One poll of a partition comes on top of the limit.
POLL_BYTES_MAX = 4_000_000


def behind(settings: Settings, folder: Path, s3: TcpProxy, number: int = 0, **rig: str) -> WorkerProcess:
    """A worker that reaches S3 through a proxy."""
    store = {
        "HEADWATER_S3_ENDPOINT": f"http://127.0.0.1:{s3.port}",
        "HEADWATER_S3_ACCESS_KEY_ID": settings.local_secret("s3", "writer", "access_key_id"),
        "HEADWATER_S3_SECRET_ACCESS_KEY": settings.local_secret("s3", "writer", "secret_access_key"),
    }
    return WorkerProcess(settings, folder, number, HEADWATER_FLUSH_SECS_MAX="0.3", **store, **rig)


def large_records(count: int) -> list[Record]:
    """Records of 100 kB that nothing makes smaller."""
    chance = random.Random(7)
    return [(b"%d" % number, chance.randbytes(100_000)) for number in range(count)]


def test_what_waits_for_s3_is_bounded_lands_once_when_it_is_back_and_else_is_left_to_the_next_worker(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    with proxy_to(settings.s3_port, is_open=False) as s3, proxy_to(settings.kafka_port, is_open=False) as kafka:
        worker = behind(settings, tmp_path, s3, HEADWATER_KAFKA=f"127.0.0.1:{kafka.port}", HEADWATER_INFLIGHT_BYTES_MAX=str(LIMIT))
        with running(worker):
            wait_until(lambda: bool(lines(worker.log, "Waiting", "for the S3 store", "HEADWATER_S3_ENDPOINT")), "the worker waits for S3")
            s3.mend()
            wait_until(lambda: bool(lines(worker.log, "Waiting", "for Kafka", "HEADWATER_KAFKA")), "the worker waits for Kafka")
            send(settings, events(20))
            kafka.mend()
            wait_until(lambda: landed_count(settings) == 20, "the first 20 events")
            s3.cut()
            send(settings, large_records(100))
            wait_until(lambda: metrics(worker)["headwater_inflight_bytes"] >= LIMIT, "consuming pauses")
            wait_until(lambda: metrics(worker)["headwater_flush_failures_total"] >= 2, "the flush is tried again")
            assert metrics(worker)["headwater_inflight_bytes"] <= LIMIT + POLL_BYTES_MAX
            assert lines(worker.log, "WARNING", "Waiting", str(s3.port))
            s3.mend()
            wait_until(lambda: landed_count(settings) == 120, "what waited")
            wait_until(lambda: metrics(worker)["headwater_inflight_bytes"] == 0, "nothing waits any more")
            # Worse than refused: taken, and never answered.
            s3.hang()
            send(settings, events(5, "late"))
            wait_until(lambda: metrics(worker)["headwater_inflight_bytes"] > 0, "the last events are held")
            assert worker.stop(10) == 0
            assert landed_ids(settings)["late-0"] == 0
            s3.mend()
            worker.start()
            wait_until(lambda: landed_count(settings) == 125, "the last events, by the next worker")
    found = audit(settings)
    assert found["is_clean"], found
    assert (found["landed"], found["dead"]) == (25, 100)


def test_without_a_limit_the_same_outage_fills_the_memory(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    with proxy_to(settings.s3_port) as s3:
        worker = behind(settings, tmp_path, s3, HEADWATER_INFLIGHT_BYTES_MAX=str(10**9))
        send(settings, events(1))
        with running(worker):
            wait_until(lambda: landed_count(settings) == 1, "the first event")
            s3.cut()
            send(settings, large_records(100))
            wait_until(lambda: metrics(worker)["headwater_inflight_bytes"] >= 100 * 100_000, "all of it is held")
