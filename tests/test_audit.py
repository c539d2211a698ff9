"""The audit's own controls: a row that is taken out of the lake, put in twice or moved is found and named."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from agents.land import Range
from pipeline.config import Settings
from pipeline.stores import build_store
from tests.conftest import RunHeadwater
from tests.stream import audit
from tests.test_land import P0, P1, Worker

Change = Callable[[pa.Table], pa.Table]


@pytest.fixture
def lake(settings: Settings) -> Settings:
    """Partition 0: offsets 0 to 19, of which 10 is a dead letter and 18 and 19 are holes. Partition 1: offsets 0 to 4."""
    worker = Worker(settings, bad=[10])
    worker.take_over(P0, P1)
    worker.flush(Range(P0, 0, 20, 18), Range(P1, 0, 5, 5))
    return settings


def rewrite(settings: Settings, table: str, change: Change) -> None:
    """Put other rows into a table, behind the back of whoever commits to it; its application transactions stay."""
    store = build_store(settings)
    handle = DeltaTable(store.uri(f"lake/{table}"), storage_options=store.delta_options())
    rows = pa.table(handle.to_pyarrow_table())
    write_deltalake(handle, change(rows), mode="overwrite")


def is_at(rows: pa.Table, offset: int) -> Any:
    return pc.and_(pc.equal(rows["_offset"], offset), pc.equal(rows["_partition"], 0))


def without(offset: int) -> Change:
    return lambda rows: rows.filter(pc.invert(is_at(rows, offset)))


def doubled(offset: int) -> Change:
    return lambda rows: pa.concat_tables([rows, rows.filter(is_at(rows, offset))])


def moved(offset: int, /, **place: Any) -> Change:
    """The row at an offset, put elsewhere."""

    def change(rows: pa.Table) -> pa.Table:
        for name, value in place.items():
            field = rows.schema.field(f"_{name}")
            values = pc.if_else(is_at(rows, offset), pa.scalar(value, field.type), rows[field.name])
            rows = rows.set_column(rows.schema.get_field_index(field.name), field, values)
        return rows

    return change


def test_a_lake_that_is_whole_is_clean_and_holes_are_not_losses(lake: Settings) -> None:
    found = audit(lake)
    assert found["is_clean"], found
    assert (found["consumed"], found["landed"], found["dead"], found["holes"]) == (23, 22, 1, 2)


def test_dead_letters_of_a_flush_whose_events_are_not_committed_yet_are_no_strangers(lake: Settings) -> None:
    worker = Worker(lake, bad=[21])
    worker.take_over(P0)
    worker.flush(Range(P0, 20, 25, 5), stop_before="before events upload")
    assert audit(lake)["is_clean"]
    worker.flush(Range(P0, 20, 25, 5))
    found = audit(lake)
    assert (found["is_clean"], found["dead"], found["consumed"]) == (True, 2, 28)


@pytest.mark.parametrize(
    ("table", "change", "expected"),
    [
        ("events", without(7), {"lost": 1, "doubled": 0, "unbalanced": -1, "missing": [[7, 8], [18, 20]], "repeated": []}),
        ("dead_letters", without(10), {"lost": 1, "doubled": 0, "unbalanced": -1, "missing": [[10, 11], [18, 20]], "repeated": []}),
        ("events", doubled(3), {"lost": 0, "doubled": 1, "unbalanced": 1, "missing": [[18, 20]], "repeated": [3]}),
        ("dead_letters", doubled(10), {"lost": 0, "doubled": 1, "unbalanced": 1, "missing": [[18, 20]], "repeated": [10]}),
        ("events", moved(9, offset=10), {"lost": 1, "doubled": 1, "unbalanced": 0, "missing": [[9, 10], [18, 20]], "repeated": [10]}),
        ("events", moved(5, offset=900), {"lost": 1, "doubled": 0, "unbalanced": 0, "missing": [[5, 6], [18, 20]], "repeated": []}),
        ("events", moved(5, offset=-1), {"lost": 1, "doubled": 0, "unbalanced": 0, "missing": [[5, 6], [18, 20]], "repeated": []}),
        ("events", moved(5, topic_id="other"), {"lost": 1, "doubled": 0, "unbalanced": -1, "missing": [[5, 6], [18, 20]], "repeated": []}),
    ],
    ids=[
        "event taken out",
        "dead letter taken out",
        "event doubled",
        "dead letter doubled",
        "event over a dead letter",
        "event beyond the end",
        "event before the start",
        "event of another topic",
    ],
)
def test_a_row_that_is_not_where_it_was_landed_is_found_and_named(
    lake: Settings, table: str, change: Change, expected: dict[str, Any]
) -> None:
    rewrite(lake, table, change)
    found = audit(lake)
    assert not found["is_clean"]
    first, second = (one for one in found["partitions"] if one["topic_id"] == P0.topic_id)
    assert {name: first[name] for name in expected} == expected
    assert (second["lost"], second["doubled"], second["unbalanced"]) == (0, 0, 0)


def test_rows_of_a_partition_that_no_commit_speaks_of_are_unbalanced(lake: Settings) -> None:
    rewrite(lake, "events", lambda rows: pa.concat_tables([rows, moved(0, partition=77)(rows).filter(pc.equal(rows["_offset"], 0))]))
    found = audit(lake)
    assert not found["is_clean"]
    assert [(one["partition"], one["next_offset"], one["unbalanced"]) for one in found["partitions"] if one["unbalanced"]] == [
        (1, 5, 1),
        (77, 0, 1),
    ]


def test_the_command_fails_and_names_what_is_lost_and_what_is_doubled(lake: Settings, run_headwater: RunHeadwater) -> None:
    rewrite(lake, "events", without(7))
    rewrite(lake, "events", doubled(3))
    said = run_headwater("audit", secs_max=30)
    assert said.returncode == 1
    assert "Lost: partition 0 of raw-events has no row for 1 offsets; without a row are [[7, 8], [18, 20]]." in said.stdout
    assert "Doubled: partition 0 of raw-events has 1 rows too many; offsets that have several are [3]." in said.stdout
    assert "Not clean" in said.stdout
    as_json = run_headwater("audit", "--json", secs_max=30)
    assert as_json.returncode == 1
    assert {name: json.loads(as_json.stdout)[name] for name in ("lost", "doubled", "unbalanced")} == {
        "lost": 1,
        "doubled": 1,
        "unbalanced": 0,
    }
