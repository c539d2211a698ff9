"""The dedup windows of a worker over a real table: cold, unequal backlogs, and a partition that comes back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from agents.dedup.window import KeyWindow, MemoryBudget
from agents.dedup.windows import Windows
from agents.land import Position, Range
from pipeline.config import Settings
from pipeline.event_stream import build_connection
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOPIC_ID = "topic-1"


@pytest.fixture
def table(settings: Settings) -> LakeTable:
    found = LakeTable(build_store(settings), load_table("events"))
    found.ensure()
    return found


def land(table: LakeTable, partition: int, offset: int, appended_at: datetime) -> None:
    row: dict[str, Any] = {
        "event_id": f"event-{partition}-{offset}",
        "event_type": "x",
        "event_timestamp": appended_at,
        "app_id": "shop",
        "attributes": [],
        "metrics": [],
        "_topic_id": TOPIC_ID,
        "_partition": partition,
        "_offset": offset,
        "_appended_at": appended_at,
        "_payload_hash": offset,
        "arrival_date": appended_at.date(),
    }
    schema = load_table("events").arrow
    table.commit(table.upload(pa.Table.from_pylist([{name: row.get(name) for name in schema.names}], schema=schema)), {})
    table.refresh()


def build_windows(table: LakeTable, folder: Path) -> Windows:
    return Windows(table, build_connection(), folder, MemoryBudget(10_000_000), window_secs=7 * 86400)


def ready(windows: Windows, partition: int, start: int, oldest_at: datetime) -> KeyWindow:
    found: Mapping[int, KeyWindow] = windows.ready([Range(Position(TOPIC_ID, partition), start, start + 1, 1)], oldest_at)
    return found[partition]


def test_a_partition_with_an_older_backlog_keeps_its_whole_window_whoever_is_judged_first(table: LakeTable, tmp_path: Path) -> None:
    land(table, 0, 0, NOON - timedelta(days=10))
    land(table, 1, 0, NOON)
    windows = build_windows(table, tmp_path)
    windows.assign(TOPIC_ID, {0: 1, 1: 1}, 2)
    ready(windows, 1, 1, NOON)
    # What waits in partition 0 was appended five days ago: its window reaches back twelve.
    assert ready(windows, 0, 1, NOON - timedelta(days=5)).key_count == 1


def test_a_partition_that_comes_back_learns_what_another_worker_landed_meanwhile(table: LakeTable, tmp_path: Path) -> None:
    land(table, 0, 0, NOON)
    windows = build_windows(table, tmp_path)
    windows.assign(TOPIC_ID, {0: 1}, 1)
    assert ready(windows, 0, 1, NOON).key_count == 1
    windows.assign(TOPIC_ID, {}, 1)
    land(table, 0, 1, NOON)
    windows.assign(TOPIC_ID, {0: 2}, 1)
    assert ready(windows, 0, 2, NOON).key_count == 2


def test_a_partition_that_was_away_for_two_assignments_is_filled_anew(table: LakeTable, tmp_path: Path) -> None:
    land(table, 0, 0, NOON)
    windows = build_windows(table, tmp_path)
    for starts in ({0: 1}, {}, {}):
        windows.assign(TOPIC_ID, starts, 1)
        if starts:
            ready(windows, 0, 1, NOON)
    assert windows.key_count == 0
    windows.assign(TOPIC_ID, {0: 1}, 1)
    assert ready(windows, 0, 1, NOON).key_count == 1
