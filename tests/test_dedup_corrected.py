"""An event whose clock was corrected is still known by the time that its client sent: warm, cold, and with a snapshot of keys."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
import xxhash

import agents.dedup.event_keys
from agents.event_steps import EventSteps
from agents.flush_report import FlushReport
from agents.ingest import Stepped
from agents.land import Position, Range
from pipeline.config import Settings, load_settings
from pipeline.event_stream import build_event_steps
from pipeline.stores import build_store
from pipeline.trace.lake_search import find_dead_letters, find_events, find_first_copy
from pipeline.trace.wanted import Wanted
from schemas.records import RECORDS
from schemas.tables import TableSchema, load_table
from sinks.lake import LakeTable
from tests.lake_rows import as_arrow, dead_letter, event, memory_lake
from tests.maintained import build, run

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOPIC_ID = "topic-1"
NOON_MS = int(NOON.timestamp() * 1000)
# The client's clock is two hours behind.
BEHIND_MS = 2 * 3600 * 1000
CORRECTED = {"event_timestamp": NOON, "event_timestamp_as_sent": NOON - timedelta(milliseconds=BEHIND_MS)}


def build_records(offset: int, event_timestamp: int, sent_at: int) -> pa.Table:
    """One record of an event as its client sends it at `sent_at`, by the client's clock."""
    document = {
        "event_id": "event-1",
        "event_type": "screen.view",
        "event_timestamp": event_timestamp,
        "application": {"app_id": "shop"},
        "client": {"client_id": "phone-1"},
        "headwater": {"sent_at": sent_at, "received_at": sent_at + BEHIND_MS},
    }
    value = json.dumps(document).encode()
    row = {
        "value": value,
        "value_bytes": len(value),
        "key": b"shop/phone-1",
        "origin": None,
        "_topic_id": TOPIC_ID,
        "_partition": 0,
        "_offset": offset,
        "_appended_at": NOON + timedelta(minutes=offset),
        "_payload_hash": xxhash.xxh3_64_intdigest(value) >> 1,
    }
    return pa.Table.from_pylist([row], schema=RECORDS)


# As the client's clock says: what happened at noon happened at ten.
FIRST = build_records(0, NOON_MS - BEHIND_MS, NOON_MS - BEHIND_MS)
RESENT = build_records(1, NOON_MS - BEHIND_MS, NOON_MS - BEHIND_MS + 60_000)
# Another event: its client says what the first was corrected to.
OTHER = build_records(1, NOON_MS, NOON_MS + 60_000)


class Worker:
    """The steps of a worker that has just started, and what it lands."""

    def __init__(self, settings: Settings, start: int) -> None:
        self.table = LakeTable(build_store(settings), load_table("events"))
        self.steps: EventSteps = build_event_steps(settings, self.table)
        self.table.ensure()
        self.steps.windows.assign(TOPIC_ID, {0: start}, 1)

    def judge(self, records: pa.Table) -> Stepped:
        offset = records["_offset"][0].as_py()
        return self.steps.run(records, [Range(Position(TOPIC_ID, 0), offset, offset + 1, 1)], FlushReport())

    def land(self, records: pa.Table) -> None:
        stepped = self.judge(records)
        self.table.refresh()
        offset = records["_offset"][0].as_py() + 1
        self.table.commit(self.table.upload(stepped.rows), {Position(TOPIC_ID, 0).app_id("events"): offset})
        self.steps.windows.add(Range(Position(TOPIC_ID, 0), offset - 1, offset, 1), stepped.keys[0])


def reasons(stepped: Stepped) -> list[str]:
    found: list[str] = stepped.dead["reason"].to_pylist()
    return found


def land_first(settings: Settings, has_snapshot: bool) -> None:
    Worker(settings, 0).land(FIRST)
    if has_snapshot:
        run(build(settings, clock=NOON.timestamp))


def test_a_corrected_event_lands_with_both_times(settings: Settings) -> None:
    stepped = Worker(settings, 0).judge(FIRST)
    (row,) = stepped.rows.select(list(CORRECTED)).to_pylist()
    assert row == CORRECTED


def test_its_resend_is_a_duplicate_for_the_worker_that_landed_it(settings: Settings) -> None:
    worker = Worker(settings, 0)
    worker.land(FIRST)
    assert reasons(worker.judge(RESENT)) == ["duplicate"]
    assert reasons(worker.judge(OTHER)) == []


@pytest.mark.parametrize(("has_snapshot", "expected"), [(False, {"events": 1, "keys": 0}), (True, {"events": 0, "keys": 1})])
def test_its_resend_is_a_duplicate_after_a_cold_start(
    settings: Settings, reads: dict[str, int], has_snapshot: bool, expected: dict[str, int]
) -> None:
    land_first(settings, has_snapshot)
    assert reasons(Worker(settings, 1).judge(RESENT)) == ["duplicate"]
    assert reads == expected
    assert reasons(Worker(settings, 1).judge(OTHER)) == []


@pytest.mark.parametrize("has_snapshot", [False, True])
def test_control_by_the_corrected_time_the_resend_would_land_and_another_event_would_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, has_snapshot: bool
) -> None:
    monkeypatch.setattr(agents.dedup.event_keys, "_sent_times", lambda table: table["event_timestamp"])
    land_first(settings, has_snapshot)
    assert reasons(Worker(settings, 1).judge(RESENT)) == []
    assert reasons(Worker(settings, 1).judge(OTHER)) == ["duplicate"]


def test_its_resend_is_a_duplicate_for_a_worker_that_catches_up(settings: Settings) -> None:
    worker = Worker(settings, 0)
    # Known up to here, and away while another worker lands the event.
    worker.judge(FIRST)
    worker.steps.windows.assign(TOPIC_ID, {}, 1)
    Worker(settings, 0).land(FIRST)
    worker.table.refresh()
    worker.steps.windows.assign(TOPIC_ID, {0: 1}, 1)
    assert reasons(worker.judge(RESENT)) == ["duplicate"]


# A table from before


def released_before() -> TableSchema:
    """Events as the release before this one has them."""
    now = load_table("events")
    new = {"event_timestamp_as_sent", "geo_country", "geo_region", "geo_city"}
    return TableSchema(now.name, 1, now.doc, now.grain, now.partition_by, tuple(column for column in now.columns if column.name not in new))


def land_before(settings: Settings) -> LakeTable:
    """The event in a table of the release before, which corrected nothing."""
    table = LakeTable(build_store(settings), released_before())
    table.ensure()
    sent = NOON - timedelta(milliseconds=BEHIND_MS)
    row = event(
        event_id="event-1", event_timestamp=sent, _topic_id=TOPIC_ID, _partition=0, _offset=0, _appended_at=NOON, arrival_date=NOON.date()
    )
    table.commit(table.upload(as_arrow(released_before(), [row])), {Position(TOPIC_ID, 0).app_id("events"): 1})
    return table


@pytest.mark.parametrize("has_snapshot", [False, True])
def test_events_of_files_without_the_column_are_recognised_and_read_as_null(settings: Settings, has_snapshot: bool) -> None:
    land_before(settings)
    if has_snapshot:
        # Maintenance of this release, before any worker of it has added the column.
        run(build(settings, clock=NOON.timestamp))
    worker = Worker(settings, 1)
    assert reasons(worker.judge(RESENT)) == ["duplicate"]
    worker.land(OTHER)
    worker.table.refresh()
    found = worker.table.dataset().to_table(columns=["_offset", "event_timestamp_as_sent", "geo_country"]).to_pylist()
    assert sorted((row["_offset"], row["event_timestamp_as_sent"], row["geo_country"]) for row in found) == [
        (0, None, None),
        (1, NOON, None),
    ]


def test_a_window_is_filled_from_a_table_that_has_no_such_column_yet(settings: Settings) -> None:
    table = land_before(settings)
    steps = build_event_steps(settings, table)
    table.refresh()
    steps.windows.assign(TOPIC_ID, {0: 1}, 1)
    stepped = steps.run(RESENT, [Range(Position(TOPIC_ID, 0), 1, 2, 1)], FlushReport())
    assert reasons(stepped) == ["duplicate"]


# What tells of them


def test_trace_names_the_corrected_event_that_a_dead_letter_repeats(settings: Settings) -> None:
    sent = CORRECTED["event_timestamp_as_sent"]
    land_first(settings, has_snapshot=False)
    letters = LakeTable(build_store(settings), load_table("dead_letters"))
    letters.ensure()
    keys = {"event_id": "event-1", "event_type": "screen.view", "app_id": "shop", "endpoint_id": "phone-1", "_topic_id": TOPIC_ID}
    rows = [
        dead_letter(**keys, reason="duplicate", event_timestamp=moment, _offset=5 + number, _appended_at=NOON + timedelta(hours=1))
        for number, moment in enumerate((sent, NOON))
    ]
    letters.commit(letters.upload(as_arrow(load_table("dead_letters"), rows)), {})
    events = LakeTable(build_store(settings), load_table("events"))
    events.refresh()
    letters.refresh()
    wanted = Wanted("event-1")
    landed = find_events(events, wanted)
    firsts = [find_first_copy(letter, landed) for letter in find_dead_letters(letters, wanted)]
    assert [first and first["_offset"] for first in firsts] == [0, None]


def test_trace_finds_an_event_in_a_table_that_has_no_such_column_yet(settings: Settings) -> None:
    table = land_before(settings)
    table.refresh()
    (found,) = find_events(table, Wanted("event-1"))
    assert found["event_timestamp_as_sent"] is None


def test_late_and_future_of_core_events_go_by_the_corrected_time() -> None:
    late = NOON - timedelta(hours=25)
    rows = [
        event(event_timestamp=NOON, event_timestamp_as_sent=late),
        event(event_timestamp=late, event_timestamp_as_sent=NOON, _appended_at=NOON, arrival_date=NOON.date()),
    ]
    with memory_lake(load_settings(), rows) as con:
        assert con.execute("select is_late from core.events order by _offset").fetchall() == [(False,), (True,)]
