"""Row 1: kill -9 in mid-flush, at random and at each step of landing, with and without other rules after it."""

import json
import random
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.failpoints import STEPS
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.killing import SIZES, STRIKE_SECS_MAX, Killing, Kills
from tests.faults.rig.load import Load
from tests.faults.rig.maintainer import Maintainer, maintaining
from tests.faults.rig.percentile import percentile
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.worker_counts import landed
from tests.stream import rows
from tests.worker_process import running, wait_until

SESSION_SECS = 6
RESUME_SECS_MAX = SESSION_SECS + 5


class LongLoad(Load):
    """A load of which each tenth record is longer than the smaller of the two sizes, and shorter than the greater."""

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes, str]:
        key, value, event_id = super().build_record(number, chance)
        if number % 10 == 0:
            document = json.loads(value)
            document["attributes"]["note"] = "x" * 2000
            value = json.dumps(document).encode()
        return key, value, event_id

    def is_certain(self, value: bytes) -> bool:
        return len(value) < int(min(SIZES, key=int))


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
    proof.note_workers(*workers)
    kills = judge_kills(settings, load, killing, proof, len(wanted))
    if schedule.is_full:
        assert kills.counted.total() >= 200
        assert min(kills.counted.values()) >= 15
        assert percentile(kills.resume_secs, 0.99) < RESUME_SECS_MAX


@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_fault_01_a_worker_that_does_not_come_back_is_replaced_when_its_session_has_ended(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    wanted = schedule.chance.sample(STEPS, schedule.choose(1, len(STEPS)))
    victim, heir = (FaultWorker(settings, tmp_path, number) for number in range(2))
    maintainers = schedule.choose([], [Maintainer.of_long_run(settings, tmp_path)])
    with maintaining(*maintainers), LongLoad(settings, tmp_path, schedule.chance, per_sec=600) as load, running(heir):
        killing = Killing(settings, [victim], wanted, schedule.chance, stays_away=True)
        with running(victim):
            killing.run()
            wait_until(lambda: landed(victim) > 0, "it lands again", STRIKE_SECS_MAX)
            load.stop()
            wait_for_rows(settings, load.count, secs_max=300)
            assert [worker.stop(60) for worker in (victim, heir)] == [0, 0]
    proof.note_workers(victim, heir)
    kills = judge_kills(settings, load, killing, proof, len(wanted))
    # Nobody was there before: Kafka kept the partitions for it.
    assert min(kills.resume_secs) > SESSION_SECS / 2
    if schedule.is_full:
        assert percentile(kills.resume_secs, 0.99) < RESUME_SECS_MAX


def judge_kills(settings: Settings, load: Load, killing: Killing, proof: Proof, wanted: int) -> Kills:
    """Note and return what the kills were, so many of which were wanted."""
    kills = killing.kills
    count = kills.counted.total()
    assert count == wanted
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
    found = judge(settings, load.ledger).require()
    proof.note_findings(found)
    assert min(found.events, found.dead) > 0
    return kills


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
