"""Row 14: records of 1, 10 and 100 MiB, several at once, and a million small ones that wait: dead letters with size and hash, memory below its cap.

Kafka bounds packed bytes (pipeline/topics.py), so that a record of 100 MiB comes in only when its producer compresses it.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.topics import MESSAGE_BYTES_MAX
from tests.faults.rig.fault_worker import RSS_BYTES_MAX, FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.stream import rows
from tests.worker_process import running, wait_until

pytestmark = pytest.mark.unforked

MIB = 1 << 20


def _send_large(load: "LargeLoad", sizes: list[int], filler: bytes | None = None) -> None:
    """One record of each size in partition 0, an event after each; `filler` None is a text that packs well."""
    for number, size in enumerate(sizes):
        begin = b'{"number":%d,"filler":"' % number
        load.send(b"shop/large", begin + (b"x" * size if filler is None else filler)[: size - len(begin)], partition=0)
        load.send(*load.build_record(number, load.chance), partition=0)


class LargeLoad(Load):
    """Nothing but what is sent beside it, packed."""

    def __init__(self, settings: Settings, folder: Path, schedule: Schedule) -> None:
        super().__init__(settings, folder, schedule.chance, per_sec=0, compression="zstd")
        self.chance = schedule.chance


def test_fault_14_oversized_records_are_dead_letters_of_size_and_hash_and_memory_stays_below_its_cap(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    times = schedule.choose(1, 5)
    sizes = [1_000_001, MIB, 10 * MIB, 10 * MIB, 100 * MIB, 100 * MIB, 100 * MIB] * times
    random_sizes = [MIB, 10 * MIB, 40 * MIB] * times
    worker = FaultWorker(settings, tmp_path)
    with LargeLoad(settings, tmp_path, schedule) as load:
        schedule.chance.shuffle(sizes)
        _send_large(load, sizes)
        _send_large(load, random_sizes, schedule.chance.randbytes(40 * MIB))
        load.stop()
        assert (load.errors, load.count) == (0, 2 * len(sizes + random_sizes))
        # What does not pack is refused by Kafka, and its producer knows.
        load.send(b"shop/large", schedule.chance.randbytes(MESSAGE_BYTES_MAX))
        load.stop()
        assert (load.errors, load.count) == (1, 2 * len(sizes + random_sizes))
        with running(worker):
            wait_for_rows(settings, load.count, 300)
            assert worker.stop() == 0
    found = judge(settings, load.ledger).require()
    dead = rows(settings, "dead_letters", ["reason", "value_bytes", "value"])
    assert Counter(dead) == Counter(("too_large", size, None) for size in sizes + random_sizes)
    proof.note(injections=len(dead), refused_by_kafka=1, largest_bytes=max(sizes))
    proof.note_workers(worker)
    proof.note_findings(found)


def test_fault_14_a_million_small_records_that_wait_land_within_the_same_memory(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    count = schedule.choose(50_000, 1_000_000)
    worker = FaultWorker(settings, tmp_path)
    with LargeLoad(settings, tmp_path, schedule) as load:
        for number in range(count):
            record = {"event_id": str(number), "event_type": "t", "event_timestamp": 1764000000000, "application": {"app_id": "a"}}
            load.send(b"a/e", json.dumps(record).encode(), str(number), partition=0)
        load.stop()
        with running(worker):
            wait_for_rows(settings, load.count, 600)
            assert worker.stop() == 0
    found = judge(settings, load.ledger).require()
    assert found.dead == 0
    proof.note(injections=1, waiting_records=count)
    proof.note_workers(worker)
    proof.note_findings(found)


@pytest.mark.full
def test_fault_14_without_the_limit_of_a_message_its_bytes_are_kept_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path, HEADWATER_MESSAGE_BYTES_MAX="500000000")
    sizes = [MIB, 10 * MIB, 10 * MIB]
    with LargeLoad(settings, tmp_path, schedule) as load, running(worker):
        _send_large(load, sizes)
        load.stop()
        wait_for_rows(settings, load.count)
    kept = sum(len(value or b"") for (value,) in rows(settings, "dead_letters", ["value"]))
    proof.note(injections=len(sizes))
    proof.show(f"{kept:,} bytes of {len(sizes)} oversized records kept" if kept else "")


@pytest.mark.full
def test_fault_14_with_large_values_carried_along_memory_goes_beyond_its_cap_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path, guards_off="large_left_out")
    with LargeLoad(settings, tmp_path, schedule) as load:
        _send_large(load, [100 * MIB] * 4)
        load.stop()
        with running(worker):
            wait_until(lambda: worker.rss_bytes_max > RSS_BYTES_MAX or len(rows(settings)) == 4, "memory", 120)
    proof.note(injections=4)
    proof.show(f"{worker.rss_bytes_max:,} bytes of memory" if worker.rss_bytes_max > RSS_BYTES_MAX else "")
