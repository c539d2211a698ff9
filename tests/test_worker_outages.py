"""Outages of S3 and Kafka: what waits is bounded, lands once when they are back, and a worker that is told to leave leaves."""

import functools
import os
import random
import signal
from pathlib import Path

import pytest

from pipeline.config import Settings, load_settings
from pipeline.flush_size import BEGIN_HELD_BYTES
from pipeline.stack.status import read_processes
from tests.conftest import free_port_offset, running_stack
from tests.faults.rig.load import Load
from tests.faults.rig.verdict import judge
from tests.stream import Record, audit, beside, events, has_landed, landed_count, landed_ids, lines, metrics, send
from tests.tcp_proxy import TcpProxy, proxy_to
from tests.worker_process import WorkerProcess, running, wait_until

LIMIT = 1_000_000
# One poll of a partition comes on top of the limit.
POLL_BYTES_MAX = 4_000_000


def behind(settings: Settings, folder: Path, s3: TcpProxy, number: int = 0, **rig: str) -> WorkerProcess:
    """A worker that reaches S3 through a proxy, and waits before it starts its consumer when it is told to."""
    store = {
        "HEADWATER_S3_ENDPOINT": f"http://127.0.0.1:{s3.port}",
        "HEADWATER_S3_ACCESS_KEY_ID": settings.local_secret("s3", "writer", "access_key_id"),
        "HEADWATER_S3_SECRET_ACCESS_KEY": settings.local_secret("s3", "writer", "secret_access_key"),
    }
    return WorkerProcess(settings, folder, number, "tests.held_worker", HEADWATER_FLUSH_SECS_MAX="0.3", **store, **rig)


def large_records(count: int) -> list[Record]:
    """Records of 100 kB that nothing makes smaller."""
    chance = random.Random(7)
    return [(b"%d" % number, chance.randbytes(100_000)) for number in range(count)]


def test_what_waits_for_s3_is_bounded_lands_once_when_it_is_back_and_else_is_left_to_the_next_worker(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    with proxy_to(settings.s3_port, is_open=False) as s3, proxy_to(settings.kafka_port, is_open=False) as kafka:
        held = tmp_path / "held"
        address, limit = f"127.0.0.1:{kafka.port}", str(LIMIT)
        worker = behind(settings, tmp_path, s3, HEADWATER_KAFKA=address, HEADWATER_INFLIGHT_BYTES_MAX=limit, HOLD_FILE=str(held))
        control = behind(beside(settings), tmp_path, s3, 1, HEADWATER_INFLIGHT_BYTES_MAX=str(10**9))
        with running(worker, control):
            wait_until(lambda: bool(lines(worker.log, "Waiting", "for the S3 store", "HEADWATER_S3_ENDPOINT")), "the worker waits for S3")
            s3.mend()
            wait_until(lambda: bool(lines(worker.log, "Waiting", "for Kafka", "HEADWATER_KAFKA")), "the worker waits for Kafka")
            send(settings, events(20))
            kafka.mend()
            # It was found, and is gone again before the consumer connects.
            wait_until(held.exists, "the worker has found everything")
            kafka.cut()
            held.unlink()
            wait_until(lambda: bool(lines(worker.log, "Waiting", "which was there a moment ago")), "the worker waits for Kafka again")
            kafka.mend()
            for one in (worker, control):
                wait_until(functools.partial(has_landed, one.settings, 20), "the first 20 events")
            s3.cut()
            send(settings, large_records(100))
            wait_until(lambda: metrics(worker)["headwater_inflight_bytes"] >= LIMIT, "consuming pauses")
            wait_until(lambda: metrics(worker)["headwater_flush_failures_total"] >= 2, "the flush is tried again")
            assert metrics(worker)["headwater_inflight_bytes"] <= LIMIT + POLL_BYTES_MAX
            assert lines(worker.log, "WARNING", "Waiting", str(s3.port))
            # Without that limit a worker holds more, as much as one that has landed little holds.
            wait_until(lambda: metrics(control)["headwater_inflight_bytes"] >= BEGIN_HELD_BYTES, "the control holds more")
            control.kill()
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
            del worker.rig["HOLD_FILE"]
            worker.start()
            wait_until(lambda: landed_count(settings) == 125, "the last events, by the next worker")
    found = audit(settings)
    assert found["is_clean"], found
    assert (found["landed"], found["dead"]) == (25, 100)


@pytest.mark.full
def test_kafka_and_s3_that_are_killed_under_a_worker_come_back_and_everything_lands_once(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    settings = load_settings(home=tmp_path_factory.mktemp("killed") / "home", port_offset=free_port_offset(), local_workers=0)
    worker = WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3")
    with running_stack(settings), running(worker), Load(settings, tmp_path, random.Random(4), per_sec=500) as load:
        for victims in (["kafka"], ["s3"], ["kafka", "s3"]):
            wait_for_more(load, 1000)
            kill_and_wait(settings, victims)
        load.stop()
        wait_until(lambda: metrics(worker)["headwater_records_consumed_total"] == load.count, "all records")
        assert worker.stop() == 0
        judge(settings, load.ledger).require()


def wait_for_more(load: Load, count: int) -> None:
    """Wait until so many records more are acknowledged."""
    before = load.count
    wait_until(lambda: load.count > before + count, "more records")


def kill_and_wait(settings: Settings, names: list[str]) -> None:
    """kill -9 processes of the stack, and wait until supervisor has started them again."""
    killed = {name: pid_of(settings, name) for name in names}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(pid_of(settings, name) not in (0, pid) for name, pid in killed.items()), f"{names} are back")


def pid_of(settings: Settings, name: str) -> int:
    """The pid of a process of the stack; 0 while it does not run."""
    return next((process["pid"] or 0 for process in read_processes(settings) if process["name"] == name), 0)
