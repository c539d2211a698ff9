"""Row 20: many writers and a compactor on one table, each with more to land than it may."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.topics import ensure_topics
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.maintainer import Maintainer, maintaining
from tests.faults.rig.percentile import percentile
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.timed_worker import commit_secs, timed
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.landed_offsets import LandedOffsets
from tests.stream import metrics
from tests.worker_process import running, wait_until

WAIT_SECS_MAX = 240
JAIN_MIN = 0.9
# What one flush lands, so that who commits more often lands more: some 300 records.
FLUSH_BYTES_MAX = 100_000


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 when all got the same, 1/n when one got everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


class Contention:
    """So many workers with a partition each, and a maintainer that is never done. `landed`: records of each partition in the time that was measured."""

    def __init__(self, settings: Settings, folder: Path, count: int, commit_secs_min: float = 0.2, hog_guards_off: str = "") -> None:
        self.settings = settings.model_copy(update={"topic_partitions": count})
        ensure_topics(self.settings)
        self.workers = [
            timed(FaultWorker(self.settings, folder, number, guards_off="" if number else hog_guards_off)) for number in range(count)
        ]
        for worker in self.workers:
            worker.rig |= {"HEADWATER_FLUSH_BYTES_MAX": str(FLUSH_BYTES_MAX), "HEADWATER_COMMIT_SECS_MIN": str(commit_secs_min)}
        self.maintainer = Maintainer(self.settings, folder)
        self.landed: list[int] = []
        self.commit_secs: list[float] = []
        self.files_compacted = 0.0

    def run(self, load: Load, backlog: int, secs: float, is_drained: bool = True) -> None:
        """Let them contend for so long over so many records, which is more than they can land; and then, with `is_drained`, land everything."""
        count, offsets = len(self.workers), LandedOffsets(self.settings)
        with running(*self.workers), maintaining(self.maintainer), load:
            wait_until(
                lambda: all(self._has_its_share(worker) for worker in self.workers), "workers that share the partitions", WAIT_SECS_MAX
            )
            backlog_from = load.count
            commits_before = [len(commit_secs(worker)) for worker in self.workers]
            # More comes than they may land, from here on: one without a pace would have nothing left when it has all come.
            before = offsets.read()
            load.per_sec = 6_000
            wait_until(lambda: load.count - backlog_from > backlog, "a backlog", WAIT_SECS_MAX)
            load.per_sec = 100
            time.sleep(secs)
            after = offsets.read()
            self.landed = [after[partition] - before[partition] for partition in range(count)]
            for worker, first in zip(self.workers, commits_before, strict=True):
                self.commit_secs += commit_secs(worker)[first:]
            self.files_compacted = self.maintainer.metrics()["headwater_maintain_files_compacted_total"]
            if not is_drained:
                return
            assert all(metrics(worker)["headwater_inflight_bytes"] > 0 for worker in self.workers), "a worker had nothing left to land"
            load.stop()
            wait_for_rows(self.settings, load.count, WAIT_SECS_MAX)
            assert [worker.stop(60) for worker in self.workers] == [0] * count
            assert self.maintainer.stop() == 0

    def _has_its_share(self, worker: FaultWorker) -> bool:
        try:
            return metrics(worker)["headwater_committers"] == len(self.workers)
        except OSError:
            return False


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_fault_20_writers_and_a_compactor_share_a_table_and_none_starves(
    settings: Settings, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    contention = Contention(settings, tmp_path, schedule.choose(3, 8))
    load = Load(contention.settings, tmp_path, schedule.chance, per_sec=100)
    contention.run(load, *schedule.choose((12_000, 5.0), (100_000, 40.0)))
    proof.note(
        injections=len(contention.commit_secs),
        writers=len(contention.workers),
        jain=round(jain(contention.landed), 3),
        landed_by_each=contention.landed,
        commit_secs_p50=percentile(contention.commit_secs, 0.5),
        commit_secs_p99=percentile(contention.commit_secs, 0.99),
        files_compacted=contention.files_compacted,
    )
    proof.note_workers(*contention.workers)
    proof.note_findings(judge(contention.settings, load.ledger).require())
    assert contention.files_compacted > 0
    assert jain(contention.landed) >= JAIN_MIN


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_fault_20_writers_that_share_control(settings: Settings, tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    """One that keeps no pace has most of the commits. That of the others is slow, so that it and not the machine decides what they land."""
    contention = Contention(settings, tmp_path, 3, commit_secs_min=1.0, hog_guards_off="flush_pace")
    load = Load(contention.settings, tmp_path, schedule.chance, per_sec=100)
    contention.run(load, 12_000, 9.0, is_drained=False)
    found = jain(contention.landed)
    proof.note(jain=round(found, 3), landed_by_each=contention.landed)
    proof.show(f"Jain's index {found:.2f}: {contention.landed} records landed" if found < JAIN_MIN else "")
