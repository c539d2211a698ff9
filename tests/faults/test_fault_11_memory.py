"""Row 11: a worker that gets too little memory."""

import functools
import json
import random
import signal
import time
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.hosts.memory_group import MemoryGroup, memory_group
from tests.faults.hosts.short_memory import short_of_memory
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.maintainer import Maintainer, maintaining
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.sending import send_more
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.stream import landed_count, lines, metrics
from tests.worker_process import running, wait_until

# The full runs take minutes.
pytestmark = [pytest.mark.timeout(1800), pytest.mark.unforked]


# Far beyond what the group allows to be landed at once; and all of a backlog is taken in before it is flushed.
LARGE = {"HEADWATER_FLUSH_BYTES_MAX": "64000000", "HEADWATER_INFLIGHT_BYTES_MAX": "96000000", "HEADWATER_FLUSH_SECS_MAX": "3"}
ALLOWED_BYTES, NEXT_TO_NOTHING_BYTES = 130_000_000, 4_000_000


def large_record(number: int, chance: random.Random, load: Load) -> tuple[bytes, bytes, str]:
    """An event of some 9 kB."""
    key, value, event_id = load.build_record(number, chance)
    attributes = {f"attribute-{place}": f"{chance.getrandbits(800):x}" for place in range(40)}
    return key, json.dumps(json.loads(value) | {"attributes": attributes}).encode(), event_id


def send_large(load: Load, chance: random.Random, count: int) -> None:
    send_more(load, chance, count, build=lambda number, chance: large_record(number, chance, load))


def begin_poor(worker: FaultWorker, group: MemoryGroup, load: Load, chance: random.Random) -> int:
    """A worker that has landed a little; returns the memory that its group shall have, little beyond what it has."""
    assert worker.process is not None
    group.add(worker.process.pid)
    send_large(load, chance, 50)
    wait_for_rows(worker.settings, 50)
    return group.anonymous_bytes + ALLOWED_BYTES


def starve(worker: FaultWorker, group: MemoryGroup, load: Load, chance: random.Random, count: int, bytes_max: int) -> None:
    """A large backlog comes before the worker, and its group has so much memory."""
    assert worker.process is not None
    worker.process.send_signal(signal.SIGSTOP)
    send_large(load, chance, count)
    group.limit(bytes_max)
    worker.process.send_signal(signal.SIGCONT)


def note_kill(worker: FaultWorker) -> int:
    """Rows that have landed by the time at which the kernel has killed it."""
    assert worker.process is not None
    assert worker.process.returncode == -signal.SIGKILL
    return landed_count(worker.settings)


def restart(worker: FaultWorker, group: MemoryGroup) -> None:
    """As supervisor does."""
    worker.start()
    assert worker.process is not None
    group.add(worker.process.pid)


def is_stuck(kills: list[int]) -> bool:
    """Whether five starts one after the other landed nothing; `kills` are the rows that had landed by each kill."""
    return len(kills) >= 5 and kills[-1] == kills[-5]


def test_fault_11_a_worker_that_the_kernel_kills_for_its_memory_is_followed_by_one_that_lands_a_backlog_in_smaller_pieces(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker, chance, kills = FaultWorker(settings, tmp_path), schedule.chance, list[int]()
    worker.rig |= LARGE
    with (
        maintaining(*schedule.choose([], [Maintainer.of_long_run(settings, tmp_path)])),
        memory_group() as group,
        Load(settings, tmp_path, chance, per_sec=0) as load,
        running(worker),
    ):
        bytes_max = begin_poor(worker, group, load, chance)
        for _ in range(schedule.choose(1, 4)):
            # With next to nothing any worker dies of it.
            starve(worker, group, load, chance, schedule.choose(3_000, 8_000), group.anonymous_bytes + NEXT_TO_NOTHING_BYTES)
            wait_until(lambda: not worker.is_running, "the kernel kills the worker")
            kills.append(note_kill(worker))
            assert kills[-1] < load.count
            group.limit(bytes_max)
            restart(worker, group)
            while landed_count(settings) < load.count:
                if not worker.is_running:
                    kills.append(note_kill(worker))
                    restart(worker, group)
                time.sleep(0.1)
                assert not is_stuck(kills)
        assert worker.is_running
        assert worker.stop() == 0
    proof.note(injections=len(kills), kills_by_the_kernel=len(kills))
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_11_a_worker_that_the_kernel_kills_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker, kills = FaultWorker(settings, tmp_path, guards_off="shrink"), list[int]()
    worker.rig |= LARGE
    with memory_group() as group, Load(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        bytes_max = begin_poor(worker, group, load, schedule.chance)
        starve(worker, group, load, schedule.chance, 4_000, bytes_max)
        while not is_stuck(kills) and landed_count(settings) < load.count:
            if not worker.is_running:
                kills.append(note_kill(worker))
                restart(worker, group)
            time.sleep(0.1)
    proof.show(f"killed {len(kills)} times, with {kills[-1]} of {load.count} records landed" if is_stuck(kills) else "")


def test_fault_11_a_flush_for_which_memory_does_not_suffice_is_landed_in_smaller_pieces(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    # The first flush waits until there is a megabyte for it.
    worker = short_of_memory(FaultWorker(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="3"))
    with Load(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        begin_backlog(worker, load, schedule, schedule.choose(6_000, 60_000))
        wait_for_rows(settings, load.count)
        said = lines(worker.log, "WARNING", "Memory does not suffice to land", "MemoryError")
        # From a megabyte to what fits takes two, and then it grows slowly.
        assert len(said) >= 2
        assert metrics(worker)["headwater_flush_failures_total"] == len(said)
        assert worker.stop() == 0
    proof.note(injections=len(said), restarts=0)
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_11_a_flush_for_which_memory_does_not_suffice_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = short_of_memory(FaultWorker(settings, tmp_path, guards_off="shrink"))
    with Load(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        begin_backlog(worker, load, schedule, 6_000)
        landed = list[int]()
        for failures in (5, 10):
            wait_until(functools.partial(has_failed, worker, failures), "it fails again and again")
            landed.append(landed_count(settings))
    # A piece that came by itself may have been small enough.
    is_stuck = landed[0] == landed[1] < load.count
    proof.show(f"tried again and again as it was, with {landed[0]} of {load.count:,} records landed" if is_stuck else "")


def begin_backlog(worker: FaultWorker, load: Load, schedule: Schedule, count: int) -> None:
    """A worker that has landed 50 records, and before which so many lie at once."""
    assert worker.process is not None
    send_more(load, schedule.chance, 50)
    wait_for_rows(worker.settings, 50)
    worker.process.send_signal(signal.SIGSTOP)
    send_more(load, schedule.chance, count)
    worker.process.send_signal(signal.SIGCONT)


def has_failed(worker: FaultWorker, times: int) -> bool:
    return metrics(worker)["headwater_flush_failures_total"] >= times
