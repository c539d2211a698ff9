"""Row 12: the wall clock of one of two workers is an hour off, or jumps."""

import functools
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.hosts.wrong_clock import WrongClock
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.more_rows import wait_for_more_rows
from tests.stream import event, landed_ids, lines, metrics, send
from tests.worker_process import running, wait_until

# The full runs take minutes.
pytestmark = pytest.mark.timeout(1800)


MINUTE = 60
# S3 refuses requests that were signed at a time more than a quarter of an hour from its own.
WITHIN, BEYOND = (-14 * MINUTE, 14 * MINUTE, -MINUTE), (60 * MINUTE, -60 * MINUTE)


def test_fault_12_a_worker_whose_clock_is_wrong_lands_each_record_once_and_says_so_when_the_store_refuses_its_clock(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    clock, chance = WrongClock(tmp_path), schedule.chance
    right, wrong = FaultWorker(settings, tmp_path, 0), FaultWorker(settings, tmp_path, 1)
    wrong.rig |= clock.variables
    moves = [chance.choice(WITHIN) for _ in range(schedule.choose(1, 6))] + list(BEYOND) * schedule.choose(1, 3)
    chance.shuffle(moves)
    with Load(settings, tmp_path, chance, per_sec=300) as load, running(right, wrong):
        for worker in (right, wrong):
            wait_until(functools.partial(owns_half, worker), "each has half of the partitions")
        for move in moves:
            said = len(clock_lines(wrong))
            clock.move(move)
            if move in BEYOND:
                wait_until(functools.partial(has_named_its_clock, wrong, said), "the clock is named")
            # The other one goes on, and this one does when its clock is right, or nearly.
            wait_for_more_rows(settings)
            clock.move(0)
            wait_for_more_rows(settings, 300)
        load.stop()
        wait_for_rows(settings, load.count)
        # Nobody lost a partition by it, nor was started anew.
        assert all(owns_half(worker) for worker in (right, wrong))
        assert sum(metrics(worker)["headwater_partitions_fenced_total"] for worker in (right, wrong)) == 0
        assert [worker.stop() for worker in (right, wrong)] == [0, 0]
    assert not clock_lines(right)
    proof.note(injections=len(moves), clock_secs_off_max=max(map(abs, moves)))
    proof.note_workers(right, wrong)
    proof.note_findings(judge(settings, load.ledger).require())


def clock_lines(worker: FaultWorker) -> list[str]:
    """Where it said that the store refuses its clock, and what to do."""
    return lines(worker.log, "WARNING", "set this machine's clock")


def has_named_its_clock(worker: FaultWorker, before: int) -> bool:
    return len(clock_lines(worker)) > before


def owns_half(worker: FaultWorker) -> bool:
    """Of four partitions of each of three topics."""
    try:
        return metrics(worker)["headwater_partitions_assigned"] == 6
    except OSError:
        return False


def test_fault_12_a_clock_that_jumps_shortens_no_dedup_window(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    counts = jump_and_send_again(settings, tmp_path)
    proof.note(injections=1)
    assert counts == {1}


@pytest.mark.full
def test_fault_12_a_clock_that_jumps_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    counts = jump_and_send_again(settings, tmp_path, guards_off="append_time")
    proof.show("resends within the window landed again" if 2 in counts else "")


def jump_and_send_again(settings: Settings, folder: Path, guards_off: str = "") -> set[int]:
    """Send events, move the clock by more than the dedup window, and send the same again; returns how often an event landed."""
    clock = WrongClock(folder)
    worker = FaultWorker(settings, folder, guards_off=guards_off, HEADWATER_DEDUP_WINDOW_HOURS="0.1")
    worker.rig |= clock.variables
    same = [event(f"same-{number}", f"phone-{number}") for number in range(20)]
    with running(worker):
        send(settings, same)
        wait_for_rows(settings, 20)
        clock.move(13 * MINUTE)
        send(settings, [event(f"other-{number}", f"phone-{number}") for number in range(20)])
        wait_for_rows(settings, 40)
        send(settings, same)
        wait_for_rows(settings, 60)
    landed = landed_ids(settings)
    return {landed[f"same-{number}"] for number in range(20)}
