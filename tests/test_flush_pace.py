"""How often a worker flushes: fresh, and never so often that all workers together crowd the table's log."""

import json
import time
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.flush_pace import FlushPace, count_committers
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.stream import audit, event, landed_count, metrics, send
from tests.worker_process import WorkerProcess, running, wait_until

SECS_MIN = 2.0
# The short form, and the one that is promised.
COUNTS = [3, pytest.param(8, marks=pytest.mark.full)]


@pytest.mark.parametrize(
    ("streams", "expected"),
    [([(8, 8)], 1), ([(8, 4)], 2), ([(8, 3)], 3), ([(8, 1)], 8), ([(4, 4), (16, 4)], 4), ([(4, 0)], 1), ([], 1)],
)
def test_committers_are_counted_by_ones_own_share(streams: list[tuple[int, int]], expected: int) -> None:
    assert count_committers(streams) == expected


def test_records_are_due_at_their_age_and_at_once_when_there_are_enough() -> None:
    pace = FlushPace(secs_max=1.0, commit_secs_min=0.1)
    assert pace.due_at(50.0, is_full=False) == 51.0
    assert pace.due_at(50.0, is_full=True) == 50.0


def test_flushes_lie_apart_by_the_number_of_committers() -> None:
    pace = FlushPace(secs_max=1.0, commit_secs_min=0.25)
    pace.committers = 8
    pace.begin(100.0)
    assert pace.secs_apart == 2.0
    assert pace.due_at(100.5, is_full=True) == 102.0
    assert pace.due_at(100.5, is_full=False) == 102.0
    assert pace.due_at(101.5, is_full=False) == 102.5


def test_a_flush_of_two_streams_is_two_commits_and_leaves_twice_the_time_after_it() -> None:
    pace = FlushPace(secs_max=1.0, commit_secs_min=0.25)
    pace.committers = 8
    pace.begin(100.0, commits=2)
    assert pace.due_at(100.5, is_full=True) == 104.0
    pace.begin(104.0, commits=0)
    assert pace.due_at(104.5, is_full=True) == 106.0


def commit_times_ms(settings: Settings) -> list[int]:
    """When each commit that added files to events was made."""
    store = build_store(settings)
    table = LakeTable(store, load_table("events"))
    table.refresh()
    times = []
    for version in range(table.version() + 1):
        actions = [json.loads(line) for line in store.get(f"{table.key}/_delta_log/{version:020}.json").splitlines()]
        if any("add" in action for action in actions):
            times += [action["commitInfo"]["timestamp"] for action in actions if "commitInfo" in action]
    return times


def count_commits(settings: Settings, folder: Path, count: int, commit_secs_min: float) -> tuple[int, float]:
    """Commits of so many workers on one table, each with a partition of its own and something to land all the time, and in how many seconds."""
    rig = {"HEADWATER_TOPIC_PARTITIONS": str(count), "HEADWATER_FLUSH_SECS_MAX": "0.2", "HEADWATER_COMMIT_SECS_MIN": str(commit_secs_min)}
    workers = [WorkerProcess(settings, folder, number, **rig) for number in range(count)]
    sent = 0
    with running(*workers):
        wait_until(lambda: all(has_its_share(worker, count) for worker in workers), "workers that share the partitions", secs_max=300)
        began_ms, end = int(time.time() * 1000), time.monotonic() + 2.5 * count * SECS_MIN
        while time.monotonic() < end:
            send(settings, [event(f"event-{number}", f"phone-{number % 97}") for number in range(sent, sent + 97)])
            sent += 97
            time.sleep(0.1)
        ended_ms = int(time.time() * 1000)
        wait_until(lambda: landed_count(settings) == sent, "everything that was sent", secs_max=120)
    found = audit(settings)
    assert found["is_clean"], found
    assert found["consumed"] == sent
    return len([at for at in commit_times_ms(settings) if began_ms <= at <= ended_ms]), (ended_ms - began_ms) / 1000


def commits_max(count: int, secs: float) -> int:
    """Each worker may commit once in `count * SECS_MIN`, wherever in that time it began."""
    return count * (int(secs / (count * SECS_MIN)) + 1)


def has_its_share(worker: WorkerProcess, count: int) -> bool:
    try:
        return metrics(worker)["headwater_committers"] == count
    except OSError:
        return False


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.timeout(900)
def test_workers_commit_to_one_table_no_more_often_than_the_setting_says(settings: Settings, tmp_path: Path, count: int) -> None:
    commits, secs = count_commits(settings, tmp_path, count, SECS_MIN)
    assert 0 < commits <= commits_max(count, secs)


@pytest.mark.full
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.timeout(900)
def test_control_without_the_bound_they_commit_more_often(settings: Settings, tmp_path: Path, count: int) -> None:
    commits, secs = count_commits(settings, tmp_path, count, 0)
    assert commits > commits_max(count, secs)
