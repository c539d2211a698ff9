"""Row 3: brokers that are killed or restarted under workers and a producer, one alone and three with replicas."""

import os
import signal
import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.stack.supervision import Supervisor
from pipeline.topics import ensure_topics
from tests.conftest import settings_apart
from tests.faults.hosts.brokers import NUMBERS, Brokers, running_brokers
from tests.faults.rig.failpoints import read_journal
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.repeats import note_repeats
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.sending import wait_for_acks
from tests.faults.rig.verdict import count_doubled, judge, wait_for_rows
from tests.faults.watch.drain import Drain, wait_for_drain
from tests.faults.wire.proxied import wait_until_it_lands
from tests.stream import landed_count
from tests.test_worker_outages import pid_of
from tests.worker_process import running, wait_until

# The full runs take minutes.
pytestmark = pytest.mark.timeout(1800)


# In full so many that a drain is not one flush.
PER_SEC, FULL_PER_SEC = 500, 1000
# A drain is measured over no less: records that wait when rows land again.
WAITED_SECS_MIN = 3
AWAY_SECS, FULL_AWAY_SECS = 1, 10


def start(settings: Settings) -> None:
    """As supervisor does."""
    Supervisor(settings).call("startProcess", "kafka")


def stop(settings: Settings) -> None:
    """SIGTERM."""
    Supervisor(settings).call("stopProcess", "kafka")


def kill_for_good(settings: Settings) -> None:
    """SIGKILL, and supervisor does not start it again."""
    os.kill(pid_of(settings, "kafka"), signal.SIGKILL)
    wait_until(partial(is_stopped, settings), "supervisor leaves it alone")


def is_stopped(settings: Settings) -> bool:
    """What has just died cannot be stopped, until it is started again."""
    try:
        Supervisor(settings).call("stopProcess", "kafka")
    except xmlrpc.client.Fault:
        return False
    return True


def strike(settings: Settings, load: Load, end: Callable[[], object], start_again: Callable[[], object], secs: float) -> Drain:
    """Take Kafka away for so long and bring it back, and wait until everything has landed that waited meanwhile."""
    wait_for_acks(load, int(load.per_sec))
    end()
    time.sleep(secs)
    # What the worker had in hand has landed meanwhile, and nothing else lands before Kafka is back.
    landed_before = landed_count(settings)
    start_again()
    wait_for_acks(load, 1)
    return wait_for_drain(settings, load, time.monotonic(), landed_before)


def note_drains(proof: Proof, schedule: Schedule, per_sec: float, drains: Sequence[Drain]) -> None:
    """In full raises AssertionError unless each of them was one, at twice the input rate or more."""
    proof.note(resume_secs=[drain.resume_secs for drain in drains], input_per_sec=per_sec, drains=len(drains))
    proof.note(
        waited_secs_min=round(min(drain.waited_secs for drain in drains), 1),
        drained_per_sec_min=round(min(drain.per_sec for drain in drains)),
    )
    if schedule.is_full:
        assert min(drain.waited_secs for drain in drains) >= WAITED_SECS_MIN
        assert min(drain.per_sec for drain in drains) >= 2 * per_sec


def test_fault_03_one_broker_that_is_killed_or_restarted_costs_the_time_that_it_is_away(
    own_stack: Settings, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    settings = settings_apart(own_stack, tmp_path / "home")
    ensure_topics(settings)
    worker = FaultWorker(settings, tmp_path)
    times, per_sec, away_secs = schedule.choose((3, PER_SEC, AWAY_SECS), (12, FULL_PER_SEC, FULL_AWAY_SECS))
    with running(worker), Load(settings, tmp_path, schedule.chance, per_sec=per_sec) as load:
        wait_until_it_lands(settings)
        ends = [partial(end, own_stack) for end in (kill_for_good, stop)]
        drains = [strike(settings, load, ends[number % 2], partial(start, own_stack), away_secs) for number in range(times)]
        load.stop()
        proof.note(repeated_by_the_producer=note_repeats(settings, load))
        wait_for_rows(settings, load.count)
        assert worker.stop() == 0
    assert load.errors == 0
    proof.note(injections=len(drains), producer_errors=load.errors)
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())
    note_drains(proof, schedule, per_sec, drains)


@pytest.mark.full
def test_fault_03_one_broker_control(own_stack: Settings, tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    """A worker leaves in order while its broker is away, so that Kafka does not get the offsets of what it landed."""
    settings = settings_apart(own_stack, tmp_path / "home")
    ensure_topics(settings)
    # It stands still after the lake has the records and before Kafka has the offsets.
    worker = FaultWorker(settings, tmp_path, plan=[{"at": "before Kafka commit", "pass": 3, "do": "stop"}], guards_off="offset_check")
    with running(worker), Load(settings, tmp_path, schedule.chance, per_sec=PER_SEC) as load:
        wait_until(lambda: bool(read_journal(worker.journal)), "the worker stands still")
        before = count_doubled(settings)
        kill_for_good(own_stack)
        assert worker.process is not None
        worker.process.send_signal(signal.SIGCONT)
        assert worker.stop(120) == 0
        start(own_stack)
        worker.plan = []
        wait_for_acks(load, PER_SEC)
        worker.start()
        load.stop()
        wait_for_rows(settings, load.count)
        assert worker.stop(60) == 0
    proof.show(judge(settings, load.ledger).shown("duplicate", before))


def take_one(settings: Settings, brokers: Brokers, number: int, is_killed: bool, load: Load) -> None:
    """One of three is away for a while, and the two others go on by themselves."""
    if is_killed:
        brokers.kill(number)
        # For some seconds after its end Kafka names it still: who asks it asks another then.
        for _ in range(5):
            ensure_topics(settings)
    else:
        brokers.stop(number)
    wait_for_acks(load, 2 * PER_SEC)
    waiting = load.count
    wait_until(lambda: landed_count(settings) >= waiting, "rows land with two brokers", secs_max=240)
    brokers.start(number)


@pytest.mark.full
def test_fault_03_three_brokers_of_which_any_is_killed_or_restarted_lose_nothing(
    own_stack: Settings, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    chance = schedule.chance
    with running_brokers(own_stack, tmp_path / "brokers") as brokers:
        settings = settings_apart(own_stack, tmp_path / "home", kafka=brokers.servers, topic_replication=3)
        brokers.wait_until_whole(settings)
        ensure_topics(settings)
        workers = [FaultWorker(settings, tmp_path, number) for number in range(2)]
        drains = []
        times, per_sec, away_secs = schedule.choose((3, PER_SEC, AWAY_SECS), (9, FULL_PER_SEC, FULL_AWAY_SECS))
        with running(*workers), Load(settings, tmp_path, chance, per_sec=per_sec) as load:
            wait_until_it_lands(settings)
            for count in range(times):
                wait_for_acks(load, PER_SEC)
                # Nothing waits for long while two are left: a drain there is only of what two were taken away.
                if count % 3 == 2:
                    # The one that is left acknowledges nothing and hands nothing out.
                    two = chance.sample(NUMBERS, 2)
                    drains.append(strike(settings, load, partial(brokers.kill, *two), partial(brokers.start, *two), away_secs))
                else:
                    take_one(settings, brokers, chance.choice(NUMBERS), count % 3 == 0, load)
                brokers.wait_until_whole(settings)
            load.stop()
            proof.note(repeated_by_the_producer=note_repeats(settings, load))
            wait_for_rows(settings, load.count)
            assert [worker.stop() for worker in workers] == [0, 0]
        assert load.errors == 0
        proof.note(injections=times, producer_errors=load.errors)
        proof.note_workers(*workers)
        proof.note_findings(judge(settings, load.ledger).require())
        note_drains(proof, schedule, per_sec, drains)
