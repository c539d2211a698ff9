"""The snapshot of dedup keys: a window filled from it is the window that the events themselves give, whatever happened between."""

import dataclasses
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents.dedup.key_run
import agents.dedup.snapshot
from agents.dedup.event_keys import HASH_VERSION
from agents.dedup.window import KeyWindow, MemoryBudget
from agents.dedup.windows import Windows
from agents.land import Position, Range
from pipeline.config import Settings
from pipeline.event_stream import build_connection
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.maintained import NOON, SMALL, TOPIC_ID, Lander, build, open_table, run, run_until

Keys = list[tuple[int, int, int]]
DAY = timedelta(days=1)


def clock_of(moment: datetime) -> Callable[[], float]:
    return moment.timestamp


def fill(
    settings: Settings, folder: Path, partitions: Sequence[int], partition_count: int, oldest_at: datetime, has_snapshot: bool
) -> dict[int, Keys]:
    """The keys of each window that a cold worker has: (id, rest, append time)."""
    snapshot = LakeTable(build_store(settings), load_table("dedup_keys")) if has_snapshot else None
    windows = Windows(open_table(settings), build_connection(), folder, MemoryBudget(10_000_000), 7 * 86400, snapshot)
    windows.assign(TOPIC_ID, dict.fromkeys(partitions, 10_000), partition_count)
    ready = windows.ready([Range(Position(TOPIC_ID, one), 10_000, 10_001, 1) for one in partitions], oldest_at)
    return {partition: keys_of(window) for partition, window in ready.items()}


def keys_of(window: KeyWindow) -> Keys:
    latest: dict[tuple[int, int], int] = {}
    for run_ in window._runs:
        for id_, rest, moment in zip(run_.ids.tolist(), run_.rests.tolist(), run_.times.tolist(), strict=True):
            latest[(id_, rest)] = max(moment, latest.get((id_, rest), moment))
    return sorted((*key, moment) for key, moment in latest.items())


def require_same(settings: Settings, folder: Path, partition_count: int = 2, oldest_at: datetime = NOON) -> Mapping[int, Keys]:
    partitions = range(partition_count)
    found = fill(settings, folder, partitions, partition_count, oldest_at, has_snapshot=True)
    wanted = fill(settings, folder, partitions, partition_count, oldest_at, has_snapshot=False)
    assert found == wanted
    assert sum(map(len, found.values())) > 0
    return found


def test_a_cold_window_takes_from_the_events_only_what_landed_since(settings: Settings, tmp_path: Path, reads: dict[str, int]) -> None:
    lander = Lander(settings)
    for _ in range(4):
        lander.land(50, partitions=2)
    run(build(settings, clock=clock_of(NOON)))
    lander.land(7, partitions=2)
    fill(settings, tmp_path, [0, 1], 2, NOON, has_snapshot=True)
    assert reads == {"events": 7, "keys": 200}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in (1, 2))])
def test_snapshot_and_tail_are_the_full_read_at_random(settings: Settings, tmp_path: Path, seed: int) -> None:
    """Landings over days, in more and more partitions and a topic made anew, between runs that are whole, cut off at any step or left out."""
    chance, lander = random.Random(seed), Lander(settings, seed)
    moment, partitions, topic_id = NOON - 12 * DAY, 1, TOPIC_ID
    for number in range(14):
        lander.land(chance.randrange(1, 60), moment, partitions, topic_id)
        if chance.random() < 0.3:
            # The same events once more, as after a window that had forgotten them.
            lander.commit([again(lander, moment, topic_id)])
        moment += timedelta(hours=chance.randrange(30))
        partitions = min(3, partitions + (chance.random() < 0.2))
        topic_id = f"topic-{number}" if chance.random() < 0.1 else topic_id
        # Cut off after so many steps; what is left of it is dropped.
        list(itertools.islice(build(settings, clock=clock_of(moment)).run([]), chance.choice([0, 0, 1, 2, 3, 4, 5, 7, 9, 100])))
        if number % 3 == 2:
            # A run without compaction of tiny lakes would prove little: now and then one is whole.
            run(build(settings, clock=clock_of(moment)))
        if number % 4 == 3:
            require_same(settings, tmp_path, chance.choice([partitions, partitions + 1]), moment - DAY * chance.choice([0, 0, 3]))
    require_same(settings, tmp_path, 4, moment)


def again(lander: Lander, moment: datetime, topic_id: str) -> dict[str, Any]:
    """The row of an event that has landed before, appended later."""
    return lander.make_row(moment, Position(topic_id, 0)) | {
        "event_id": f"event-{topic_id}-0-0",
        "endpoint_id": "phone-1",
        "event_timestamp": NOON,
    }


def test_a_window_that_reaches_back_beyond_the_snapshot_reads_the_rest_from_the_events(settings: Settings, tmp_path: Path) -> None:
    lander = Lander(settings)
    for days in range(14, -1, -1):
        lander.land(10, NOON - days * DAY, partitions=2)
    run(build(settings, clock=clock_of(NOON)))
    # What waits was appended six days ago: its window reaches back thirteen.
    found = require_same(settings, tmp_path, oldest_at=NOON - 6 * DAY)
    assert sum(map(len, found.values())) > 10 * 9


def test_folders_that_have_left_the_window_leave_the_snapshot(settings: Settings, tmp_path: Path) -> None:
    lander = Lander(settings)
    lander.land(10)
    run(build(settings, clock=clock_of(NOON)))
    lander.land(10, NOON + 9 * DAY)
    run(build(settings, clock=clock_of(NOON + 9 * DAY)))
    kept = open_table(settings, "dedup_keys").dataset().to_table(columns=["arrival_date"])["arrival_date"].to_pylist()
    assert set(kept) == {date(2026, 12, 2)}
    require_same(settings, tmp_path, oldest_at=NOON + 9 * DAY)


def damaged(settings: Settings) -> None:
    """Overwrite a file of the snapshot."""
    store = build_store(settings)
    for found in list(store.list_objects("lake/dedup_keys/arrival_date")):
        store.put(found.key, b"no parquet")


def missing(settings: Settings) -> None:
    store = build_store(settings)
    store.delete([found.key for found in store.list_objects("lake/dedup_keys/arrival_date")])


def logless(settings: Settings) -> None:
    store = build_store(settings)
    store.delete([found.key for found in store.list_objects("lake/dedup_keys/_delta_log/")][:1])


@pytest.mark.parametrize("harm", [damaged, missing, logless])
def test_a_snapshot_that_cannot_be_read_costs_time_and_nothing_else(
    settings: Settings, tmp_path: Path, reads: dict[str, int], harm: Callable[[Settings], None]
) -> None:
    lander = Lander(settings)
    lander.land(50, partitions=2)
    run(build(settings, clock=clock_of(NOON)))
    harm(settings)
    require_same(settings, tmp_path)
    assert reads["events"] == 100


def test_keys_of_another_hash_are_not_used_and_made_anew(
    settings: Settings, tmp_path: Path, reads: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lander = Lander(settings)
    lander.land(50, partitions=2)
    run(build(settings, clock=clock_of(NOON)))
    monkeypatch.setattr(agents.dedup.snapshot, "HASH_VERSION", HASH_VERSION + 1)
    require_same(settings, tmp_path)
    assert reads == {"events": 100, "keys": 0}
    run(build(settings, clock=clock_of(NOON)))
    require_same(settings, tmp_path)
    assert reads == {"events": 150, "keys": 50}


def test_keys_of_events_that_were_removed_with_their_table_are_not_used(settings: Settings, tmp_path: Path) -> None:
    Lander(settings).land(50, partitions=2)
    run(build(settings, clock=clock_of(NOON)))
    store = build_store(settings)
    store.delete([found.key for found in store.list_objects("lake/events/")])
    Lander(settings, seed=2).land(5)
    assert {len(keys) for keys in require_same(settings, tmp_path).values()} != {50}
    run(build(settings, clock=clock_of(NOON)))
    found = require_same(settings, tmp_path)
    assert len({key for keys in found.values() for key in keys}) == 5


def test_two_maintainers_add_each_key_once(settings: Settings, tmp_path: Path) -> None:
    lander = Lander(settings)
    lander.land(50, partitions=2)
    steps = build(settings, clock=clock_of(NOON)).run([])
    run_until(steps, "before dedup_keys commit")
    run(build(settings, clock=clock_of(NOON)))
    list(steps)
    assert open_table(settings, "dedup_keys").dataset().count_rows() == 50
    require_same(settings, tmp_path)


def test_control_a_snapshot_that_claims_more_than_it_holds_gives_another_window(settings: Settings, tmp_path: Path) -> None:
    lander = Lander(settings)
    lander.land(20)
    run(build(settings, clock=clock_of(NOON)))
    lander.land(20)
    table = open_table(settings, "dedup_keys")
    table.commit([], {Position(TOPIC_ID, 0).app_id("dedup_keys"): 40})
    with pytest.raises(AssertionError):
        require_same(settings, tmp_path)


def test_keys_of_the_snapshot_come_in_ascending_stretches(settings: Settings) -> None:
    lander = Lander(settings)
    for _ in range(8):
        lander.land(100, partitions=2)
        run(build(settings, dataclasses.replace(SMALL, stretch_bytes=10_000), clock=clock_of(NOON)))
    ids = open_table(settings, "dedup_keys").dataset().to_table(columns=["id"])["id"].to_numpy()
    assert len(ids) == 800
    assert np.count_nonzero(ids[1:] < ids[:-1]) < 20


def test_what_a_window_takes_of_a_stretch_is_in_order_and_not_sorted_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lander = Lander(settings)
    lander.land(500, partitions=2)
    run(build(settings, dataclasses.replace(SMALL, stretch_bytes=10**6), clock=clock_of(NOON)))
    monkeypatch.setattr(agents.dedup.key_run, "_sort", None)
    assert sum(map(len, fill(settings, tmp_path, [0, 1], 2, NOON, has_snapshot=True).values())) >= 500
