"""Row 26: more than a worker can land. It holds no more than its bound, falls behind, loses nothing, and catches up by itself."""

import time
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.freshness import TimedLoad, Watch
from tests.faults.wire.proxied import wait_until_it_lands
from tests.stream import landed_count, metrics
from tests.worker_process import running, wait_until

FRESH_SECS_MAX = 5.0
HELD_BYTES_MAX = 3_000_000
# One poll of each partition comes on top of the bound.
POLL_BYTES_MAX = 4_000_000


def build_slow_worker(settings: Settings, folder: Path, held_bytes_max: int) -> FaultWorker:
    """A worker that lands half a megabyte each second and a half, or one poll of a partition if that is more, so that this machine can overload it."""
    worker = FaultWorker(settings, folder)
    worker.rig |= {"HEADWATER_COMMIT_SECS_MIN": "1.5", "HEADWATER_FLUSH_BYTES_MAX": "500000"}
    worker.rig["HEADWATER_INFLIGHT_BYTES_MAX"] = str(held_bytes_max)
    return worker


def measure_capacity(settings: Settings, load: Load, secs: float) -> float:
    """Records a second that land while more than enough waits."""
    wait_until(lambda: load.count > landed_count(settings) + 5000, "a backlog", 60)
    before, began = landed_count(settings), time.monotonic()
    time.sleep(secs)
    return (landed_count(settings) - before) / (time.monotonic() - began)


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_fault_26_overload_is_held_back_and_catches_up(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = build_slow_worker(settings, tmp_path, HELD_BYTES_MAX)
    with running(worker), TimedLoad(settings, tmp_path, schedule.chance, per_sec=5000) as load, Watch(settings, load) as watch:
        wait_until_it_lands(settings)
        capacity = measure_capacity(settings, load, schedule.choose(4.0, 20.0))
        load.per_sec = 3 * capacity
        held, end = 0.0, time.monotonic() + schedule.choose(15.0, 60.0)
        while time.monotonic() < end:
            time.sleep(0.3)
            held = max(held, metrics(worker)["headwater_inflight_bytes"])
        waiting, load.per_sec, ended = watch.age_secs, capacity / 4, time.monotonic()
        wait_until(lambda: watch.age_secs < FRESH_SECS_MAX, "it is fresh again", 400)
        proof.note(
            injections=1, capacity_per_sec=capacity, held_bytes_max=held, behind_secs=waiting, fresh_after_secs=time.monotonic() - ended
        )
        load.stop()
        wait_for_rows(settings, load.count)
        assert worker.stop() == 0
    assert HELD_BYTES_MAX <= held <= HELD_BYTES_MAX + POLL_BYTES_MAX
    assert waiting > FRESH_SECS_MAX, "it did not fall behind: this was no overload"
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_fault_26_overload_control(settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    worker = build_slow_worker(settings, tmp_path, 10**10)
    held, end = 0.0, time.monotonic() + 60
    with running(worker), Load(settings, tmp_path, schedule.chance, per_sec=8000):
        wait_until_it_lands(settings)
        while held <= HELD_BYTES_MAX + POLL_BYTES_MAX and time.monotonic() < end:
            time.sleep(0.3)
            held = max(held, metrics(worker)["headwater_inflight_bytes"])
    proof.show(f"{held / 1e6:.0f} MB held" if held > HELD_BYTES_MAX + POLL_BYTES_MAX else "")
