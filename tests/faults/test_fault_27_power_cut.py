"""Row 27: brokers, the S3 server and the workers lose power at once, and again while they come up.

What is held against the lake is what Kafka acknowledged with acks=all. The policy of fsync is Kafka's and the S3 server's own: neither
writes through to the disk before it answers, and a kill -9 takes what the process holds, not what it gave to the system. A machine that
loses its current may lose the last of that as well; three replicas on three machines are for that.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.topics import ensure_topics
from tests.conftest import settings_apart
from tests.faults.hosts.brokers import NUMBERS, running_brokers
from tests.faults.rig.failpoints import STEPS, read_journal
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.repeats import note_repeats
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.sending import wait_for_acks
from tests.faults.rig.verdict import count_doubled, judge, wait_for_rows
from tests.faults.watch.more_rows import wait_for_more_rows
from tests.stream import landed_count
from tests.test_worker_outages import pid_of
from tests.worker_process import running, wait_until

# The full runs take minutes.
pytestmark = pytest.mark.timeout(1800)

# Servers, brokers and workers start all at once.
WAIT_SECS_MAX = 300
# Until a flush has landed, its records are held; what comes after is of no weight here.
HELD_STEPS = STEPS[: STEPS.index("after events commit") + 1]
CUTS_PER_OUTAGE = 3
# Supervisor takes for started what has run for a second; by then nothing of it works yet.
STARTING_SECS = (1.2, 3)


def kill_servers(settings: Settings, *names: str) -> None:
    """SIGKILL of processes of the stack; supervisor starts them again."""
    pids = {name: pid_of(settings, name) for name in names}
    # To a signal 0 is this process and all of its group.
    assert all(pids.values()), pids
    for pid in pids.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for name, pid in pids.items():
        wait_until(partial(is_another, settings, name, pid), f"{name} is started again")


def is_another(settings: Settings, name: str, pid: int) -> bool:
    return pid_of(settings, name) not in (0, pid)


class Outages:
    """Cuts of the power of workers and servers; `cut` kills the servers and starts them again. `cuts` counts."""

    def __init__(self, workers: list[FaultWorker], cut: Callable[[], None]) -> None:
        self._workers, self._cut_servers = workers, cut
        self.cuts = 0

    @property
    def strikes(self) -> list[dict[str, int]]:
        """Where the first worker stood still, and what it held."""
        return read_journal(self._workers[0].journal)

    def stand_still(self, number: int) -> None:
        """Until the first worker has come to the step at which it stands still, for the outage of that number."""
        wait_until(lambda: len(self.strikes) > number, "a worker is in the middle of a flush", secs_max=WAIT_SECS_MAX)

    def cut(self) -> None:
        """Kill everything, and start it again."""
        for worker in self._workers:
            assert worker.process is not None
            worker.process.kill()
        self._cut_servers()
        for worker in self._workers:
            worker.kill()
            worker.start()
        self.cuts += 1


def stop_at(chance: random.Random) -> list[dict[str, object]]:
    """A worker's plan: in the middle of some flush it stands still, and holds what the cut will take from it."""
    return [{"at": chance.choice(HELD_STEPS), "pass": chance.randint(1, 3), "do": "stop"}]


def run_outages(outages: Outages, load: Load, worker: FaultWorker, schedule: Schedule, times: int) -> Iterator[float]:
    """Power is cut while a worker holds records, and twice again while all start, in the full run once as soon as Kafka has acknowledged more;
    yields the seconds from the last cut of each outage until rows land."""
    chance = schedule.chance
    for number in range(times):
        outages.stand_still(number)
        landed = landed_count(worker.settings)
        worker.plan = []
        outages.cut()
        time.sleep(chance.uniform(*STARTING_SECS))
        if schedule.is_full:
            wait_for_acks(load, 1, WAIT_SECS_MAX)
        outages.cut()
        time.sleep(chance.uniform(*STARTING_SECS))
        worker.plan = stop_at(chance) if number + 1 < times else []
        outages.cut()
        # What had landed before, and was not counted yet, is not what is waited for.
        yield wait_for_more_rows(worker.settings, 300, landed, WAIT_SECS_MAX)


def test_fault_27_a_power_cut_loses_nothing_that_kafka_acknowledged(
    own_stack: Settings, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    settings = settings_apart(own_stack, tmp_path / "home")
    ensure_topics(settings)
    cut = partial(kill_servers, own_stack, "kafka", "s3")
    cut_and_judge(settings, tmp_path, schedule, proof, schedule.choose(1, 2), schedule.choose(1, 4), cut)


def cut_and_judge(
    settings: Settings, folder: Path, schedule: Schedule, proof: Proof, worker_count: int, times: int, cut: Callable[[], None]
) -> None:
    """So many outages; what was acknowledged has landed, once."""
    workers = [FaultWorker(settings, folder, number) for number in range(worker_count)]
    workers[0].plan = stop_at(schedule.chance)
    with running(*workers), Load(settings, folder, schedule.chance, per_sec=300) as load:
        outages = Outages(workers, cut)
        resume_secs = [*run_outages(outages, load, workers[0], schedule, times)]
        load.stop()
        proof.note(repeated_by_the_producer=note_repeats(settings, load))
        wait_for_rows(settings, load.count, secs_max=WAIT_SECS_MAX)
        assert {worker.stop() for worker in workers} == {0}
    assert load.errors == 0
    assert outages.cuts == CUTS_PER_OUTAGE * times
    assert min(strike["held_bytes"] for strike in outages.strikes) > 0
    proof.note(injections=outages.cuts, resume_secs=resume_secs, producer_errors=load.errors, acks="all", fsync="by the system")
    proof.note_workers(*workers)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_27_a_power_cut_of_three_brokers_loses_nothing_that_they_acknowledged(
    own_stack: Settings, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with running_brokers(own_stack, tmp_path / "brokers") as brokers:
        settings = settings_apart(own_stack, tmp_path / "home", kafka=brokers.servers, topic_replication=3)

        def cut() -> None:
            brokers.kill(*NUMBERS)
            kill_servers(own_stack, "s3")
            brokers.start(*NUMBERS)

        brokers.wait_until_whole(settings)
        ensure_topics(settings)
        cut_and_judge(settings, tmp_path, schedule, proof, 2, schedule.choose(1, 2), cut)


@pytest.mark.full
def test_fault_27_a_power_cut_control(own_stack: Settings, tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    """The worker stands still between the lake's commit and Kafka's when all is cut off."""
    settings = settings_apart(own_stack, tmp_path / "home")
    ensure_topics(settings)
    # The lake has the records by then, Kafka has not their offsets.
    worker = FaultWorker(settings, tmp_path, plan=[{"at": "before Kafka commit", "pass": 3, "do": "stop"}], guards_off="offset_check")
    with running(worker), Load(settings, tmp_path, schedule.chance, per_sec=300) as load:
        outages = Outages([worker], partial(kill_servers, own_stack, "kafka", "s3"))
        outages.stand_still(0)
        before = count_doubled(settings)
        worker.plan = []
        outages.cut()
        wait_for_acks(load, 300, WAIT_SECS_MAX)
        load.stop()
        wait_for_rows(settings, load.count, secs_max=WAIT_SECS_MAX)
        assert worker.stop() == 0
    proof.show(judge(settings, load.ledger).shown("duplicate", before))
