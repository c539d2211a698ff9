"""Row 5: writers that do not know that they are none any more, stopped in mid-flush for longer than the session; and two that never agree."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.failpoints import read_journal
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.landed_offsets import LandedOffsets
from tests.faults.watch.worker_counts import fenced
from tests.worker_process import running, wait_until

STOPPED_AT = ("before dead_letters commit", "before events upload", "before events commit")
SESSION_SECS = 6
WAIT_SECS_MAX = 180


def send_signal(worker: FaultWorker, number: signal.Signals) -> None:
    assert worker.process is not None
    worker.process.send_signal(number)


class Zombies:
    """Workers that stop at a step each, and one that never does and takes over what they have."""

    def __init__(self, settings: Settings, folder: Path, steps: Sequence[str], guards_off: str = "") -> None:
        self.heir = FaultWorker(settings, folder, 0, guards_off=guards_off)
        self.zombies = [FaultWorker(settings, folder, number + 1, guards_off=guards_off) for number in range(len(steps))]
        self.stopped_secs: list[float] = []
        self.injections = 0
        self.fenced_count = 0
        self._settings, self._steps, self._offsets = settings, steps, LandedOffsets(settings)

    @property
    def workers(self) -> list[FaultWorker]:
        return [self.heir, *self.zombies]

    def run_round(self, is_void_allowed: bool = False) -> None:
        """All stop in mid-flush; the heir lands in their place; they wake up, and each must be fenced, or the round is void."""
        struck = [len(read_journal(zombie.journal)) for zombie in self.zombies]
        for zombie, step in zip(self.zombies, self._steps, strict=True):
            zombie.plan = [{"at": step, "pass": 4, "do": "stop"}]
            zombie.start()
        wait_until(
            lambda: all(len(read_journal(zombie.journal)) > count for zombie, count in zip(self.zombies, struck, strict=True)),
            "all have stopped",
            WAIT_SECS_MAX,
        )
        wanted, began_at = self._offsets.read(), time.monotonic()
        assert len(wanted) >= len(self.workers), "each worker has a partition"

        def has_taken_over() -> bool:
            now = self._offsets.read()
            return all(now[partition] > before for partition, before in wanted.items())

        wait_until(has_taken_over, "another worker lands what was theirs", WAIT_SECS_MAX)
        # Kafka counts a session from the last heartbeat, so that another may take over before the stop has lasted as long.
        time.sleep(max(0.0, began_at + SESSION_SECS - time.monotonic()))
        self.stopped_secs.append(round(time.monotonic() - began_at, 1))
        for zombie in self.zombies:
            send_signal(zombie, signal.SIGCONT)
        if not is_void_allowed:
            wait_until(lambda: min(map(fenced, self.zombies)) >= 1, "each zombie is fenced", WAIT_SECS_MAX)
        self.injections += len(self.zombies)
        self.fenced_count += int(sum(map(fenced, self.zombies)))

    def end_round(self) -> None:
        """Away with them: the next round's are new processes."""
        for zombie in self.zombies:
            assert zombie.stop(60) == 0


@pytest.mark.timeout(1200)
def test_fault_05_zombies_are_fenced_and_double_nothing(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    group = Zombies(settings, tmp_path, STOPPED_AT)
    with Load(settings, tmp_path, schedule.chance, per_sec=1000) as load, running(group.heir):
        try:
            for _ in range(schedule.choose(1, 6)):
                group.run_round()
                group.end_round()
            load.stop()
            wait_for_rows(settings, load.count)
            assert group.heir.stop(60) == 0
        finally:
            for zombie in filter(lambda one: one.is_running, group.zombies):
                zombie.kill()
    proof.note(injections=group.injections, fenced=group.fenced_count, stopped_secs=group.stopped_secs, session_secs=SESSION_SECS)
    proof.note_workers(*group.workers)
    proof.note_findings(judge(settings, load.ledger).require())
    assert group.fenced_count >= group.injections


@pytest.mark.full
@pytest.mark.timeout(600)
def test_fault_05_zombie_control(settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    """Without tokens a dead letter of the zombie's lands beside that of its heir, unless a commit of the heir's comes between: then the table
    refuses the zombie's, and the round shows nothing."""
    group = Zombies(settings, tmp_path, STOPPED_AT[:1], guards_off="owner_token")
    with Load(settings, tmp_path, schedule.chance, per_sec=1000) as load, running(group.heir):
        try:
            for _ in range(3):
                group.run_round(is_void_allowed=True)
                # What it stopped with lands before it leaves.
                group.end_round()
            load.stop()
            wait_for_rows(settings, load.count)
            assert group.heir.stop(60) == 0
        finally:
            for zombie in filter(lambda one: one.is_running, group.zombies):
                zombie.kill()
    verdict = judge(settings, load.ledger)
    proof.note_findings(verdict.found)
    proof.show(verdict.shown("duplicate"))


def run_rivals(settings: Settings, folder: Path, schedule: Schedule, guards_off: str = "") -> tuple[Load, list[FaultWorker], int]:
    """Two workers of two groups, each of which Kafka gives every partition, on one lake; returns how often they fenced each other, too."""
    names = (settings.worker_group, f"{settings.worker_group}-rival")
    rivals = [
        FaultWorker(settings, folder, number, guards_off=guards_off, HEADWATER_WORKER_GROUP=name) for number, name in enumerate(names)
    ]
    wanted = schedule.choose(3, 60)
    with Load(settings, folder, schedule.chance, per_sec=1000) as load, running(*rivals):
        if guards_off:
            wait_for_rows(settings, 5000)
        else:
            wait_until(lambda: sum(map(fenced, rivals)) >= wanted, "they fence each other", secs_max=400)
        load.stop()
        wait_for_rows(settings, load.count)
        count = int(sum(map(fenced, rivals)))
        assert [rival.stop(60) for rival in rivals] == [0, 0]
    return load, rivals, count


@pytest.mark.timeout(1200)
def test_fault_05_two_permanent_rivals_fence_each_other_and_double_nothing(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    load, rivals, count = run_rivals(settings, tmp_path, schedule)
    proof.note(injections=len(rivals), fenced=count)
    proof.note_workers(*rivals)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
@pytest.mark.timeout(600)
def test_fault_05_two_permanent_rivals_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    load, *_ = run_rivals(settings, tmp_path, schedule, guards_off="offset_check")
    verdict = judge(settings, load.ledger)
    proof.note_findings(verdict.found)
    proof.show(verdict.shown("duplicate"))
