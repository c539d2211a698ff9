"""Of an event that comes again within the window only the first copy lands, exactly at its border, whatever fails in between."""

import dataclasses
import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.dedup.event_keys import hash_events
from agents.dedup.window import KeyWindow, MemoryBudget, fill_window
from agents.deduplicate import Deduplicated, DedupRules, deduplicate_batch
from schemas.records import DEAD, PARSED, RECORDS

SECOND = 1_000_000
WINDOW_SECS = 100
RULES = DedupRules(window_secs=WINDOW_SECS, keeps_bytes=True)


@dataclasses.dataclass(frozen=True)
class Event:
    """A record that is an event; `at` is its append time in seconds."""

    at: float = 0
    event_id: str = "e1"
    endpoint_id: str | None = "phone-1"
    app_id: str = "shop"
    event_type: str = "screen"
    timestamp_ms: int = 1_700_000_000_000
    partition: int = 0
    offset: int = 0

    @property
    def key(self) -> tuple[str, str | None, str, str, int]:
        return (self.app_id, self.endpoint_id, self.event_id, self.event_type, self.timestamp_ms)


def in_order(events: Sequence[Event], first_offset: int = 0) -> list[Event]:
    """The events with offsets as they come, by partition."""
    numbered = [dataclasses.replace(event, offset=first_offset + number) for number, event in enumerate(events)]
    return sorted(numbered, key=lambda event: (event.partition, event.offset))


def tables(events: Sequence[Event]) -> tuple[pa.Table, pa.Table]:
    """(parsed, records) of events in order."""
    columns = {
        "_row": range(len(events)),
        "event_id": [event.event_id for event in events],
        "event_type": [event.event_type for event in events],
        "event_timestamp": [event.timestamp_ms * 1000 for event in events],
        "app_id": [event.app_id for event in events],
        "endpoint_id": [event.endpoint_id for event in events],
        "attributes": [[] for _ in events],
        "metrics": [[] for _ in events],
        "value": [f"value {event.offset}".encode() for event in events],
        "value_bytes": [len(f"value {event.offset}") for event in events],
        "key": [f"key {event.offset}".encode() for event in events],
        "_topic_id": ["topic"] * len(events),
        "_partition": [event.partition for event in events],
        "_offset": [event.offset for event in events],
        "_appended_at": [round(event.at * SECOND) for event in events],
        "_payload_hash": range(len(events)),
    }
    found = [
        pa.table(
            [pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(len(events), field.type) for field in schema],
            schema=schema,
        )
        for schema in (PARSED, RECORDS)
    ]
    return found[0], found[1]


class Stream:
    """Windows of two partitions and a connection; judges batches, and commits what is told."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path, rules: DedupRules = RULES, budget: int = 1 << 30) -> None:
        self.con, self.rules = con, rules
        self._folder, self._budget = folder, budget
        self.windows = self._new_windows()

    def _new_windows(self) -> Mapping[int, KeyWindow]:
        budget = MemoryBudget(self._budget)
        return {partition: KeyWindow(self._folder, budget) for partition in (0, 1)}

    def judge(self, events: Sequence[Event]) -> Deduplicated:
        return deduplicate_batch(self.con, *tables(events), self.windows, self.rules)

    def commit(self, found: Deduplicated) -> None:
        for partition, keys in found.keys.items():
            self.windows[partition].add(keys)
            self.windows[partition].expire(self.rules.window_secs)

    def take(self, *events: Event, first_offset: int = 0) -> list[int]:
        """Judge and commit a batch: the offsets that landed."""
        found = self.judge(in_order(events, first_offset))
        self.commit(found)
        return offsets(found.first)

    def restart(self, landed: Sequence[Event]) -> None:
        """A worker that knows nothing but the lake."""
        self.windows = self._new_windows()
        for partition, window in self.windows.items():
            fill_window(self.con, window, [tables([event for event in landed if event.partition == partition])[0]])


def offsets(table: pa.Table) -> list[int]:
    found: list[int] = table.column("_offset").to_pylist()
    return found


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        yield found


@pytest.fixture
def stream(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Stream:
    return Stream(con, tmp_path)


def test_first_copy_of_a_batch_lands_and_the_others_do_not(stream: Stream) -> None:
    assert stream.take(Event(), Event(event_id="e2"), Event(), Event(event_id="e2"), Event()) == [0, 1]


def test_copy_of_what_landed_before_does_not_land(stream: Stream) -> None:
    assert stream.take(Event(), Event(event_id="e2")) == [0, 1]
    assert stream.take(Event(event_id="e3"), Event(event_id="e2"), first_offset=2) == [2]


@pytest.mark.parametrize(
    "other",
    [
        Event(event_id="e2"),
        Event(endpoint_id="phone-2"),
        Event(endpoint_id="Phone-1"),
        Event(endpoint_id=None),
        Event(endpoint_id=""),
        Event(app_id="shop-2"),
        Event(event_type="purchase"),
        Event(timestamp_ms=1_700_000_000_001),
    ],
)
def test_event_that_differs_in_one_of_the_five_is_another_event(stream: Stream, other: Event) -> None:
    assert stream.take(Event(), other) == [0, 1]
    assert stream.take(other, Event(), first_offset=2) == []


def test_missing_endpoint_differs_from_an_empty_one(stream: Stream) -> None:
    assert stream.take(Event(endpoint_id=None), Event(endpoint_id=""), Event(endpoint_id=None)) == [0, 1]


def test_text_that_moves_from_one_field_to_the_next_is_another_event(stream: Stream) -> None:
    spellings = [("a", "b", "c"), ("ab", "", "c"), ("a", "", "bc"), ("", "ab", "c"), ("a", "bc", ""), ("1:1:a", "b", "c")]
    events = [Event(app_id=app, endpoint_id=endpoint, event_id=event_id) for app, endpoint, event_id in spellings]
    assert stream.take(*events) == list(range(len(spellings)))


def test_copies_in_two_partitions_both_land(stream: Stream) -> None:
    assert stream.take(Event(), Event(partition=1)) == [0, 1]
    assert stream.take(Event(partition=1), first_offset=2) == []


@pytest.mark.parametrize(("later_secs", "lands"), [(WINDOW_SECS - 0.001, False), (WINDOW_SECS, False), (WINDOW_SECS + 0.001, True)])
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_resend_lands_only_beyond_the_window(stream: Stream, later_secs: float, lands: bool, is_one_batch: bool) -> None:
    """Within the window, and exactly at its end, it is a duplicate."""
    first, again = Event(at=7), Event(at=7 + later_secs)
    landed = stream.take(first, again) if is_one_batch else stream.take(first) + stream.take(again, first_offset=1)
    assert landed == ([0, 1] if lands else [0])


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_resend_beyond_the_window_is_the_new_first_copy_and_a_duplicate_is_not(stream: Stream, is_one_batch: bool) -> None:
    events = [Event(at=0), Event(at=90), Event(at=101), Event(at=110), Event(at=201), Event(at=202)]
    if is_one_batch:
        assert stream.take(*events) == [0, 2, 5]
    else:
        assert [stream.take(event, first_offset=number) for number, event in enumerate(events)] == [[0], [], [2], [], [], [5]]


def test_batch_longer_than_the_window_goes_on_from_what_landed_before(stream: Stream) -> None:
    assert stream.take(Event(at=0)) == [0]
    assert stream.take(Event(at=90), Event(at=101), Event(at=202), Event(at=203), Event(at=304), first_offset=1) == [2, 3, 5]


def test_window_filled_with_keys_of_a_partition_days_ahead_forgets_nothing(stream: Stream) -> None:
    """After partitions were added, the lake's rows come from partitions that lag differently."""
    stream.restart([Event(at=10), Event(at=500, event_id="e2")])
    assert stream.take(Event(at=60, event_id="e3"), Event(at=70)) == [0]
    assert stream.take(Event(at=110), Event(at=111), first_offset=2) == [3]


def test_batch_is_judged_the_same_until_it_is_committed(stream: Stream) -> None:
    batch = in_order([Event(), Event(event_id="e2"), Event()])
    first, again = stream.judge(batch), stream.judge(batch)
    assert first.first.equals(again.first)
    assert first.dead.equals(again.dead)
    stream.commit(again)
    assert offsets(stream.judge(batch).first) == []


def test_clock_that_goes_back_gives_one_verdict_however_the_records_are_batched(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Append times of a foreign topic: what is remembered reaches back from the latest time, what lies behind lands unremembered."""
    events = in_order(
        [
            Event(at=1000),
            Event(event_id="e2", at=899),
            Event(event_id="e2", at=899),
            Event(at=950),
            Event(event_id="e3", at=900),
            Event(event_id="e3", at=910),
        ]
    )
    expected = [0, 1, 2, 4]
    for size in (1, 2, 3, 6):
        stream = Stream(con, tmp_path)
        landed = []
        for start in range(0, 6, size):
            found = stream.judge(events[start : start + size])
            stream.commit(found)
            landed += offsets(found.first)
        assert landed == expected, size


def test_reused_id_with_other_content_lands_and_is_counted(stream: Stream) -> None:
    def reused(*events: Event) -> int:
        found = stream.judge(in_order(events))
        assert found.dead.num_rows == 0
        stream.commit(found)
        return found.reused_count

    assert reused(Event(), Event(event_id="e2")) == 0
    assert reused(Event(timestamp_ms=1), Event(timestamp_ms=2, endpoint_id="phone-2")) == 1
    assert reused(Event(timestamp_ms=3), Event(timestamp_ms=4), Event(event_type="purchase")) == 3
    assert reused(Event(event_id="e9"), Event(event_id="e9", timestamp_ms=1), Event(event_id="e9", timestamp_ms=2)) == 2


def test_duplicates_are_not_counted_as_reused(stream: Stream) -> None:
    assert stream.judge(in_order([Event(), Event(), Event()])).reused_count == 0
    stream.take(Event())
    assert stream.judge(in_order([Event(), Event()])).reused_count == 0


def test_duplicate_becomes_a_dead_letter_that_says_of_what(stream: Stream) -> None:
    stream.take(Event(at=1.5))
    again = [Event(at=3), Event(event_id="e2", at=4, partition=1), Event(event_id="e2", at=5, partition=1)]
    found = stream.judge(in_order(again, first_offset=10))
    same = "the same app_id, endpoint_id, event_id, event_type and event_timestamp as "
    rows = found.dead.to_pylist()
    assert found.dead.schema == DEAD
    assert [row["error"] for row in rows] == [
        same + "the event that landed, appended at 1970-01-01T00:00:01.500Z",
        same + "offset 11 of this partition, appended at 1970-01-01T00:00:04.000Z",
    ]
    assert [row["reason"] for row in rows] == ["duplicate", "duplicate"]
    assert [(row["_offset"], row["value"], row["value_bytes"], row["key"]) for row in rows] == [
        (10, b"value 10", 8, b"key 10"),
        (12, b"value 12", 8, b"key 12"),
    ]
    assert [row["event_id"] for row in rows] == ["e1", "e2"]


def test_duplicate_keeps_no_bytes_when_told_so(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    stream = Stream(con, tmp_path, DedupRules(WINDOW_SECS, keeps_bytes=False))
    found = stream.judge(in_order([Event(), Event()])).dead.to_pylist()
    assert [(row["value"], row["value_bytes"], row["key"]) for row in found] == [(None, 7, b"key 1")]


def test_offsets_and_clock_cover_records_that_are_no_events(stream: Stream) -> None:
    """The last record of the batch, and all of partition 1, were dead letters already."""
    events = in_order([Event(at=1), Event(at=2, event_id="e2"), Event(at=9, event_id="e3"), Event(at=4, partition=1)])
    parsed, records = tables(events)
    found = deduplicate_batch(stream.con, parsed.slice(0, 2), records, stream.windows, RULES)
    assert {partition: (len(keys.ids), keys.offset_next, keys.latest_at) for partition, keys in found.keys.items()} == {
        0: (2, 3, 9 * SECOND),
        1: (0, 4, 4 * SECOND),
    }


def test_empty_batch_gives_empty_tables(stream: Stream) -> None:
    found = stream.judge([])
    assert (found.first.num_rows, found.dead.num_rows, dict(found.keys), found.reused_count) == (0, 0, {}, 0)


def test_keys_are_what_their_definition_says_in_plain_python(stream: Stream) -> None:
    """A window may be rebuilt by another process, or another version of a library: the same event gives the same numbers."""
    events = [Event(), Event(endpoint_id=None, event_id="é", event_type="purchase")]
    keys = hash_events(stream.con, tables(events)[0])
    texts = ["4:7:shopphone-1e1", "4:-1:shopé"]
    for row, (event, text) in enumerate(zip(events, texts, strict=True)):
        low, high = struct.unpack("<QQ", hashlib.md5(text.encode(), usedforsecurity=False).digest())
        assert int(keys.ids[row]) == low
        assert int(keys.rests[row]) == mixed(mixed(high + xxhash.xxh3_64_intdigest(event.event_type.encode())) ^ event.timestamp_ms * 1000)


def mixed(number: int) -> int:
    """splitmix64's finalizer."""
    number &= (1 << 64) - 1
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % (1 << 64)
    number = (number ^ number >> 27) * 0x94D049BB133111EB % (1 << 64)
    return number ^ number >> 31


def test_connection_that_may_reorder_rows_is_refused() -> None:
    with (
        duckdb.connect(config={"preserve_insertion_order": "false"}) as con,
        pytest.raises(AssertionError, match="preserve_insertion_order"),
    ):
        hash_events(con, tables([Event()])[0])


def resent_batches(seed: int) -> list[list[Event]]:
    """Forty batches of 500 events, a twentieth of the batches sent again later, whole."""
    rng = np.random.default_rng(seed)
    batches = [
        [Event(event_id=f"{number}-{row}", endpoint_id=f"phone-{row % 37}", partition=row % 2) for row in range(500)]
        for number in range(40)
    ]
    for number in rng.choice(40, 2, replace=False).tolist():
        batches.insert(int(rng.integers(number + 1, len(batches) + 1)), batches[number])
    return batches


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_batches_sent_again_land_once(stream: Stream, seed: int) -> None:
    batches = resent_batches(seed)
    landed = [stream.take(*batch, first_offset=number * 500) for number, batch in enumerate(batches)]
    assert (sum(map(len, landed)), sum(map(len, batches))) == (20_000, 21_000)


def test_batches_sent_again_land_twice_without_the_window(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """The control: with a window of no length the same stream lands with its copies."""
    stream = Stream(con, tmp_path, DedupRules(0, keeps_bytes=True))
    batches = [[dataclasses.replace(event, at=number) for event in batch] for number, batch in enumerate(resent_batches(1))]
    assert sum(len(stream.take(*batch, first_offset=number * 500)) for number, batch in enumerate(batches)) == 21_000


class Model:
    """What deduplicate promises, row by row, with dictionaries that forget nothing."""

    def __init__(self) -> None:
        self.landed: list[Event] = []
        self.clock: dict[int, float] = defaultdict(lambda: -1e9)
        self.copies: dict[tuple[object, ...], float] = {}
        self.reused_count = 0

    def take(self, events: Sequence[Event], window_secs: float) -> list[int]:
        found = []
        for event in events:
            key = (event.partition, *event.key)
            self.clock[event.partition] = max(self.clock[event.partition], event.at)
            if key in self.copies and self.clock[event.partition] - self.copies[key] <= window_secs:
                continue
            self.reused_count += any(other[:4] == key[:4] and other != key for other in self.copies)
            self.copies[key] = max(self.copies.get(key, -1e9), event.at)
            self.landed.append(event)
            found.append(event.offset)
        return found


events = st.builds(
    Event,
    at=st.integers(0, 12),
    event_id=st.sampled_from(["e1", "e2"]),
    endpoint_id=st.sampled_from([None, "p1"]),
    timestamp_ms=st.integers(0, 1),
    partition=st.integers(0, 1),
)
batches = st.tuples(st.lists(events, max_size=25), st.sampled_from(["commit", "crash before the commit", "crash after the commit"]))


@settings(max_examples=80, deadline=None)
@given(st.lists(batches, max_size=25), st.sampled_from([0, 3, 20, 1e6]), st.sampled_from([0, 1 << 30]), st.booleans())
def test_any_stream_is_judged_as_by_a_dictionary(
    con: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[list[Event], str]],
    window_secs: float,
    budget: int,
    goes_back: bool,
) -> None:
    """Batches of any kind, workers that die before or after the commit and rebuild from the lake, windows on disk or in memory.

    Append times rise from batch to batch as brokers stamp them, or go back as producers may: then without deaths, as the lake
    does not tell the latest time of what did not land.
    """
    stream, model = Stream(con, tmp_path_factory.getbasetemp() / "stream", DedupRules(window_secs, True), budget), Model()
    offset, now = 0, 0.0
    reused_count = 0
    for chosen, fate in steps:
        timed = (
            chosen if goes_back else [dataclasses.replace(event, at=now + event.at) for event in sorted(chosen, key=lambda event: event.at)]
        )
        batch = in_order(timed, offset)
        offset, now = offset + len(batch), max([now, *(event.at for event in batch)])
        found = stream.judge(batch)
        if fate == "crash before the commit" and not goes_back:
            stream.restart(model.landed)
            assert offsets(stream.judge(batch).first) == offsets(found.first)
            found = stream.judge(batch)
        reused_count += found.reused_count
        expected = model.take(batch, window_secs)
        assert offsets(found.first) == expected
        assert sorted(expected + offsets(found.dead)) == sorted(event.offset for event in batch)
        stream.commit(found)
        if fate == "crash after the commit" and not goes_back:
            stream.restart(model.landed)
    assert reused_count == model.reused_count if window_secs == 1e6 else reused_count <= model.reused_count
