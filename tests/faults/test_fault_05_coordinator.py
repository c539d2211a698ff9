"""Row 5: a group coordinator that answers UNKNOWN_SERVER_ERROR while its members join. A row of a full run found it."""

import time
from pathlib import Path

from pipeline.config import Settings
from tests.faults.hosts.failing_coordinator import behind_failing_coordinator
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.sending import send_more
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.stream import landed_count, lines
from tests.worker_process import running, wait_until

FAILED_SYNCS = 2


def test_fault_05_a_group_coordinator_that_fails_to_answer_is_joined_again(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = behind_failing_coordinator(FaultWorker(settings, tmp_path), FAILED_SYNCS)
    with Load(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        send_more(load, schedule.chance, 50)
        wait_for_rows(settings, load.count)
        assert len(lines(worker.log, "WARNING", "UNKNOWN_SERVER_ERROR")) == FAILED_SYNCS
        assert worker.stop() == 0
    proof.note(injections=FAILED_SYNCS)
    proof.note_findings(judge(settings, load.ledger).require())


def test_fault_05_a_group_coordinator_that_fails_to_answer_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = behind_failing_coordinator(FaultWorker(settings, tmp_path, guards_off="patient_coordinator"), FAILED_SYNCS)
    with Load(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        send_more(load, schedule.chance, 50)
        wait_until(
            lambda: bool(lines(worker.log, "UNKNOWN_SERVER_ERROR")) or bool(lines(worker.log, "UnknownError")), "the coordinator has failed"
        )
        # With the guard it lands within two seconds.
        time.sleep(10)
        landed = landed_count(settings)
    proof.show("" if landed else f"nothing of {load.count} records landed within 10 s, nor would it")
