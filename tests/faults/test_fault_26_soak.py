"""Row 26: two workers and maintenance for long under mixed faults, at the highest rate that stays fresh; test_fault_26_overload.py is beyond it."""

import bisect
import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.maintainer import Maintainer, maintaining
from tests.faults.rig.percentile import percentile
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import count_doubled, judge, wait_for_rows
from tests.faults.watch.freshness import TimedLoad, Watch
from tests.faults.watch.trend import Trend
from tests.faults.watch.worker_counts import landed
from tests.faults.wire.proxied import COMMIT, wait_until_it_lands, worker_behind
from tests.faults.wire.proxy import FaultProxy, fault_proxy
from tests.stream import beside, landed_count
from tests.worker_process import running, wait_until

pytestmark = pytest.mark.unforked

FRESH_SECS_MAX = 5.0
# What a fault costs is over so long after its end; what is acknowledged from then on must be fresh.
SETTLING_SECS = 20.0
# Events a second, tried one after the other. With more the soak would be over ten million records, which the checkers look at one by one.
RATES = (1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0, 7000.0, 8000.0)
TRIAL_SECS = 10.0
# Of the highest rate at which a trial is fresh again: maintenance of a lake that is twenty minutes old takes more than of one that is two.
KEPT_SHARE = 0.75
# Slopes that are "about zero", a minute: a leak of a hundred bytes for each of 500 records a second is 3 MB.
MEMORY_SLOPE_MAX, DESCRIPTOR_SLOPE_MAX = 3_000_000, 0.5
WARM_UP = 0.25


class Faults:
    """The mixture: each draw strikes the second worker, or S3 for both of them, there for `secs`. `strikes` are (from, until) of the monotonic clock."""

    def __init__(self, schedule: Schedule, proxy: FaultProxy, victim: FaultWorker, secs: float = 5) -> None:
        self.strikes: list[tuple[float, float]] = []
        self.counts: dict[str, int] = {}
        self._chance, self._proxy, self._victim, self._secs = schedule.chance, proxy, victim, secs
        self._left: list[Callable[[], None]] = []

    def strike_any(self) -> None:
        """A fault that is drawn; every kind once before one comes again."""
        if not self._left:
            self._left = [self.kill, self.leave, self.stop, self.errors, self.slow, self.lost_replies, self.refuse]
            self._chance.shuffle(self._left)
        self.strike(self._left.pop())

    def strike(self, fault: Callable[[], None]) -> None:
        """One fault, from its beginning to its end."""
        begins = time.monotonic()
        fault()
        self.strikes.append((begins, time.monotonic()))
        self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1

    def is_quiet(self, at: float) -> bool:
        """Whether no fault was on, or just over, at a moment."""
        place = bisect.bisect_right(self.strikes, (at, math.inf))
        return place == 0 or at > self.strikes[place - 1][1] + SETTLING_SECS

    def kill(self) -> None:
        self._victim.kill()
        self._victim.start()

    def leave(self) -> None:
        self._victim.stop(30)
        self._victim.start()

    def stop(self) -> None:
        assert self._victim.process is not None
        self._victim.process.send_signal(signal.SIGSTOP)
        time.sleep(8)
        self._victim.process.send_signal(signal.SIGCONT)

    def errors(self) -> None:
        with self._proxy.injected("answer", share=0.5):
            time.sleep(self._secs)

    def slow(self) -> None:
        with self._proxy.injected("delay", secs=1.0):
            time.sleep(self._secs)

    def lost_replies(self) -> None:
        with self._proxy.injected("cut_after", method="PUT", path=COMMIT, times=3):
            time.sleep(self._secs)

    def refuse(self) -> None:
        with self._proxy.injected("refuse"):
            time.sleep(self._secs)


@contextlib.contextmanager
def soaked(settings: Settings, folder: Path, proxy: FaultProxy, guards_off: str = "") -> Iterator[list[FaultWorker]]:
    """Two workers behind the proxy, and maintenance that runs often."""
    workers = [worker_behind(settings, folder, number, proxy, guards_off=guards_off) for number in range(2)]
    maintainer = Maintainer(settings, folder, variables={"HEADWATER_MAINTAIN_SECS": "5", "HEADWATER_MAINTAIN_FILES_MAX": "16"})
    with running(*workers):
        wait_until(lambda: all(" starts; " in worker.log.read_text() for worker in workers), "both workers have made their tables", 120)
        with maintaining(maintainer):
            yield workers


def find_rate(load: TimedLoad, watch: Watch, victim: FaultWorker) -> tuple[float, str]:
    """A rate that can be held: KEPT_SHARE of the highest of RATES at which all is fresh again in time after a worker was killed; and what the
    next one met. It stays set.

    Without a fault more lands than that; but what waits after one must land beside what comes in.
    """
    kept, ended_by = RATES[0], "no higher rate was tried"
    for rate in RATES:
        load.per_sec = rate
        before, began = load.count, time.monotonic()
        time.sleep(TRIAL_SECS)
        if load.count - before < 0.9 * rate * (time.monotonic() - began):
            ended_by = "the load is not made faster"
            break
        victim.kill()
        victim.start()
        time.sleep(SETTLING_SECS)
        if watch.age_secs > FRESH_SECS_MAX / 2:
            ended_by = f"not fresh at {rate:,.0f}"
            break
        kept = rate
    kept *= KEPT_SHARE
    load.per_sec = kept
    wait_until(lambda: watch.age_secs < FRESH_SECS_MAX / 2, "it is fresh again", 240)
    return kept, ended_by


@pytest.mark.alone
@pytest.mark.timeout(2400)
def test_fault_26_soak_under_mixed_faults_loses_nothing_and_grows_nowhere(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with (
        fault_proxy(settings.s3_port, schedule.chance) as proxy,
        soaked(settings, tmp_path, proxy) as (steady, victim),
    ):
        with TimedLoad(settings, tmp_path, schedule.chance, per_sec=1000) as load, Watch(settings, load) as watch:
            wait_until_it_lands(settings)
            rate, ended_by = find_rate(load, watch, victim) if schedule.is_full else (load.per_sec, "none was tried")
            faults, began_at = Faults(schedule, proxy, victim, schedule.choose(2.0, 5.0)), time.monotonic()
            assert steady.process is not None
            with Trend(steady.process.pid) as trend:
                if schedule.is_full:
                    end = time.monotonic() + 20 * 60
                    while time.monotonic() < end:
                        faults.strike_any()
                        time.sleep(SETTLING_SECS + schedule.chance.uniform(5, 25))
                else:
                    for fault in (faults.kill, faults.lost_replies, faults.errors):
                        # What strikes S3 strikes both.
                        wait_until(lambda: landed(victim) > 0, "the victim lands", 240)
                        faults.strike(fault)
            wait_until(lambda: landed(victim) > 0, "the victim lands", 240)
            ended_at = time.monotonic()
            load.stop()
            wait_for_rows(settings, load.count, 240)
        proof.note(injections=len(faults.strikes), faults_struck=faults.counts, minutes=trend.at_mins[-1])
        proof.note(events_per_sec=rate, higher_rates=ended_by)
        if schedule.is_full:
            memory, descriptors = trend.slopes_per_min(WARM_UP)
            samples = [one for one in watch.samples if began_at <= one.at <= ended_at]
            quiet = percentile((one.age_secs for one in samples if faults.is_quiet(one.at)), 0.99)
            proof.note(
                memory_bytes_by_quarter=trend.bytes_by_quarter,
                memory_bytes_per_min=memory,
                descriptors_per_min=descriptors,
                freshness_secs_p99_between_faults=quiet,
                freshness_secs_p99_faults_among_it=percentile((one.age_secs for one in samples), 0.99),
            )
            assert memory < MEMORY_SLOPE_MAX
            assert abs(descriptors) < DESCRIPTOR_SLOPE_MAX
            assert quiet < FRESH_SECS_MAX
        assert [worker.stop(60) for worker in (steady, victim)] == [0, 0]
    proof.note_workers(steady, victim)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_fault_26_soak_control(settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    with (
        fault_proxy(settings.s3_port, schedule.chance) as proxy,
        soaked(settings, tmp_path, proxy, "offset_check") as (_, victim),
        Load(settings, tmp_path, schedule.chance, per_sec=1000) as load,
    ):
        wait_until_it_lands(settings)
        before, faults = count_doubled(settings), Faults(schedule, proxy, victim)
        for fault in (faults.lost_replies, faults.stop, faults.kill, faults.lost_replies):
            faults.strike(fault)
        load.stop()
        wait_until(lambda: landed_count(settings) >= load.count, "as many rows as records", 120)
    verdict = judge(settings, load.ledger)
    proof.note_findings(verdict.found)
    proof.show(verdict.shown("duplicate", before))


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_fault_26_growth_control(settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    """What a worker that keeps its records grows by, beside one that does not: both are as young, and warm up."""
    twin_settings = beside(settings)
    keeps, frees = FaultWorker(settings, tmp_path, 0, guards_off="freed_records"), FaultWorker(twin_settings, tmp_path, 1)
    with running(keeps, frees), Load(settings, tmp_path, schedule.chance, per_sec=1000) as load:
        wait_until_it_lands(settings)
        wait_until_it_lands(twin_settings)
        assert keeps.process is not None
        assert frees.process is not None
        before, began = load.count, time.monotonic()
        with Trend(keeps.process.pid) as kept, Trend(frees.process.pid) as freed:
            time.sleep(schedule.choose(60, 120))
        per_min = (load.count - before) / (time.monotonic() - began) * 60
    (keeping, _), (freeing, _) = kept.slopes_per_min(WARM_UP), freed.slopes_per_min(WARM_UP)
    proof.note(records_per_min=per_min, memory_bytes_per_min=keeping, memory_bytes_per_min_with_the_guard=freeing)
    # A record has two hundred bytes or more; whatever else grows grows in both.
    is_shown = keeping - freeing > max(MEMORY_SLOPE_MAX, 100 * per_min)
    proof.show(f"{keeping / 1e6:.0f} MB more a minute, {freeing / 1e6:.0f} with the guard" if is_shown else "")
