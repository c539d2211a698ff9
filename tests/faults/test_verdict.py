"""The checkers find what is wrong, one thing at a time, and agree; of a lake that is right they say so."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from pipeline.config import Settings
from pipeline.stores import build_store
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.ledger import Ledger
from tests.faults.rig.load import Load
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import count_doubled, judge, wait_for_rows
from tests.worker_process import running

Entries = list[dict[str, Any]]


def lose_one(entries: Entries) -> None:
    """A record before the first one, which has no row."""
    entries.append(entries[0] | {"offset": -1, "is_certain": False})


def lose_the_last(entries: Entries) -> None:
    entries.append(entries[0] | {"offset": 10**9})


def forget_one(entries: Entries) -> None:
    entries.pop()


def alter_bytes(entries: Entries) -> None:
    entries[0]["payload_hash"] += 1


def alter_dead_bytes(entries: Entries) -> None:
    """Of one that is a dead letter: its bytes are there, and are not these."""
    next(entry for entry in entries if not entry["event_id"])["sha256"] = "0" * 64


def find_lone(entries: Entries) -> dict[str, Any]:
    """An event that was sent once."""
    counts = Counter(entry["event_id"] for entry in entries)
    return next(entry for entry in entries if entry["event_id"] and counts[entry["event_id"]] == 1)


def alter_mark(entries: Entries) -> None:
    """An attribute of a neighbour's."""
    find_lone(entries)["mark"] = entries[-1]["event_id"]


def expect_an_event(entries: Entries) -> None:
    """Of what is none."""
    next(entry for entry in entries if entry["event_id"] == "").update(event_id="an event")


def expect_no_event(entries: Entries) -> None:
    find_lone(entries)["event_id"] = ""


def expect_two_events(entries: Entries) -> None:
    """Of one that was sent twice."""
    counts = Counter(entry["event_id"] for entry in entries)
    entry = next(entry for entry in reversed(entries) if entry["event_id"] and counts[entry["event_id"]] == 2)
    entry["event_id"] += "-again"


def alter_event(entries: Entries) -> None:
    find_lone(entries)["event_id"] = "another"


def without_one_value(rows: pa.Table) -> pa.Table:
    """Dead letters of which one that was no event has lost its bytes."""
    lost = rows["reason"].to_pylist().index("not_json")
    values = [None if number == lost else value for number, value in enumerate(rows["value"].to_pylist())]
    return rows.set_column(rows.schema.get_field_index("value"), "value", pa.array(values, rows.schema.field("value").type))


@pytest.mark.usefixtures("topics")
def test_the_checkers_find_what_is_lost_doubled_altered_or_made_up(settings: Settings, tmp_path: Path, schedule: Schedule) -> None:
    with Load(settings, tmp_path, schedule.chance, per_sec=500) as load, running(FaultWorker(settings, tmp_path)):
        wait_for_rows(settings, 500)
        load.stop()
        wait_for_rows(settings, load.count)
    assert judge(settings, load.ledger).holds

    def found_after(change: Callable[[Entries], None]) -> dict[str, int]:
        entries = list(load.ledger.entries())
        change(entries)
        changed = Ledger(tmp_path / f"{change.__name__}.ndjson")
        changed.path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        found = judge(settings, changed).found
        return {name: count for name in ("lost", "duplicate", "altered", "misplaced", "extra", "holes") if (count := getattr(found, name))}

    assert found_after(lose_one) == {"lost": 1, "holes": 1}
    assert found_after(lose_the_last) == {"lost": 1}
    assert found_after(forget_one) == {"extra": 1}
    assert found_after(alter_bytes) == {"altered": 1}
    assert found_after(alter_event) == {"altered": 1}
    assert found_after(alter_mark) == {"altered": 1}
    assert found_after(expect_an_event) == {"misplaced": 1}
    assert found_after(expect_no_event) == {"misplaced": 1}
    assert found_after(expect_two_events) == {"misplaced": 1}
    # Only SQL reads the bytes of dead letters: the two do not agree, and say so.
    with pytest.raises(AssertionError, match="the checkers do not agree"):
        found_after(alter_dead_bytes)
    store = build_store(settings)
    dead_letters = deltalake.DeltaTable(store.uri("lake/dead_letters"), storage_options=store.delta_options())
    version = dead_letters.version()
    deltalake.write_deltalake(dead_letters, without_one_value(dead_letters.to_pyarrow_table()), mode="overwrite")
    assert judge(settings, load.ledger).found.altered == 1
    dead_letters.restore(version)
    table = deltalake.DeltaTable(store.uri("lake/events"), storage_options=store.delta_options())
    deltalake.write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")
    verdict = judge(settings, load.ledger)
    assert (verdict.found.duplicate, verdict.holds, count_doubled(settings)) == (1, False, 1)
    assert (verdict.shown("duplicate"), verdict.shown("duplicate", before=1), verdict.shown("lost")) == ("duplicate 1", "", "")
