"""Row 17: whole batches sent again under the same event ids, at once, after a kill, and to a worker whose dedup window is cold."""

import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.stream import landed_ids, rows
from tests.worker_process import running

SHARE, BATCH_RECORDS = 0.05, 100

Sent = tuple[bytes, bytes, str]


class Batches:
    """Batches that are sent, and some of them again: `resent` says how often each id was, beyond the first time."""

    def __init__(self, load: Load, schedule: Schedule) -> None:
        self._load, self._chance = load, schedule.chance
        self.sent: list[list[Sent]] = []
        self.resent = Counter[str]()
        self.resent_count = 0

    def send(self, count: int) -> None:
        """New ones; now and then one that was sent before follows."""
        again = set(self._chance.sample(range(count), max(3, round(count * SHARE))))
        for number in range(count):
            start = len(self.sent) * BATCH_RECORDS
            self.sent.append([self._load.build_record(start + place, self._chance) for place in range(BATCH_RECORDS)])
            self._send(self.sent[-1])
            if number in again:
                self._resend(self._chance.choice(self.sent))
        self._load.stop()

    def resend(self) -> None:
        """One of twenty of those that were sent, at least three."""
        for batch in self._chance.sample(self.sent, max(3, round(len(self.sent) * SHARE))):
            self._resend(batch)
        self._load.stop()

    def _resend(self, batch: list[Sent]) -> None:
        self.resent.update(event_id for _, _, event_id in batch)
        self.resent_count += 1
        self._send(batch)

    def _send(self, batch: list[Sent]) -> None:
        for record in batch:
            self._load.send(*record)

    @property
    def ids(self) -> list[str]:
        return [event_id for batch in self.sent for _, _, event_id in batch]


def test_fault_17_batches_sent_again_land_once_also_after_a_kill_and_into_a_cold_window(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path)
    with Load(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        batches = Batches(load, schedule)
        batches.send(schedule.choose(60, 3000))
        wait_for_rows(settings, load.count)
        worker.kill()
        worker.start()
        batches.resend()
        wait_for_rows(settings, load.count)
        assert worker.stop() == 0
        # A home of its own: nothing is remembered there, and the lake must say what has landed.
        home = tmp_path / "another-home"
        home.mkdir()
        shutil.copy(settings.secrets_file, home)
        worker.settings = settings.model_copy(update={"home": home})
        worker.start()
        batches.resend()
        wait_for_rows(settings, load.count)
        assert worker.stop() == 0
    found = judge(settings, load.ledger).require()
    assert landed_ids(settings) == Counter(batches.ids)
    dead = rows(settings, "dead_letters", ["event_id", "reason"])
    assert Counter(dead) == Counter({(event_id, "duplicate"): count for event_id, count in batches.resent.items()})
    proof.note(injections=batches.resent_count, resent_records=len(dead), window_hours=settings.dedup_window_hours, landed_twice=0)
    proof.note_workers(worker)
    proof.note_findings(found)


class ForgettableLoad(Load):
    """What of it is sent again may land again."""

    def is_certain(self, value: bytes) -> bool:
        return False


def test_fault_17_beyond_the_window_a_resend_lands_again_and_is_known_from_then_on(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    window_secs = 3.6
    worker = FaultWorker(settings, tmp_path, HEADWATER_DEDUP_WINDOW_HOURS=str(window_secs / 3600))
    with ForgettableLoad(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        batch = [load.build_record(number, schedule.chance) for number in range(BATCH_RECORDS)]
        for wait_secs in (0.0, 0.0, window_secs + 0.5, 0.0):
            time.sleep(wait_secs)
            for record in batch:
                load.send(*record)
            load.stop()
        wait_for_rows(settings, load.count)
        assert worker.stop() == 0
    found = judge(settings, load.ledger).require()
    assert set(landed_ids(settings).values()) == {2}
    assert (found.events, found.dead) == (2 * BATCH_RECORDS, 2 * BATCH_RECORDS)
    proof.note(injections=3, window_secs=window_secs, resent_within_window=2 * BATCH_RECORDS, landed_again_beyond_window=BATCH_RECORDS)
    proof.note_workers(worker)
    proof.note_findings(found)


@pytest.mark.full
def test_fault_17_without_dedup_resent_batches_land_twice_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path, HEADWATER_DEDUP_ENABLED="false")
    with Load(settings, tmp_path, schedule.chance, per_sec=0) as load, running(worker):
        batches = Batches(load, schedule)
        batches.send(60)
        wait_for_rows(settings, load.count)
        assert worker.stop() == 0
    found = landed_ids(settings)
    twice = sum(count > 1 for count in found.values())
    proof.note(injections=batches.resent_count)
    assert (twice, len(found)) == (len(batches.resent), len(batches.ids))
    proof.show(f"{twice} of {len(found)} event ids landed more than once" if twice else "")
