"""Row 15: events whose shape changes from record to record and from second to second. No file is split for it, and no column comes of it."""

import json
import random
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from agents.enrich import EnrichRules, enrich_batch
from agents.validate import validate_batch
from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.faults.guards.one_shape import ShapedTable
from tests.faults.inputs.parser_paths import RULES
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.lake_files import count_files
from tests.stream import rows
from tests.validate_inputs import build_records
from tests.worker_process import running, wait_until

NEW_KEYS = 1000
# What is changed of an event; ... takes the member away.
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "new field": {"tier": "gold", "device": {"make": "apple", "folded": True}},
    "types flipped": {"attributes": {"screen": 7}, "metrics": {"height": "1.5", "width": "wide"}, "event_version": 3.1, "session": "s-1"},
    "types flipped to objects": {"attributes": {"screen": {"name": ["home"]}}, "metrics": [1.5], "device": "phone"},
    "fields removed": {"attributes": ..., "metrics": ..., "client": ...},
    "a thousand new keys": {f"key-{number}": number for number in range(NEW_KEYS)}
    | {"attributes": {f"key-{number}": "x" for number in range(NEW_KEYS)}},
    "names that differ in case": {"Event_Type": "x", "EVENT_TYPE": 1, "attributes": {"screen": "a", "Screen": "b", "SCREEN": "c"}},
}


def build_event(shape: str, chance: random.Random) -> dict[str, Any]:
    """An event of that shape; its type says which."""
    members: dict[str, Any] = {
        "event_id": str(uuid.UUID(int=chance.getrandbits(128))),
        "event_type": f"drift.{shape}",
        "event_timestamp": 1764000000000,
        "application": {"app_id": "shop"},
        "client": {"client_id": f"phone-{chance.randrange(500)}"},
        "attributes": {"screen": "home"},
        "metrics": {"height": 1.5},
    } | SHAPES[shape]
    return {name: value for name, value in members.items() if value is not ...}


class DriftingLoad(Load):
    """Events that drift as `drift` says: "none", "each record" or "each second". `shapes` counts them, `changes` where one differs from the one before."""

    def __init__(self, settings: Settings, folder: Path, chance: random.Random, per_sec: float) -> None:
        super().__init__(settings, folder, chance, per_sec, resent=0, malformed=0)
        self.drift, self._per_sec, self.per_sec = "none", per_sec, 0
        self.shapes = Counter[str]()
        self.changes = 0
        self._shape_before = "plain"

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes, str]:
        place = {"none": 0, "each record": number, "each second": int(time.monotonic())}[self.drift]
        shape = [*SHAPES][place % len(SHAPES)]
        self.changes += shape != self._shape_before
        self._shape_before = shape
        self.shapes[shape] += 1
        event = build_event(shape, chance)
        return b"shop/phone", json.dumps(event).encode(), event["event_id"]

    def run_phase(self, settings: Settings, drift: str, count: int, secs: float) -> float:
        """Send so many events, and so many seconds, of that drift, and then nothing; returns files a flush once all have landed."""
        before, count_before, end = count_files(settings), self.count, time.monotonic() + secs
        self.drift, self.per_sec = drift, self._per_sec
        wait_until(lambda: self.count >= count_before + count and time.monotonic() > end, "records", 300)
        self.per_sec = 0
        time.sleep(0.5)
        wait_for_rows(settings, self.count)
        after = count_files(settings)
        return (after[0] - before[0]) / (after[1] - before[1])


def test_fault_15_drifting_shapes_split_no_file_add_no_column_and_lose_nothing(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path)
    count, secs = schedule.choose((500, 2), (30_000, 60))
    with DriftingLoad(settings, tmp_path, schedule.chance, schedule.choose(300, 600)) as load, running(worker):
        load.run_phase(settings, "none", 1, 0)
        columns = _columns(settings)
        files_a_flush = {drift: load.run_phase(settings, drift, count, secs) for drift in ("none", "each record")}
        files_a_flush["each second"] = load.run_phase(settings, "each second", 0, schedule.choose(4, 60))
        load.stop()
        wait_for_rows(settings, load.count)
        assert worker.stop() == 0
    found = judge(settings, load.ledger).require()
    # One file a flush; the flush of midnight has two.
    assert files_a_flush["each record"] <= files_a_flush["none"] * 1.1
    assert files_a_flush["each second"] <= files_a_flush["none"] * 1.1
    assert _columns(settings) == columns
    landed = rows(settings, columns=["event_type", "attributes", "metrics", "extra"])
    assert Counter(event_type.removeprefix("drift.") for event_type, *_ in landed) == load.shapes
    for event_type, attributes, metrics, extra in landed:
        assert _put_together(attributes, metrics, extra) == _expected(event_type.removeprefix("drift."))
    proof.note(injections=load.changes, shapes=len(SHAPES), columns=len(columns), columns_added=0)
    proof.note(**{f"files_per_flush_drift_{name.replace(' ', '_')}": round(figure, 2) for name, figure in files_a_flush.items()})
    proof.note_workers(worker)
    proof.note_findings(found)


@pytest.mark.full
def test_fault_15_a_file_for_each_shape_multiplies_files_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(settings, tmp_path, guards_off="one_shape")
    with DriftingLoad(settings, tmp_path, schedule.chance, per_sec=60) as load, running(worker):
        load.run_phase(settings, "none", 1, 0)
        none = load.run_phase(settings, "none", 60, 1)
        each_record = load.run_phase(settings, "each record", 120, 1)
    proof.note(injections=load.changes)
    proof.show(f"{each_record:.1f} files a flush, {none:.1f} without drift" if each_record > 2 * none else "")


def test_fault_15_a_flush_of_all_shapes_is_one_file(settings: Settings, schedule: Schedule, proof: Proof) -> None:
    assert _count_uploads(settings, LakeTable, schedule.chance) == 1
    proof.note(injections=len(SHAPES))


def test_fault_15_a_flush_of_all_shapes_control(settings: Settings, schedule: Schedule, proof: Proof) -> None:
    count = _count_uploads(settings, ShapedTable, schedule.chance)
    proof.note(injections=len(SHAPES))
    proof.show(f"{count} files of one flush of {len(SHAPES)} shapes" if count > 1 else "")


def _count_uploads(settings: Settings, kind: type[LakeTable], chance: random.Random) -> int:
    """Files that such a table makes of one flush with an event of each shape, after the steps of a worker."""
    table = kind(build_store(settings), load_table("events"))
    table.ensure()
    validated = validate_batch(build_records([json.dumps(build_event(shape, chance)).encode() for shape in SHAPES]), RULES)
    assert validated.parsed.num_rows == len(SHAPES)
    with duckdb.connect() as con:
        return len(table.upload(enrich_batch(con, validated.parsed, EnrichRules())))


def test_fault_15_columns_taken_from_the_data_grow_and_refuse_a_flipped_type(tmp_path: Path, schedule: Schedule) -> None:
    """Why no column is: deltalake by itself would take them."""
    table, refused = str(tmp_path / "merged"), 0
    for shape in SHAPES:
        row = pa.Table.from_pylist([build_event(shape, schedule.chance)])
        try:
            write_deltalake(table, row, mode="append", schema_mode="merge")
        except Exception:  # noqa: BLE001 (of a cast that there is not, deltalake raises nothing narrower)
            refused += 1
    assert refused > 0
    assert len(DeltaTable(table).schema().fields) > NEW_KEYS


def _columns(settings: Settings) -> list[str]:
    store = build_store(settings)
    return [field.name for field in DeltaTable(store.uri("lake/events"), storage_options=store.delta_options()).schema().fields]


def _put_together(attributes: list[tuple[str, str]], metrics: list[tuple[str, float]], extra: str | None) -> dict[str, Any]:
    """What the maps and `extra` have of an event."""
    return {"attributes": dict(attributes), "metrics": dict(metrics), "extra": json.loads(extra or "{}")}


def _expected(shape: str) -> dict[str, Any]:
    """The same of what was sent: texts in attributes, numbers in metrics, all that has no column in `extra`."""
    plain = {"attributes": {"screen": "home"}, "metrics": {"height": 1.5}, "extra": {}}
    changed: dict[str, dict[str, Any]] = {
        "plain": {},
        "new field": {"extra": {"tier": "gold", "device": {"folded": True}}},
        "types flipped": {"attributes": {"screen": "7"}, "extra": {"metrics": {"width": "wide"}, "session": "s-1"}},
        "types flipped to objects": {
            "attributes": {"screen": '{"name":["home"]}'},
            "metrics": {},
            "extra": {"metrics": [1.5], "device": "phone"},
        },
        "fields removed": {"attributes": {}, "metrics": {}},
        "a thousand new keys": {
            "attributes": SHAPES["a thousand new keys"]["attributes"],
            "extra": {f"key-{number}": number for number in range(NEW_KEYS)},
        },
        "names that differ in case": {
            "attributes": {"screen": "a", "Screen": "b", "SCREEN": "c"},
            "extra": {"Event_Type": "x", "EVENT_TYPE": 1},
        },
    }
    return plain | changed[shape]
