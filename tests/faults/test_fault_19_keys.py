"""Row 19: the store's key is rotated again and again under a worker, and once it cannot be renewed."""

import time
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.hosts.short_keys import ShortKeys, serving
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.s3_proxy import Change, s3_behind
from tests.stream import landed_count, lines
from tests.worker_process import running, wait_until

# The full runs take minutes.
pytestmark = pytest.mark.timeout(1800)


def rotate(settings: Settings, keys: ShortKeys, rotations: int, failing: int) -> list[float]:
    """Until so many keys were handed out, without any during one period of `failing`; returns the seconds between landings."""
    gaps, landed, since = list[float](), landed_count(settings), time.monotonic()
    fails_at, ends_at = keys.rotations + failing, time.monotonic() + (rotations + 4) * keys.period_secs + 120
    failed_since = 0.0
    while keys.rotations < rotations or not failed_since or keys.fails:
        assert time.monotonic() < ends_at, "keys are not asked for any more"
        if not failed_since and keys.rotations >= fails_at:
            keys.fails, failed_since = True, time.monotonic()
        # A period, or until it is met.
        if keys.fails and keys.failures and time.monotonic() > failed_since + keys.period_secs:
            keys.fails = False
        if (now := landed_count(settings)) > landed:
            gaps.append(time.monotonic() - since)
            landed, since = now, time.monotonic()
        time.sleep(0.1)
    return gaps


def test_fault_19_a_key_that_is_rotated_and_once_not_renewed_stops_landing_for_less_than_two_periods(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    keys = ShortKeys(schedule.choose(6.0, 20.0))
    with serving(keys) as chain, s3_behind(settings, Change(allows=keys.allows)) as store:
        worker = FaultWorker(settings, tmp_path, HEADWATER_S3_ENDPOINT=store["s3_endpoint"])
        worker.rig |= chain
        with Load(settings, tmp_path, schedule.chance, per_sec=200) as load, running(worker):
            wait_until(lambda: landed_count(settings) > 0, "rows")
            rotations = keys.rotations + schedule.choose(3, 9)
            gaps = rotate(settings, keys, rotations, failing=schedule.chance.randint(1, 2))
            load.stop()
            wait_for_rows(settings, load.count)
            assert worker.stop() == 0
    # The one that failed was met, and said: by the store when it was asked for its key, or by botocore when it signed.
    assert lines(worker.log, "WARNING", "No S3 key was found", "credential chain failed") or lines(
        worker.log, "WARNING", "Waiting", "CredentialRetrievalError"
    )
    proof.note(injections=keys.rotations, period_secs=keys.period_secs, gap_secs_max=max(gaps))
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())
    assert max(gaps) < 2 * keys.period_secs


@pytest.mark.full
def test_fault_19_a_key_that_is_rotated_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    keys = ShortKeys(4.0)
    with serving(keys) as chain, s3_behind(settings, Change(allows=keys.allows)) as store:
        worker = FaultWorker(settings, tmp_path, guards_off="fresh_key", HEADWATER_S3_ENDPOINT=store["s3_endpoint"])
        worker.rig |= chain
        with Load(settings, tmp_path, schedule.chance, per_sec=200) as load, running(worker):
            wait_until(lambda: len(lines(worker.log, "WARNING", "ExpiredToken")) >= 2, "the first key is refused")
            landed, asked = landed_count(settings), keys.rotations
            # Two keys more, and it uses neither.
            time.sleep(2 * keys.period_secs)
            is_stuck = landed_count(settings) == landed and load.count > landed
    proof.show(f"nothing landed any more after the first of {asked + 3} keys" if is_stuck else "")
