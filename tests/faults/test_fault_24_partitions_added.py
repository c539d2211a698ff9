"""Row 24: partitions added under load, from 4 to 16. The workers begin where the newest record is: those of an added partition land all the same."""

from pathlib import Path

import pytest
from kafka.admin import NewPartitions

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.landed_offsets import LandedOffsets
from tests.stream import landed_ids, raw_events, rows
from tests.worker_process import running, wait_until

WAIT_SECS_MAX = 180


class MovingLoad(Load):
    """A resend whose key leads to another partition by now is a duplicate where the worker of that one has taken over the keys of the first."""

    def is_certain(self, value: bytes) -> bool:
        return False


def grow_under_load(
    settings: Settings, folder: Path, schedule: Schedule, counts: tuple[int, ...], guards_off: str = ""
) -> tuple[Load, list[FaultWorker]]:
    """Two workers land while the topic grows to each of these counts in turn; ends when records have come to every partition."""
    workers = [FaultWorker(settings, folder, number, guards_off=guards_off, HEADWATER_START_OFFSET="latest") for number in range(2)]
    offsets = LandedOffsets(settings)
    with running(*workers):
        # Nothing has been sent before they know where the topic begins.
        wait_until(lambda: len(offsets.read()) == 4, "the workers have taken the topic over", WAIT_SECS_MAX)
        with MovingLoad(settings, folder, schedule.chance, per_sec=1000) as load:
            wait_until(lambda: load.count > 1000, "records", WAIT_SECS_MAX)
            for count in counts:
                with open_admin(settings) as admin:
                    admin.create_partitions({raw_events(settings): NewPartitions(count)})
                wait_for_partitions(offsets, count)
            load.stop()
            if guards_off:
                wait_until(lambda: {partition for partition, _ in rows(settings)} == set(range(counts[-1])), "rows of each", WAIT_SECS_MAX)
            else:
                wait_for_rows(settings, load.count)
            # What they hold lands before they leave.
            assert [worker.stop(60) for worker in workers] == [0, 0]
    return load, workers


def wait_for_partitions(offsets: LandedOffsets, count: int) -> None:
    """Until records of so many have landed."""
    wait_until(lambda: sum(wanted > 0 for wanted in offsets.read().values()) == count, f"{count} partitions land", WAIT_SECS_MAX)


@pytest.mark.timeout(900)
def test_fault_24_partitions_added_under_load_land_from_their_first_record(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    counts = schedule.choose((8, 12, 16), tuple(range(5, 17)))
    load, workers = grow_under_load(settings, tmp_path, schedule, counts)
    proof.note(injections=len(counts), partitions=counts[-1])
    proof.note_workers(*workers)
    proof.note_findings(judge(settings, load.ledger).require())
    assert {partition for partition, _ in rows(settings)} == set(range(16))
    # Nothing is a duplicate of nothing.
    assert set(landed_ids(settings)) == {entry["event_id"] for entry in load.ledger.entries() if entry["event_id"]}


@pytest.mark.full
def test_fault_24_partitions_added_under_load_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    load, _ = grow_under_load(settings, tmp_path, schedule, (16,), guards_off="known_topic")
    verdict = judge(settings, load.ledger)
    proof.note_findings(verdict.found)
    # Of the new partitions nothing lands at all: there are no holes.
    proof.show(f"lost {verdict.found.lost:,}" if verdict.found.lost else "")
