"""Row 4: a rebalance storm. Members join and leave the group every two seconds, real workers among them; all lands once, at half of the speed of before or more."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.topology import LANDING_STREAMS
from tests.faults.hosts.passing_member import PassingMember
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.maintainer import Maintainer, maintaining
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import count_doubled, judge, wait_for_rows
from tests.faults.watch.freshness import TimedLoad, Watch
from tests.faults.watch.worker_counts import landed
from tests.stream import metrics
from tests.worker_process import running, wait_until

CHANGE_SECS = 2.0
SESSION_SECS = 6.0
WAIT_SECS_MAX = 240
# A worker that the storm keeps from landing for so long leaves again.
VISIT_SECS_MAX = 60
# What two workers are given to keep up with, of this machine's two cores.
NOMINAL_PER_SEC = 20_000
FRESH_SECS_MAX = 3.0


def assigned(worker: FaultWorker) -> float:
    """Partitions of one topic: each topic is shared out evenly, so there are as many of the one as of the others."""
    return metrics(worker)["headwater_partitions_assigned"] / len(LANDING_STREAMS)


def visit(guest: FaultWorker, secs_max: float) -> bool:
    """A worker comes, lands if the storm lets it within so long, and leaves; whether it landed."""
    with running(guest):
        with contextlib.suppress(AssertionError):
            wait_until(lambda: landed(guest) > 0, "a third worker lands", secs_max)
        has_landed = landed(guest) > 0
        # Whoever is stopped before its loop runs ends by the signal itself.
        assert guest.stop(60) in ((0,) if has_landed else (0, -signal.SIGTERM))
    return has_landed


@contextlib.contextmanager
def two_workers(
    settings: Settings, folder: Path, load: TimedLoad, *maintainers: Maintainer
) -> Iterator[tuple[FaultWorker, FaultWorker, Watch]]:
    """Two workers with half of the partitions each, and maintainers beside them; at the end all that was sent has landed, and they leave in order."""
    # Dynamic members: their partitions are given away as soon as they leave.
    first, second = (FaultWorker(settings, folder, number, HEADWATER_WORKER_INSTANCE="") for number in range(2))
    with maintaining(*maintainers), running(first, second), Watch(settings, load) as watch:
        wait_until(lambda: min(landed(first), landed(second)) > 0, "both workers land", WAIT_SECS_MAX)
        wait_until(lambda: (assigned(first), assigned(second)) == (2, 2), "each has half of the partitions", WAIT_SECS_MAX)
        yield first, second, watch
        wait_until(lambda: assigned(first) + assigned(second) == 4, "the two have all partitions", WAIT_SECS_MAX)
        load.stop()
        wait_for_rows(settings, load.count, secs_max=300)
        assert [worker.stop(60) for worker in (first, second)] == [0, 0]


@pytest.mark.timeout(2400)
def test_fault_04_rebalance_storm_loses_nothing_and_doubles_nothing(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    guest = FaultWorker(settings, tmp_path, 2, HEADWATER_WORKER_INSTANCE="")
    visits: list[bool] = []
    maintainers = schedule.choose([], [Maintainer.of_long_run(settings, tmp_path)])
    with (
        TimedLoad(settings, tmp_path, schedule.chance, per_sec=1_000) as load,
        two_workers(settings, tmp_path, load, *maintainers) as (first, second, watch),
    ):
        began_at = time.monotonic()
        with PassingMember(settings, CHANGE_SECS, SESSION_SECS) as member:
            while time.monotonic() < began_at + schedule.choose(0, 600):
                visits.append(visit(guest, VISIT_SECS_MAX))
            wait_until(lambda: member.rebalances >= 3, "three rebalances", WAIT_SECS_MAX)
            # A rebalance takes a while itself: a change is asked for each CHANGE_SECS, and met by the next one.
            assert member.rebalances >= (time.monotonic() - began_at) / (4 * CHANGE_SECS)
        ended_at = time.monotonic()
        # Without a storm around it, it lands in any case.
        visits.append(visit(guest, WAIT_SECS_MAX))
        assert visits[-1]
    proof.note(
        injections=member.rebalances,
        visits_of_a_worker=len(visits),
        visits_that_landed=sum(visits),
        stalled_secs=round(watch.stalled_secs(began_at, ended_at), 1),
        storm_secs=round(ended_at - began_at, 1),
    )
    proof.note_workers(first, second, guest)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(1800)
def test_fault_04_rebalance_storm_keeps_half_of_the_pace(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    calm_secs, storm_secs = schedule.choose((10, 10), (20, 60))
    with (
        TimedLoad(settings, tmp_path, schedule.chance, per_sec=NOMINAL_PER_SEC) as load,
        two_workers(settings, tmp_path, load) as (first, second, watch),
    ):
        wait_until(lambda: watch.age_secs < FRESH_SECS_MAX, "they keep up", WAIT_SECS_MAX)
        calm_at, sent_before = time.monotonic(), load.count
        time.sleep(calm_secs)
        began_at, sent = time.monotonic(), load.count - sent_before
        with PassingMember(settings, CHANGE_SECS, SESSION_SECS) as member:
            time.sleep(storm_secs)
            ended_at = time.monotonic()
            waiting = load.count - watch.samples[-1].landed
    nominal, stormy = watch.landed_per_sec(calm_at, began_at), watch.landed_per_sec(began_at, ended_at)
    proof.note(
        injections=member.rebalances,
        sent_per_sec=round(sent / (began_at - calm_at)),
        nominal_per_sec=round(nominal),
        storm_per_sec=round(stormy),
        throughput_share=round(stormy / nominal, 2),
        waiting_after_the_storm=waiting,
        stalled_secs=round(watch.stalled_secs(began_at, ended_at), 1),
    )
    proof.note_workers(first, second)
    proof.note_findings(judge(settings, load.ledger).require())
    assert sent / (began_at - calm_at) > 0.9 * NOMINAL_PER_SEC, "the load does not come up to its rate"
    assert member.rebalances >= storm_secs / (4 * CHANGE_SECS)
    assert stormy >= 0.5 * nominal, f"{stormy:,.0f} records a second, {nominal:,.0f} before"


@pytest.mark.full
@pytest.mark.timeout(600)
def test_fault_04_rebalance_storm_control(settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    """Where Kafka's offsets decide, what was in flight at a rebalance lands once more."""
    workers = [FaultWorker(settings, tmp_path, number, guards_off="offset_check", HEADWATER_WORKER_INSTANCE="") for number in range(2)]
    with TimedLoad(settings, tmp_path, schedule.chance, per_sec=3000) as load, running(*workers):
        wait_until(lambda: min(landed(worker) for worker in workers) > 0, "both workers land", WAIT_SECS_MAX)
        # The second one's coming was a rebalance, too.
        before = count_doubled(settings)
        with PassingMember(settings, CHANGE_SECS, SESSION_SECS) as member:
            time.sleep(20)
            wait_until(lambda: member.rebalances >= 3, "three rebalances", WAIT_SECS_MAX)
        load.stop()
        wait_for_rows(settings, load.count)
        assert [worker.stop(60) for worker in workers] == [0, 0]
    verdict = judge(settings, load.ledger)
    proof.note_findings(verdict.found)
    proof.show(verdict.shown("duplicate", before))
