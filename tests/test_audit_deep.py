"""`headwater audit --deep`: what Kafka holds against what landed; a row that was altered, taken out or put in is found and named."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import pipeline.deep_audit
from pipeline.config import Settings
from pipeline.deep_audit import DeepAudit, audit_deeply, summarize_deeply
from tests.conftest import RunHeadwater
from tests.stream import GARBAGE, event, events, has_landed, raw_events, rows, send
from tests.test_audit import Change, rewrite
from tests.test_transport import send_in_transaction
from tests.worker_process import WorkerProcess, running, wait_until

# A command or a worker takes its time where other tests run beside it.
wait_long = partial(wait_until, secs_max=180)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def landed(settings: Settings, topics: list[str], tmp_path: Path) -> Settings:
    """Partition 0: offsets 0 to 29 events, 30 garbage, 31 a resend of 0. Elsewhere: an aborted and a committed transaction."""
    send(settings, [*events(30), GARBAGE, event("event-0", "phone-0")], partition=0)
    send_in_transaction(settings, events(5, "aborted", endpoints=5), is_committed=False)
    send_in_transaction(settings, events(5, "committed", endpoints=5), is_committed=True)
    with running(WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3")):
        wait_long(lambda: has_landed(settings, 37), "everything")
    return settings


def found(settings: Settings) -> dict[str, Any]:
    return summarize_deeply(audit_deeply(settings))


def of_partition_0(settings: Settings) -> DeepAudit:
    (audit,) = [one for one in audit_deeply(settings) if one.partition == 0 and one.topic == raw_events(settings)]
    return audit


def with_hash(offset: int, payload_hash: int) -> Change:
    """The row at an offset of partition 0, with another hash."""

    def change(rows: pa.Table) -> pa.Table:
        is_it = pc.and_(pc.equal(rows["_offset"], offset), pc.equal(rows["_partition"], 0))
        hashes = pc.if_else(is_it, pa.scalar(payload_hash, pa.int64()), rows["_payload_hash"])
        return rows.set_column(rows.schema.get_field_index("_payload_hash"), rows.schema.field("_payload_hash"), hashes)

    return change


def without(offset: int) -> Change:
    return lambda rows: rows.filter(pc.invert(pc.and_(pc.equal(rows["_offset"], offset), pc.equal(rows["_partition"], 0))))


def beyond(offset: int, to: int) -> Change:
    """A copy of the row at an offset of partition 0, at another offset."""

    def change(rows: pa.Table) -> pa.Table:
        copied = rows.filter(pc.and_(pc.equal(rows["_offset"], offset), pc.equal(rows["_partition"], 0)))
        moved = copied.set_column(rows.schema.get_field_index("_offset"), rows.schema.field("_offset"), pa.array([to], pa.int64()))
        return pa.concat_tables([rows, moved])

    return change


def test_what_landed_is_what_kafka_holds_aborted_records_and_markers_are_no_fault(
    landed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = found(landed)
    assert (summary["is_clean"], summary["compared"], summary["equal"]) == (True, 37, 37)
    assert (summary["differing"], summary["missing"], summary["lake_only"]) == (0, 0, 0)
    # The same in windows of a few records, as a topic of millions has.
    monkeypatch.setattr(pipeline.deep_audit, "WINDOW_RECORDS", 7)
    monkeypatch.setattr("pipeline.kafka_records.BATCH_RECORDS", 7)
    counted: list[int] = []
    assert summarize_deeply(audit_deeply(landed, counted.append)) == summary
    assert (sum(counted), len(counted) > 4) == (37, True)


def test_a_row_that_is_not_what_kafka_holds_is_found_and_named(landed: Settings) -> None:
    expected: dict[str, list[int]] = {"differing": [], "missing": [], "lake_only": []}
    changes: list[tuple[str, Change, str, int]] = [
        ("events", with_hash(7, 12345), "differing", 7),
        ("dead_letters", with_hash(30, 12345), "differing", 30),
        ("events", without(8), "missing", 8),
        ("dead_letters", without(31), "missing", 31),
        ("events", beyond(3, to=4), "differing", 4),
    ]
    assert of_partition_0(landed).is_clean
    for number, (table, change, kind, offset) in enumerate(changes, start=1):
        rewrite(landed, table, change)
        audit = of_partition_0(landed)
        expected[kind] = sorted([*expected[kind], offset])
        assert not audit.is_clean
        assert audit.offsets == expected
        assert audit.compared - audit.equal == number


def test_a_row_where_kafka_has_no_record_is_found(landed: Settings, tmp_path: Path) -> None:
    send_in_transaction(landed, [event("aborted", "phone-0")], is_committed=False)
    with running(WorkerProcess(landed, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3")):
        send(landed, [event("after", f"phone-{number}") for number in range(40)])
        wait_long(lambda: has_landed(landed, 77), "the events after it")
    before = found(landed)
    assert before["is_clean"], before
    (one, *_) = [one for one in before["partitions"] if one["end"] - one["start"] > one["compared"]]
    taken = _offsets(landed, one["partition"])
    hole = (one["partition"], next(offset for offset in range(one["start"], one["end"]) if offset not in taken))

    def put_there(lake: pa.Table) -> pa.Table:
        copied = lake.slice(0, 1)
        for name, value in (("_partition", hole[0]), ("_offset", hole[1])):
            field = lake.schema.field(name)
            copied = copied.set_column(lake.schema.get_field_index(name), field, pa.array([value], field.type))
        return pa.concat_tables([lake, copied])

    rewrite(landed, "events", put_there)
    after = found(landed)
    assert (after["is_clean"], after["lake_only"], after["differing"], after["missing"]) == (False, 1, 0, 0)


def _offsets(settings: Settings, partition: int) -> set[int]:
    return {offset for table in ("events", "dead_letters") for number, offset in rows(settings, table) if number == partition}


def test_the_command_names_the_offsets_and_ends_with_status_1(landed: Settings, run_headwater: RunHeadwater) -> None:
    clean = run_headwater("audit", "--deep")
    assert (clean.returncode, clean.stderr) == (0, "")
    assert "All 37 values that Kafka still holds are as they landed." in clean.stdout
    rewrite(landed, "events", with_hash(7, 12345))
    # The plain audit counts offsets, and these are all there.
    assert run_headwater("audit").returncode == 0
    said = run_headwater("audit", "--deep")
    assert said.returncode == 1
    assert "Differing: the value in Kafka is not the one that landed: partition 0 of " in said.stdout
    assert "1 offsets, the first [7]." in said.stdout
    as_json = run_headwater("audit", "--deep", "--json")
    assert as_json.returncode == 1
    deep = json.loads(as_json.stdout)["deep"]
    assert (deep["is_clean"], deep["compared"], deep["equal"], deep["differing"]) == (False, 37, 36, 1)


def test_without_anything_landed_there_is_nothing_to_compare(settings: Settings, run_headwater: RunHeadwater) -> None:
    done = run_headwater("audit", "--deep")
    assert (done.returncode, done.stderr) == (0, "")
    assert "All 0 values" in done.stdout
