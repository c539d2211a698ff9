"""Row 8: S3 takes two seconds more for each request, or takes requests and is silent: consuming pauses, the event loop and the heartbeats go on."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.wire.proxied import LoopLag, wait_until_it_lands, worker_behind
from tests.faults.wire.proxy import FaultProxy, fault_proxy
from tests.stream import landed_count, metrics
from tests.worker_process import running, wait_until

LAG_P99_SECS_MAX = 0.2
LIMIT = 500_000
# One poll of a partition comes on top of the limit.
POLL_BYTES_MAX = 4_000_000
SLOW = {"delay": {"secs": 2.0}, "half_open": {}}


def send_large(load: Load, chance: random.Random, count: int) -> None:
    """Records of 100 kB that nothing makes smaller: dead letters."""
    for _ in range(count):
        load.send(b"shop/large", chance.randbytes(100_000))


def owner_tokens(settings: Settings) -> dict[str, int]:
    """Each take-over of a partition raises its token: they stand still while the group does not rebalance."""
    table = LakeTable(build_store(settings), load_table("events"))
    table.refresh()
    return {app_id: token for app_id, token in table.transactions().items() if app_id.endswith("/owner")}


@contextmanager
def broken_at_the_end(proxy: FaultProxy, is_silent: bool) -> Iterator[None]:
    """What was swallowed is waited for until time-outs of 20 and 30 s; breaking the connections ends the wait."""
    yield
    if is_silent:
        with proxy.injected("refuse"):
            pass


def test_fault_08_a_slow_s3_pauses_consuming_and_nothing_else(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    before: dict[str, int] = {}
    resume_secs, held = list[float](), list[float]()
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy, HEADWATER_INFLIGHT_BYTES_MAX=str(LIMIT))
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            before, lag = owner_tokens(settings), LoopLag(worker)
            for fault, options in SLOW.items():
                with broken_at_the_end(proxy, fault == "half_open"), proxy.injected(fault, **options):  # type: ignore[arg-type]
                    send_large(load, schedule.chance, 60)
                    # Longer than the session of six seconds: without heartbeats the group would rebalance.
                    end = time.monotonic() + schedule.choose(8.0, 60.0)
                    while time.monotonic() < end:
                        held.append(metrics(worker)["headwater_inflight_bytes"])
                        time.sleep(0.1)
                ended, waiting = time.monotonic(), load.count
                wait_until(lambda waiting=waiting: landed_count(settings) >= waiting, "what waited", 240)  # type: ignore[misc]
                resume_secs.append(round(time.monotonic() - ended, 2))
            p99 = lag.quantile(0.99)
            load.stop()
            wait_for_rows(settings, load.count, 240)
            assert worker.stop(60) == 0
        proof.note(injections=proxy.count("delay") + proxy.count("half_open"))
    proof.note(loop_lag_p99_secs=p99, held_bytes_max=max(held), resume_secs=resume_secs)
    # The border of the bucket: all of them were within it.
    assert p99 <= LAG_P99_SECS_MAX
    assert LIMIT <= max(held) <= LIMIT + POLL_BYTES_MAX
    assert owner_tokens(settings) == before, "the group was rebalanced"
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_08_a_slow_s3_pauses_consuming_and_nothing_else_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy, guards_off="lake_thread")
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            lag = LoopLag(worker)
            with proxy.injected("delay", secs=2.0):
                wait_until(lambda: proxy.count("delay") >= 5, "requests that are slow", 120)
            waiting = load.count
            wait_until(lambda: landed_count(settings) >= waiting, "what waited", 240)
            p99 = lag.quantile(0.99)
        proof.note(injections=proxy.count("delay"))
    proof.note(loop_lag_p99_secs=p99)
    proof.show(f"event loop lag above {LAG_P99_SECS_MAX:g} s (p99)" if p99 > LAG_P99_SECS_MAX else "")


@pytest.mark.full
def test_fault_08_without_a_limit_everything_is_held_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy, HEADWATER_INFLIGHT_BYTES_MAX=str(10**9))
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            with proxy.injected("delay", secs=2.0):
                send_large(load, schedule.chance, 60)
                wait_until(lambda: metrics(worker)["headwater_inflight_bytes"] > LIMIT + POLL_BYTES_MAX, "everything is held", 240)
        proof.note(injections=proxy.count("delay"))
    proof.show(f"more than {LIMIT + POLL_BYTES_MAX:,} bytes held")
