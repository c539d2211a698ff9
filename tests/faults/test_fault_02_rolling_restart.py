"""Row 2: a rolling restart under load, SIGTERM to one worker after the other; some come in mid-flush."""

import signal
import statistics
import time
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.failpoints import read_journal
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.maintainer import Maintainer, maintaining
from tests.faults.rig.percentile import percentile
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.freshness import TimedLoad, Watch
from tests.faults.watch.worker_counts import landed
from tests.stream import lines
from tests.worker_process import running, wait_until

GAP_SECS_MAX = 10
FRESH_SECS = 2.0
WAIT_SECS_MAX = 240


def stop_in_mid_flush(worker: FaultWorker, known: int = 0) -> None:
    """Wait until it has stopped itself at its failpoint, for the first time since `known` did; then SIGTERM, which it meets as it goes on."""
    wait_until(lambda: len(read_journal(worker.journal)) > known, "it stops itself in mid-flush", WAIT_SECS_MAX)
    assert worker.process is not None
    worker.process.send_signal(signal.SIGTERM)
    worker.process.send_signal(signal.SIGCONT)


def wait_until_fresh(watch: Watch, *workers: FaultWorker) -> None:
    """Until these workers land and nothing old waits."""
    wait_until(lambda: min(map(landed, workers)) > 0 and watch.age_secs < FRESH_SECS, "all is fresh", WAIT_SECS_MAX)


def restart(worker: FaultWorker, watch: Watch) -> dict[str, float]:
    """SIGTERM, then a start: the gap in freshness that this made, and where the seconds went: it left, came up, and landed what waited."""
    starts = len(lines(worker.log, " starts; "))
    told_at = time.monotonic()
    assert worker.stop(60) == 0
    left_at = time.monotonic()
    worker.start()
    wait_until(lambda: len(lines(worker.log, " starts; ")) > starts, "it has come up", WAIT_SECS_MAX)
    up_at = time.monotonic()
    wait_until_fresh(watch, worker)
    return {
        "gap": max(watch.ages_since(told_at)),
        "leaving": left_at - told_at,
        "coming up": up_at - left_at,
        "landing": time.monotonic() - up_at,
    }


@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_fault_02_rolling_restart_loses_nothing_and_stays_fresh(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    """Workers are static members, as `headwater up` and deploy/ start them: their partitions wait for them until the session ends."""
    workers = [FaultWorker(settings, tmp_path, number) for number in range(2)]
    # In full as fast as the workers take it and stay fresh, on two cores on which one of them starts and a process makes the load.
    restarts, per_sec = schedule.choose((3, 1000), (20, 5000))
    found: list[dict[str, float]] = []
    with (
        maintaining(*schedule.choose([], [Maintainer.of_long_run(settings, tmp_path)])),
        TimedLoad(settings, tmp_path, schedule.chance, per_sec=per_sec) as load,
        running(*workers),
        Watch(settings, load) as watch,
    ):
        wait_until_fresh(watch, *workers)
        began_at = time.monotonic()
        found += [restart(workers[number % 2], watch) for number in range(restarts)]
        ages = watch.ages_since(began_at)
        load.stop()
        wait_for_rows(settings, load.count)
        assert [worker.stop(60) for worker in workers] == [0, 0]
    gaps = [round(one["gap"], 2) for one in found]
    proof.note(
        injections=restarts,
        load_per_sec=per_sec,
        gap_secs=gaps,
        gap_secs_p99=percentile(gaps, 0.99),
        secs_of_a_restart={name: round(statistics.median(one[name] for one in found), 2) for name in found[0]},
        freshness_p50_secs=round(percentile(ages, 0.5), 2),
        freshness_p99_secs=round(percentile(ages, 0.99), 2),
    )
    proof.note_workers(*workers)
    proof.note_findings(judge(settings, load.ledger).require())
    # On a machine that does other things, too, the gap is the time that Python takes to import.
    if schedule.is_full:
        assert percentile(gaps, 0.99) < GAP_SECS_MAX, f"gaps of {sorted(gaps)} s"


def restart_in_mid_flush(settings: Settings, folder: Path, schedule: Schedule, guards_off: str) -> Load:
    """SIGTERM meets one worker when its events are in the lake and Kafka does not know it; another takes its place."""
    worker = FaultWorker(settings, folder, plan=[{"at": "after events commit", "pass": 2, "do": "stop"}], guards_off=guards_off)
    with Load(settings, folder, schedule.chance, per_sec=600) as load, running(worker):
        stop_in_mid_flush(worker)
        assert worker.process is not None
        worker.process.wait(60)
        load.stop()
        worker.plan = []
        worker.start()
        wait_for_rows(settings, load.count)
        assert worker.process is not None
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(60)
    return load


@pytest.mark.full
def test_fault_02_restart_in_mid_flush_loses_nothing(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    load = restart_in_mid_flush(settings, tmp_path, schedule, "")
    proof.note(injections=1)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_02_restart_in_mid_flush_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    """Kafka's offsets decide, and a worker that is told to leave leaves at once: what it landed last lands again."""
    load = restart_in_mid_flush(settings, tmp_path, schedule, "offset_check,graceful_stop")
    found = judge(settings, load.ledger).found
    proof.note_findings(found)
    proof.show(f"{found.duplicate:,} duplicates" if found.duplicate else "")
