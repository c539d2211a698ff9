"""Row 18: a tenth of the events up to seven days late, one of a hundred from the year 2100. Files do not multiply, and days count right."""

import datetime as dt
import json
import random
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.conftest import headwater
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.lake_files import count_files
from tests.worker_process import running, wait_until

LATE_SHARE, FUTURE_SHARE = 0.1, 0.01
LATE_DAYS_MAX = 7
FUTURE = dt.datetime(2100, 6, 1, tzinfo=dt.UTC)


class LateLoad(Load):
    """Events of now and, while `is_late`, late and future ones among them; `days` counts events by their own UTC day."""

    def __init__(self, settings: Settings, folder: Path, chance: random.Random, per_sec: float) -> None:
        super().__init__(settings, folder, chance, per_sec, resent=0, malformed=0)
        self.is_late = False
        self.days = Counter[str]()
        self.off_time_count = 0

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes, str]:
        happened_at, draw = dt.datetime.now(dt.UTC), chance.random()
        if self.is_late and draw < LATE_SHARE + FUTURE_SHARE:
            self.off_time_count += 1
            is_future = draw < FUTURE_SHARE
            happened_at = FUTURE if is_future else happened_at - dt.timedelta(seconds=chance.uniform(0, LATE_DAYS_MAX * 86400))
        self.days[happened_at.date().isoformat()] += 1
        event_id, endpoint_id = str(uuid.UUID(int=chance.getrandbits(128))), f"phone-{chance.randrange(500)}"
        record = {
            "event_id": event_id,
            "event_type": "screen.view",
            "event_timestamp": int(happened_at.timestamp() * 1000),
            "application": {"app_id": "shop"},
            "client": {"client_id": endpoint_id},
        }
        return f"shop/{endpoint_id}".encode(), json.dumps(record).encode(), event_id


def _run_phases(settings: Settings, load: LateLoad, worker: FaultWorker, count: int) -> tuple[float, float]:
    """Send so many events that are on time, then as many with late ones among them; returns files a flush in both."""
    per_sec = load.per_sec
    wait_until(lambda: load.count > count, "records", 300)
    load.per_sec = 0
    time.sleep(0.5)
    wait_for_rows(settings, load.count)
    on_time, late_from = count_files(settings), load.count
    load.is_late, load.per_sec = True, per_sec
    wait_until(lambda: load.count > late_from + count, "records", 300)
    load.stop()
    wait_for_rows(settings, load.count)
    assert worker.stop() == 0
    both = count_files(settings)
    return on_time[0] / on_time[1], (both[0] - on_time[0]) / (both[1] - on_time[1])


def test_fault_18_late_and_future_events_make_no_more_files_and_count_in_their_own_days(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path)
    with LateLoad(settings, tmp_path, schedule.chance, schedule.choose(1000, 2500)) as load, running(worker):
        baseline, late = _run_phases(settings, load, worker, schedule.choose(2500, 150_000))
    found = judge(settings, load.ledger).require()
    assert late <= 2 * baseline
    asked = "select activity_date::varchar as day, sum(event_count)::bigint as events from core.endpoint_days group by all"
    answer = headwater(settings, "sql", "--json", asked)
    assert answer.returncode == 0, answer.stderr
    days = {row["day"]: row["events"] for row in json.loads(answer.stdout)}
    assert days == load.days
    assert days[FUTURE.date().isoformat()] > 0
    assert found.events == load.days.total()
    proof.note(
        injections=load.off_time_count, days=len(days), files_per_flush_on_time=round(baseline, 2), files_per_flush_late=round(late, 2)
    )
    proof.note_workers(worker)
    proof.note_findings(found)


@pytest.mark.full
def test_fault_18_folders_by_event_time_multiply_files_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path, guards_off="append_date")
    with LateLoad(settings, tmp_path, schedule.chance, per_sec=1000) as load, running(worker):
        baseline, late = _run_phases(settings, load, worker, 2500)
    proof.note(injections=load.off_time_count)
    proof.show(f"{late:.1f} files a flush, {baseline:.1f} without late events" if late > 2 * baseline else "")
