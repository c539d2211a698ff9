"""Row 28: the release before this one and this one land beside each other, and each takes over from the other, both ways."""

from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.hosts.release_before import check_out
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.worker_counts import landed
from tests.worker_process import WorkerProcess, running, wait_until

WAIT_SECS_MAX = 180


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release before this one."""
    return check_out(tmp_path_factory.mktemp("before"))


def build_old(settings: Settings, folder: Path, number: int, checkout: Path) -> WorkerProcess:
    """A worker of that release. It has the name of the new one in its place, and so its partitions."""
    worker = WorkerProcess(settings, folder, number, HEADWATER_FLUSH_SECS_MAX="0.3")
    worker.checkout = checkout
    return worker


def wait_for_rows_of(worker: WorkerProcess) -> None:
    """Until it has landed something."""
    wait_until(lambda: landed(worker) > 0, f"{worker.name} lands", WAIT_SECS_MAX)


@pytest.mark.timeout(1200)
def test_fault_28_upgrade_and_rollback_beside_each_other_lose_nothing(
    settings: Settings, topics: list[str], tmp_path: Path, checkout: Path, schedule: Schedule, proof: Proof
) -> None:
    old = [build_old(settings, tmp_path, number, checkout) for number in range(2)]
    new = [FaultWorker(settings, tmp_path, number) for number in range(2)]
    # Which place changes hands next. In the first half the old one has place 0 at first; every second one leaves by kill -9.
    places = [0, 1, 0] if not schedule.is_full else [0, 1, 0, 1] * 3
    present: list[WorkerProcess] = [old[0], new[1]]
    with Load(settings, tmp_path, schedule.chance, per_sec=600) as load, running(*present):
        try:
            for worker in present:
                wait_for_rows_of(worker)
            for number, place in enumerate(places):
                leaving, coming = present[place], old[place] if present[place] is new[place] else new[place]
                if number % 2:
                    leaving.kill()
                else:
                    assert leaving.stop(60) == 0
                present[place] = coming.start()
                wait_for_rows_of(coming)
            load.stop()
            wait_for_rows(settings, load.count)
            assert [worker.stop(60) for worker in present] == [0, 0]
        finally:
            for worker in filter(lambda one: one.is_running, [*old, *new]):
                worker.kill()
    proof.note(injections=len(places))
    proof.note_workers(*new)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_28_upgrade_and_rollback_control(
    settings: Settings, topics: list[str], tmp_path: Path, checkout: Path, schedule: Schedule, proof: Proof
) -> None:
    """A new release that kept its place in Kafka alone: after a rollback the old one finds nothing of it in the lake, and lands all again."""
    new = FaultWorker(settings, tmp_path, 0, guards_off="offset_check")
    old = build_old(settings, tmp_path, 0, checkout)
    with Load(settings, tmp_path, schedule.chance, per_sec=600) as load, running(new):
        wait_for_rows_of(new)
        assert new.stop(60) == 0
        load.stop()
        with running(old):
            wait_for_rows_of(old)
            wait_for_rows(settings, load.count)
            assert old.stop(60) == 0
    verdict = judge(settings, load.ledger)
    proof.note_findings(verdict.found)
    proof.show(verdict.shown("duplicate"))
