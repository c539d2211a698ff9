"""Up to when all updates have landed, and the batches in which they are read: in order, none passed over, whatever lags, is idle or was made anew."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import pipeline.endpoints.horizon
from agents.land import Position
from pipeline.config import Settings
from pipeline.endpoints.end_offsets import EndOffsets, ask_end_offsets
from pipeline.endpoints.horizon import Batch, complete_until, read_new_updates, read_waiting
from pipeline.stores import build_store
from pipeline.topology import ENDPOINT_UPDATES, topic_name
from schemas.tables import load_table
from sinks.dataset import read_tables
from sinks.lake import LakeTable
from tests.endpoint_lake import EndpointLander
from tests.endpoint_rows import as_updates, update
from tests.lake_rows import NOON, Row
from tests.stream import send

P0, P1, NEW = Position("topic", 0), Position("topic", 1), Position("topic-anew", 0)
NOW = NOON + timedelta(minutes=1)
TICK = timedelta(milliseconds=1)
MARGIN = timedelta(seconds=2)


def at(secs: float) -> datetime:
    return NOON + timedelta(seconds=secs)


class TestCompleteUntil:
    def test_where_all_has_landed_it_is_now_less_the_margin(self) -> None:
        assert complete_until(NOW, {P0: 5, P1: 3}, {P0: 5, P1: 3}, {P0: at(1)}, None, MARGIN) == NOW - MARGIN

    def test_a_landed_offset_beyond_the_end_is_landed_too(self) -> None:
        """Ends were asked before landed offsets were read."""
        assert complete_until(NOW, {P0: 5}, {P0: 7}, {P0: at(1)}, None, MARGIN) == NOW - MARGIN

    def test_a_lagging_partition_holds_it_just_before_what_it_landed_last(self) -> None:
        assert complete_until(NOW, {P0: 5, P1: 3}, {P0: 5, P1: 2}, {P0: at(30), P1: at(20)}, None, MARGIN) == at(20) - TICK

    def test_of_two_that_lag_the_one_that_is_further_back_holds_it(self) -> None:
        assert complete_until(NOW, {P0: 9, P1: 9}, {P0: 5, P1: 2}, {P0: at(10), P1: at(20)}, None, MARGIN) == at(10) - TICK

    def test_a_lagging_partition_that_landed_nothing_new_holds_it_where_it_is(self) -> None:
        assert complete_until(NOW, {P0: 5, P1: 3}, {P0: 5, P1: 2}, {P0: at(30)}, at(10), MARGIN) == at(10)

    def test_a_lagging_partition_that_never_landed_anything_leaves_nothing_known(self) -> None:
        assert complete_until(NOW, {P0: 5, P1: 3}, {P0: 5}, {P0: at(30)}, None, MARGIN) is None

    def test_an_idle_partition_holds_nothing(self) -> None:
        """It lags behind nothing, so that its last record is old does not matter."""
        assert complete_until(NOW, {P0: 5, P1: 3}, {P0: 5, P1: 3}, {P0: at(30)}, at(10), MARGIN) == NOW - MARGIN

    def test_without_any_record_it_moves_with_the_clock(self) -> None:
        assert complete_until(NOW, {}, {}, {}, None, MARGIN) == NOW - MARGIN

    def test_of_a_topic_that_was_made_anew_only_the_new_one_is_waited_for(self) -> None:
        assert complete_until(NOW, {NEW: 2}, {P0: 5, NEW: 2}, {P0: at(1)}, None, MARGIN) == NOW - MARGIN
        assert complete_until(NOW, {NEW: 2}, {P0: 5}, {P0: at(30)}, at(10), MARGIN) == at(10)

    def test_it_never_goes_back(self) -> None:
        assert complete_until(NOW, {P0: 5}, {P0: 4}, {P0: at(3)}, at(10), MARGIN) == at(10)
        assert complete_until(at(0), {}, {}, {}, at(10), MARGIN) == at(10)


def rows_at(partition: int, secs: Sequence[float], start: int = 0, topic_id: str = "topic") -> list[Row]:
    return [
        update(f"e{partition}-{start + number}", _topic_id=topic_id, _partition=partition, _offset=start + number, _appended_at=at(each))
        for number, each in enumerate(secs)
    ]


def read(
    lander: EndpointLander, covered: Mapping[Position, int] | None = None, as_of: datetime | None = None, rows_max: int = 100_000
) -> list[Batch]:
    return list(read_new_updates(lander.table, covered or {}, as_of, lander.ask, NOW.timestamp, MARGIN, rows_max))


def places(batch: Batch) -> set[tuple[str, int, int]]:
    rows = batch.rows.select(["_topic_id", "_partition", "_offset"]).to_pylist()
    return {(row["_topic_id"], row["_partition"], row["_offset"]) for row in rows}


@pytest.fixture
def lander(settings: Settings) -> EndpointLander:
    return EndpointLander(settings)


def test_only_what_is_beyond_the_covered_offsets_is_read(lander: EndpointLander) -> None:
    lander.land([*rows_at(0, [1, 2, 3]), *rows_at(1, [1.5, 2.5])])
    (batch,) = read(lander, {P0: 2})
    assert places(batch) == {("topic", 0, 2), ("topic", 1, 0), ("topic", 1, 1)}
    assert (batch.offsets, batch.until) == ({P0: 3, P1: 2}, NOW - MARGIN)
    assert read_waiting(lander.table, {P0: 2}).row_count == 3
    assert read_waiting(lander.table, {P0: 2}).oldest_at == at(1.5)


def test_when_nothing_is_new_the_batch_is_empty_and_says_until_when(lander: EndpointLander) -> None:
    lander.land(rows_at(0, [1]))
    (batch,) = read(lander, {P0: 1}, at(5))
    assert (batch.rows.num_rows, batch.offsets, batch.until) == (0, {}, NOW - MARGIN)


def test_rows_after_the_last_moment_of_a_lagging_partition_wait(lander: EndpointLander) -> None:
    lander.land([*rows_at(0, [1, 2, 3]), *rows_at(1, [2])])
    lander.append(rows_at(1, [2.5], start=1))
    (batch,) = read(lander)
    assert places(batch) == {("topic", 0, 0)}
    assert batch.until == at(2) - TICK
    # It lands at last: the rest comes, in one batch.
    lander.land(rows_at(1, [2.5], start=1))
    (batch,) = read(lander, batch.offsets, batch.until)
    assert places(batch) == {("topic", 0, 1), ("topic", 0, 2), ("topic", 1, 0), ("topic", 1, 1)}


def test_nothing_is_read_while_a_partition_has_not_landed_at_all(lander: EndpointLander) -> None:
    lander.land(rows_at(0, [1, 2]))
    lander.append(rows_at(1, [0.5]))
    assert read(lander) == []


def test_control_without_asking_kafka_the_late_partition_comes_out_of_order(lander: EndpointLander) -> None:
    lander.land(rows_at(0, [1, 2]))
    lander.append(rows_at(1, [0.5]))
    lander.ends.clear()
    (batch,) = read(lander)
    assert batch.until > at(0.5)
    assert ("topic", 1, 0) not in places(batch)


def test_batches_follow_each_other_in_time_and_hold_each_row_once(lander: EndpointLander) -> None:
    rows = [*rows_at(0, [1, 3, 3, 7, 9]), *rows_at(1, [2, 3, 4, 8]), *rows_at(2, [5, 6, 6, 6])]
    lander.land(rows)
    batches = read(lander, rows_max=3)
    assert len(batches) > 3
    seen = [place for batch in batches for place in places(batch)]
    assert sorted(seen) == sorted((row["_topic_id"], row["_partition"], row["_offset"]) for row in rows)
    for before, after in itertools.pairwise(batches):
        assert before.until < after.until
        assert max(before.rows["_appended_at"].to_pylist()) <= before.until
        assert min(after.rows["_appended_at"].to_pylist(), default=NOW) > before.until


def test_rows_of_one_moment_stay_in_one_batch(lander: EndpointLander) -> None:
    lander.land([*rows_at(0, [1, 2, 2, 2]), *rows_at(1, [2, 2, 3])])
    batches = read(lander, rows_max=2)
    assert {("topic", 0, 1), ("topic", 0, 2), ("topic", 0, 3), ("topic", 1, 0), ("topic", 1, 1)} <= places(batches[0])


@pytest.mark.parametrize("is_guarded", [True, pytest.param(False, id="control")])
def test_where_a_clock_was_set_back_no_row_is_passed_over_and_none_comes_too_early(
    lander: EndpointLander, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    if not is_guarded:
        monkeypatch.setattr(pipeline.endpoints.horizon, "_latest_so_far", lambda times: times)
    # Another broker leads the partition from its third record on, and its clock is behind.
    rows = [*rows_at(0, [3, 9, 4, 4, 4]), *rows_at(1, [5])]
    lander.land(rows)
    lander.append(rows_at(1, [6], start=1))
    (before,) = read(lander)
    assert (max(before.rows["_appended_at"].to_pylist()) <= before.until) == is_guarded
    lander.land(rows_at(1, [6], start=1))
    (after,) = read(lander, before.offsets, before.until)
    assert len(places(before) | places(after)) == before.rows.num_rows + after.rows.num_rows == 7


def test_rows_of_a_topic_that_was_made_anew_come_after_those_of_the_old_one(lander: EndpointLander) -> None:
    lander.land(rows_at(0, [1, 2]))
    lander.ends.clear()
    lander.land(rows_at(0, [3], topic_id="topic-anew"))
    (batch,) = read(lander, {P0: 1})
    assert places(batch) == {("topic", 0, 1), ("topic-anew", 0, 0)}
    assert batch.offsets == {P0: 2, NEW: 1}
    lander.append(rows_at(0, [4], start=1, topic_id="topic-anew"))
    (batch,) = read(lander, batch.offsets, batch.until)
    assert (batch.rows.num_rows, batch.until) == (0, NOW - MARGIN)


def test_a_row_that_lands_after_its_moment_was_merged_is_counted_and_merged_after(lander: EndpointLander) -> None:
    lander.land([*rows_at(0, [1, 5])])
    (before,) = read(lander)
    assert before.late_count == 0
    # Of a broker whose clock is behind by more than the margin: one before that moment, one exactly then, one after.
    as_of = before.until
    secs = (as_of - NOON).total_seconds()
    lander.land(rows_at(1, [secs - 50, secs, secs + 1]))
    (after,) = read_new_updates(lander.table, before.offsets, as_of, lander.ask, lambda: NOW.timestamp() + 10, MARGIN)
    assert places(after) == {("topic", 1, 0), ("topic", 1, 1), ("topic", 1, 2)}
    assert after.late_count == 2


@pytest.mark.parametrize("margin_secs", [1, 60])
def test_the_margin_is_what_an_update_waits_for_those_before_it(lander: EndpointLander, margin_secs: int) -> None:
    lander.land(rows_at(0, [60 - margin_secs, 60 - margin_secs + 0.001]))
    (batch,) = read_new_updates(lander.table, {}, None, lander.ask, NOW.timestamp, timedelta(seconds=margin_secs))
    assert places(batch) == {("topic", 0, 0)}


def test_what_ended_in_dead_letters_is_covered_and_not_read_again(lander: EndpointLander, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []

    def read_counted(*given: Any) -> Any:
        reads.append(given)
        return read_tables(*given)

    monkeypatch.setattr(pipeline.endpoints.horizon, "read_tables", read_counted)
    rows = [*rows_at(0, [1, 2]), *rows_at(1, [1, 59])]
    lander.land(rows)
    # Landed up to 9 and 7 with no more rows; the last row of partition 1 is too young to be merged.
    lander.table.refresh()
    lander.table.commit(
        lander.table.upload(as_updates(rows_at(2, [3]))), {P0.app_id("endpoint_updates"): 9, P1.app_id("endpoint_updates"): 7}
    )
    (batch,) = read(lander)
    assert batch.offsets == {P0: 9, P1: 1}
    young = len(reads)
    (batch,) = read_new_updates(lander.table, {P0: 9, P1: 1}, batch.until, lander.ask, lambda: NOW.timestamp() + 10, MARGIN)
    assert batch.offsets == {P1: 7}
    assert len(reads) > young
    reads.clear()
    (batch,) = read(lander, {P0: 9, P1: 7}, batch.until)
    assert (batch.offsets, reads) == ({}, [])


def test_a_table_that_is_not_there_yet_has_no_rows(settings: Settings) -> None:
    table = LakeTable(build_store(settings), load_table("endpoint_updates"))
    (batch,) = read_new_updates(table, {}, None, dict, NOW.timestamp, MARGIN)
    assert (batch.rows.num_rows, batch.until) == (0, datetime.fromtimestamp(NOW.timestamp(), UTC) - MARGIN)


def test_kafka_says_where_the_partitions_that_hold_records_end_as_often_as_it_is_asked(settings: Settings, topics: list[str]) -> None:
    topic = topic_name(settings, ENDPOINT_UPDATES)
    ends = EndOffsets(settings)
    try:
        assert ends.ask() == {}
        send(settings, [(b"a", b"1"), (b"a", b"2"), (b"a", b"3")], topic=topic)
        ((position, end),) = ends.ask().items()
        assert end == 3
        send(settings, [(b"a", b"4")], topic=topic)
        assert ends.ask() == {position: 4}
        # After a break it opens connections of its own accord.
        ends.close()
        assert ends.ask() == ask_end_offsets(settings) == {position: 4}
    finally:
        ends.close()
