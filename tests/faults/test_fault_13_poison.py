"""Row 13: messages of every bad class in the stream. Each is a dead letter with its reason, and no worker dies of one."""

import random
from collections import Counter
from pathlib import Path

import pytest
import xxhash

from pipeline.config import Settings
from tests.faults.inputs.poison import POISON
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.stream import rows
from tests.worker_process import running, wait_until

SHARE = 0.001


class PoisonedLoad(Load):
    """A load in which one of a thousand records is poison; `poisoned` has the classes that were sent, one name for each record."""

    def __init__(self, settings: Settings, folder: Path, chance: random.Random, per_sec: float) -> None:
        super().__init__(settings, folder, chance, per_sec, resent=0, malformed=0)
        self.poisoned: list[str] = []
        self._classes = random.Random(chance.getrandbits(64))

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes, str]:
        if self._classes.random() < SHARE:
            self.send_poison(self._classes.choice(list(POISON)))
        return super().build_record(number, chance)

    def send_poison(self, name: str) -> None:
        self.poisoned.append(name)
        self.send(b"shop/poison", POISON[name][0])


def test_fault_13_every_poison_message_is_a_dead_letter_with_its_reason_and_no_worker_dies(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path)
    with PoisonedLoad(settings, tmp_path, schedule.chance, schedule.choose(2000, 4000)) as load, running(worker):
        assert worker.process is not None
        pid = worker.process.pid
        wait_until(lambda: load.count > schedule.choose(4000, 300_000), "records", 300)
        load.stop()
        # A burst: every class, and all of it in neighbouring records.
        burst = [*POISON] * schedule.choose(3, 100)
        schedule.chance.shuffle(burst)
        for name in burst:
            load.send_poison(name)
        load.stop()
        wait_for_rows(settings, load.count)
        assert (worker.process.pid, worker.is_running) == (pid, True)
        assert worker.stop() == 0
    found = judge(settings, load.ledger).require()
    dead = rows(settings, "dead_letters", ["reason", "_payload_hash"])
    assert Counter(dead) == Counter((str(POISON[name][1]), _payload_hash(POISON[name][0])) for name in load.poisoned)
    proof.note(injections=len(load.poisoned), classes=len(POISON), reasons=dict(Counter(reason for reason, _ in dead)), worker_deaths=0)
    proof.note_workers(worker)
    proof.note_findings(found)


@pytest.mark.full
def test_fault_13_without_the_reading_of_each_message_by_itself_a_worker_dies_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path, guards_off="pre_scan")
    with Load(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        assert worker.process is not None
        _send_around(load, schedule.chance, POISON["two objects on two lines"][0])
        wait_for_rows(settings, load.count)
        sent = {(entry["partition"], entry["offset"]): entry["event_id"] for entry in load.ledger.entries()}
        landed = rows(settings, "events", ["_partition", "_offset", "event_id"])
        misplaced = sum(event_id != sent[partition, offset] for partition, offset, event_id in landed)
        good, dead_before = load.count - 1, len(rows(settings, "dead_letters"))
        _send_around(load, schedule.chance, POISON["name twice"][0])
        wait_for_rows(settings, load.count)
        buried = len(rows(settings, "dead_letters")) - dead_before - 1
        _send_around(load, schedule.chance, POISON["100,000 arrays deep"][0])
        wait_until(lambda: not worker.is_running, "it dies")
        status = worker.process.returncode
    assert min(misplaced, buried) > 0
    assert status == -11
    proof.note(injections=3)
    proof.show(
        f"two objects in one message put {misplaced} of {good} events under offsets of others, one name twice made dead letters of {buried} neighbours, "
        f"nesting ended the worker by signal {-status}"
    )


def _send_around(load: Load, chance: random.Random, poison: bytes | None) -> None:
    """Poison in the middle of a hundred events, all in partition 0 and one flush."""
    for number in range(100):
        if number == 50:
            load.send(b"shop/poison", poison, partition=0)
        load.send(*load.build_record(number, chance), partition=0)
    load.stop()


def _payload_hash(value: bytes | None) -> int:
    unsigned = xxhash.xxh3_64_intdigest(value or b"")
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned
