"""Row 1: kill -9 in mid-flush, at random and at each step of landing, with and without other rules after it."""

import json
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.group_status import read_group
from tests.faults.rig.failpoints import STEPS, read_journal
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.maintainer import Maintainer, maintaining
from tests.faults.rig.percentile import percentile
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.landed_offsets import LandedOffsets
from tests.stream import raw_events, rows
from tests.worker_process import running, wait_until

SESSION_SECS = 6
RESUME_SECS_MAX = SESSION_SECS + 5
STRIKE_SECS_MAX = 180

# Killed after these the dead letters are in, the events are not: other rules would judge other records dead.
BETWEEN_TABLES = STEPS[STEPS.index("after dead_letters commit") : STEPS.index("after events commit")]
SIZES = ("1000000", "1000")


class LongLoad(Load):
    """A load of which each tenth record is longer than the smaller of the two sizes, and shorter than the greater."""

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes, str]:
        key, value, event_id = super().build_record(number, chance)
        if number % 10 == 0:
            document = json.loads(value)
            document["attributes"]["note"] = "x" * 2000
            value = json.dumps(document).encode()
        return key, value, event_id


@dataclass
class Kills:
    """What the kills did: how often each class counted, how often the worker came back under another rule, and seconds until it landed again."""

    counted: Counter[str] = field(default_factory=Counter)
    void: int = 0
    changed_rules: int = 0
    resume_secs: list[float] = field(default_factory=list)
    struck_again: int = 0
    """Kills of workers that had not landed again since the one before: from that one on they are timed."""


@dataclass
class _Resume:
    """A kill whose partitions have not landed again: when it was, and what each of them wanted then."""

    worker: FaultWorker
    at: float
    wanted: dict[int, int]


class Killing:
    """Kills workers until each class of `wanted` was counted so often as it stands there; one that held nothing is repeated."""

    def __init__(self, settings: Settings, workers: Sequence[FaultWorker], wanted: Sequence[str], chance: random.Random) -> None:
        self.kills = Kills()
        self._settings, self._workers, self._left, self._chance = settings, workers, deque(wanted), chance
        self._offsets = LandedOffsets(settings)
        self._resumes: list[_Resume] = []
        self._struck: Counter[str] = Counter()
        self._due: dict[str, float] = {}
        for worker in workers:
            worker.rig["HEADWATER_MESSAGE_BYTES_MAX"] = SIZES[0]
            self._arm(worker)

    def run(self) -> None:
        """The workers run, under load."""
        while self._due or self._resumes:
            self._note_resumes()
            for worker in self._workers:
                if not worker.is_running:
                    self._start_again(worker)
                assert time.monotonic() < self._due.get(worker.name, float("inf")), f"{worker.name} does not come to {worker.plan}"
            time.sleep(0.1)

    def _arm(self, worker: FaultWorker) -> None:
        """Plan the next kill; none when all are planned."""
        self._due.pop(worker.name, None)
        worker.plan = []
        if self._left:
            at = self._left.popleft()
            passes = self._chance.uniform(2, 5) if at == "random" else self._chance.randint(2, 5)
            worker.plan = [{"at": at, "pass": passes, "do": "kill"}]
            self._due[worker.name] = time.monotonic() + STRIKE_SECS_MAX

    def _start_again(self, worker: FaultWorker) -> None:
        strike = read_journal(worker.journal)[-1]
        at = str(strike["at"])
        if strike["held_bytes"] > 0:
            self.kills.counted[at] += 1
        else:
            self.kills.void += 1
            self._left.append(at)
        self._struck[at] += 1
        if at in BETWEEN_TABLES and self._struck[at] % 2:
            self.kills.changed_rules += 1
            now = worker.rig["HEADWATER_MESSAGE_BYTES_MAX"]
            worker.rig["HEADWATER_MESSAGE_BYTES_MAX"] = SIZES[1 - SIZES.index(now)]
        self._arm(worker)
        worker.start()
        # One that is killed before it lands again goes on resuming from the kill before: the slow ones are not left out.
        if any(resume.worker is worker for resume in self._resumes):
            self.kills.struck_again += 1
        else:
            wanted, own = self._offsets.read(), self._find_partitions(worker)
            self._resumes.append(_Resume(worker, strike["at_monotonic"], {number: wanted.get(number, 0) for number in own or wanted}))

    def _find_partitions(self, worker: FaultWorker) -> tuple[int, ...]:
        """What Kafka's group still keeps for it; none while the group is being shared out anew."""
        members = read_group(self._settings).members
        return next((one.partitions.get(raw_events(self._settings), ()) for one in members if one.instance == worker.name), ())

    def _note_resumes(self) -> None:
        if not self._resumes:
            return
        wanted, now = self._offsets.read(), time.monotonic()
        for resume in list(self._resumes):
            # Whoever has them by now.
            if all(wanted.get(partition, 0) > before for partition, before in resume.wanted.items()):
                self._resumes.remove(resume)
                self.kills.resume_secs.append(round(now - resume.at, 2))


@pytest.mark.alone
@pytest.mark.timeout(3600)
def test_fault_01_workers_killed_at_every_step_lose_nothing_and_double_nothing(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    # A short run has half of the steps, others each time.
    wanted = schedule.choose([*schedule.chance.sample(STEPS, len(STEPS) // 2), "random"], [*STEPS * 17, *["random"] * 30])
    schedule.chance.shuffle(wanted)
    workers = [FaultWorker(settings, tmp_path, number) for number in range(2)]
    maintainers = schedule.choose([], [Maintainer.of_long_run(settings, tmp_path)])
    with maintaining(*maintainers), LongLoad(settings, tmp_path, schedule.chance, per_sec=600) as load:
        killing = Killing(settings, workers, wanted, schedule.chance)
        with running(*workers):
            killing.run()
            load.stop()
            wait_for_rows(settings, load.count, secs_max=300)
            assert [worker.stop(60) for worker in workers] == [0, 0]
    kills = killing.kills
    count = kills.counted.total()
    assert count == len(wanted)
    proof.note(
        injections=count,
        kills=count,
        kills_by_failpoint=dict(kills.counted),
        kills_void=kills.void,
        restarts_with_another_rule=kills.changed_rules,
        resume_secs=kills.resume_secs,
        kills_before_it_landed_again=kills.struck_again,
        session_secs=SESSION_SECS,
    )
    proof.note_workers(*workers)
    found = judge(settings, load.ledger).require()
    proof.note_findings(found)
    assert min(found.events, found.dead) > 0
    if schedule.is_full:
        assert count >= 200
        assert min(kills.counted.values()) >= 15
        assert percentile(kills.resume_secs, 0.99) < RESUME_SECS_MAX


def kill_once(
    settings: Settings, folder: Path, chance: random.Random, step: str, guards_off: str, before: str = SIZES[0], after: str = SIZES[0]
) -> Load:
    """One worker without guards dies at a step, is started again, perhaps with another size, and lands what is left."""
    worker = FaultWorker(settings, folder, plan=[{"at": step, "pass": 2, "do": "kill"}], guards_off=guards_off)
    worker.rig["HEADWATER_MESSAGE_BYTES_MAX"] = before
    with LongLoad(settings, folder, chance, per_sec=600) as load, running(worker):
        wait_until(lambda: not worker.is_running, "it kills itself", STRIKE_SECS_MAX)
        load.stop()
        worker.plan = []
        worker.rig["HEADWATER_MESSAGE_BYTES_MAX"] = after
        worker.start()
        wait_for_rows(settings, load.count)
        assert worker.stop(60) == 0
    return load


def test_fault_01_kill_between_the_lake_and_kafka_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    load = kill_once(settings, tmp_path, schedule.chance, "before Kafka commit", "offset_check")
    found = judge(settings, load.ledger).found
    proof.note_findings(found)
    proof.show(f"{found.duplicate:,} duplicates" if found.duplicate else "")


@pytest.mark.full
def test_fault_01_kill_between_the_tables_with_another_rule_after_it_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    step = "after dead_letters commit"
    load = kill_once(settings, tmp_path, schedule.chance, step, "held_offsets", before=SIZES[1], after=SIZES[0])
    found = judge(settings, load.ledger).found
    proof.note_findings(found)
    in_both = set(rows(settings, "events")) & set(rows(settings, "dead_letters"))
    proof.show(f"{found.duplicate:,} duplicates, {len(in_both):,} records in both tables" if found.duplicate and in_both else "")
