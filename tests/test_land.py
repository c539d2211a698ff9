"""Landing on real Delta tables: what is committed in which order, and what becomes of rivals, crashes and lost replies."""

import copy
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any
from unittest import mock

import botocore.exceptions
import pyarrow as pa
import pytest

from agents.land import Candidate, Gap, Judged, Landing, LostTailError, Position, Range, UnbalancedError
from pipeline.config import Settings
from pipeline.landed import read_landed
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.dead_letters import DeadLetters
from sinks.lake import LakeTable, Upload

TOPIC_ID = "topic-1"
P0, P1 = Position(TOPIC_ID, 0), Position(TOPIC_ID, 1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Worker:
    """One worker's landing, with handles of its own; offsets in `bad` are judged dead, all others good."""

    def __init__(
        self, settings: Settings, bad: Sequence[int] = (), start_offset: Any = "earliest", clock: Callable[[], float] = time.monotonic
    ) -> None:
        store = build_store(settings)
        self.bad = set(bad)
        self.compacted: set[int] = set()
        self.events, self.dead_letters = LakeTable(store, load_table("events")), DeadLetters(store, load_table("dead_letters"))
        for table in (self.events, self.dead_letters):
            table.ensure()
        self.landing = Landing("raw-events", self.events, self.dead_letters, start_offset, upload_secs_max=600, clock=clock)

    def judge(self, ranges: Sequence[Range], held: Mapping[Position, frozenset[int]]) -> Judged:
        good, dead, counts = [], [], Counter[Position]()
        for one in ranges:
            for offset in [offset for offset in range(one.start, one.end) if offset not in self.compacted][: one.record_count]:
                if offset in held[one.position]:
                    counts[one.position] += 1
                elif offset in self.bad:
                    dead.append((one.position, offset))
                else:
                    good.append((one.position, offset))
        return Judged(_rows("events", good), _rows("dead_letters", dead), counts)

    def take_over(self, *positions: Position, earliest: int = 0, latest: int = 1000, partition_count: int = 2) -> dict[int, int]:
        for _ in self.landing.take_over([Candidate(position, earliest, latest, partition_count) for position in positions]):
            pass
        return {position.partition: owned.wanted for position, owned in self.landing.owned.items()}

    def flush(self, *ranges: Range, stop_before: str = "") -> tuple[list[str], list[Range], list[Range]]:
        """Steps taken, ranges landed, ranges fenced; the worker dies before the step `stop_before`."""
        steps: list[str] = []
        landed: list[Range] = []
        fenced: list[Range] = []
        for step in self.landing.flush(ranges, self.judge, fenced, landed):
            steps.append(step)
            if step == stop_before:
                break
        return steps, landed, fenced


def _rows(table: str, places: Sequence[tuple[Position, int]]) -> pa.Table:
    schema = load_table(table).arrow
    rows = []
    for position, offset in places:
        row: dict[str, Any] = {
            "event_id": f"event-{offset}",
            "event_type": "x",
            "event_timestamp": NOON,
            "app_id": "shop",
            "attributes": [],
            "metrics": [],
            "reason": "not_json",
            "error": "garbage",
            "value_bytes": 7,
            "topic": "raw-events",
            "_topic_id": position.topic_id,
            "_partition": position.partition,
            "_offset": offset,
            "_appended_at": NOON,
            "_payload_hash": offset,
            "arrival_date": date(2026, 11, 23),
        }
        rows.append({name: row.get(name) for name in schema.names})
    return pa.Table.from_pylist(rows, schema=schema)


def _offsets(settings: Settings, table: str, partition: int = 0) -> list[int]:
    found = LakeTable(build_store(settings), load_table(table))
    found.refresh()
    rows = found.dataset().to_table(columns=["_partition", "_offset"]).to_pylist()
    return sorted(row["_offset"] for row in rows if row["_partition"] == partition)


def test_dead_letters_are_committed_before_events_and_nothing_is_committed_before_it_is_uploaded(settings: Settings) -> None:
    worker = Worker(settings, bad=[2])
    assert worker.take_over(P0) == {0: 0}
    steps, landed, _ = worker.flush(Range(P0, 0, 5, 5))
    assert steps == [
        "before look",
        "before dead_letters upload",
        "after dead_letters upload",
        "before dead_letters commit",
        "after dead_letters commit",
        "before events upload",
        "after events upload",
        "before events commit",
        "after events commit",
    ]
    assert landed == [Range(P0, 0, 5, 5)]
    assert (_offsets(settings, "events"), _offsets(settings, "dead_letters")) == ([0, 1, 3, 4], [2])


def test_all_partitions_land_in_one_commit(settings: Settings) -> None:
    worker = Worker(settings)
    worker.take_over(P0, P1)
    before = worker.events.version()
    _, landed, _ = worker.flush(Range(P0, 0, 3, 3), Range(P1, 0, 4, 4))
    assert len(landed) == 2
    worker.events.refresh()
    assert worker.events.version() == before + 1


@pytest.mark.parametrize(
    "step",
    [
        "before dead_letters upload",
        "after dead_letters upload",
        "before dead_letters commit",
        "after dead_letters commit",
        "before events upload",
        "after events upload",
        "before events commit",
        "after events commit",
    ],
)
@pytest.mark.parametrize("bad_after_restart", [[2], [], [1, 2, 3]], ids=["same rules", "laxer rules", "stricter rules"])
def test_a_crash_at_any_step_puts_every_record_into_one_table_even_under_other_rules(
    settings: Settings, step: str, bad_after_restart: list[int]
) -> None:
    first = Worker(settings, bad=[2])
    first.take_over(P0)
    first.flush(Range(P0, 0, 5, 5), stop_before=step)
    second = Worker(settings, bad=bad_after_restart)
    start = second.take_over(P0)[0]
    second.flush(Range(P0, start, 8, 8 - start))
    both = _offsets(settings, "events") + _offsets(settings, "dead_letters")
    assert sorted(both) == list(range(8))


def test_a_zombie_is_fenced_in_both_tables_and_lands_nothing(settings: Settings) -> None:
    zombie = Worker(settings, bad=[1])
    zombie.take_over(P0)
    fenced: list[Range] = []
    landed: list[Range] = []
    steps = zombie.landing.flush([Range(P0, 0, 3, 3)], zombie.judge, fenced, landed)
    while next(steps) != "before dead_letters commit":
        pass
    owner = Worker(settings)
    assert owner.take_over(P0) == {0: 0}
    owner.flush(Range(P0, 0, 5, 5))
    list(steps)
    assert ([one.end for one in fenced], landed) == ([3], [])
    assert (_offsets(settings, "events"), _offsets(settings, "dead_letters")) == ([0, 1, 2, 3, 4], [])


@pytest.mark.parametrize("is_token_raised", [True, pytest.param(False, id="control")])
def test_a_zombie_that_wakes_between_its_two_commits_doubles_nothing_even_under_other_rules(
    settings: Settings, is_token_raised: bool
) -> None:
    zombie, owner = Worker(settings, bad=[1]), Worker(settings, bad=[0, 2])
    zombie.take_over(P0)
    landed: list[Range] = []
    steps = zombie.landing.flush([Range(P0, 0, 3, 3)], zombie.judge, [], landed)
    while next(steps) != "before events commit":
        pass
    if is_token_raised:
        owner.take_over(P0)
    else:
        owner.landing.owned = copy.deepcopy(zombie.landing.owned)
        owner.landing.owned[P0].held = None
    owner.flush(Range(P0, 0, 3, 3), stop_before="after dead_letters commit")
    list(steps)
    owner.flush(Range(P0, 0, 3, 3))
    both = sorted(_offsets(settings, "events") + _offsets(settings, "dead_letters"))
    if is_token_raised:
        assert (both, landed) == ([0, 1, 2], [])
    else:
        assert both == [0, 0, 1, 2, 2]


def test_one_partition_is_fenced_and_the_others_land(settings: Settings) -> None:
    first, second = Worker(settings), Worker(settings)
    first.take_over(P0, P1)
    second.take_over(P1)
    _, landed, fenced = first.flush(Range(P0, 0, 3, 3), Range(P1, 0, 4, 4))
    assert ([one.position for one in landed], [one.position for one in fenced]) == ([P0], [P1])
    assert (_offsets(settings, "events", 0), _offsets(settings, "events", 1)) == ([0, 1, 2], [])


class LostReply:
    """Lets a commit through and then fails, as a connection that is cut before the answer does; or fails before it."""

    def __init__(self, table: LakeTable, is_applied: bool) -> None:
        self.table, self.is_applied, self.commit = table, is_applied, table.commit

    def __call__(self, uploads: Sequence[Upload], transactions: Mapping[str, int], note: Any = None) -> None:
        self.table.commit = self.commit  # type: ignore[method-assign]
        if self.is_applied:
            self.commit(uploads, transactions, note)
        raise ConnectionError("the socket was cut")


@pytest.mark.parametrize("is_applied", [True, False], ids=["applied", "not applied"])
@pytest.mark.parametrize("table", ["events", "dead_letters"])
def test_a_commit_of_unknown_outcome_is_settled_by_looking(settings: Settings, table: str, is_applied: bool) -> None:
    worker = Worker(settings, bad=[1])
    worker.take_over(P0)
    broken = getattr(worker, table)
    broken.commit = LostReply(broken, is_applied)
    with pytest.raises(ConnectionError):
        worker.flush(Range(P0, 0, 4, 4))
    _, landed, fenced = worker.flush(Range(P0, 0, 4, 4))
    assert (landed, fenced) == ([Range(P0, 0, 4, 4)], [])
    assert (_offsets(settings, "events"), _offsets(settings, "dead_letters")) == ([0, 2, 3], [1])
    worker.events.refresh()
    assert worker.events.committed(P0.app_id("events", "/records")) == 4
    assert worker.landing.doubts.take() == ({table: 1}, {(table, is_applied): 1})
    # What dead_letters holds is known again, and the next flush does not read it.
    with mock.patch.object(worker.dead_letters, "held_offsets", side_effect=AssertionError("read again")):
        assert worker.flush(Range(P0, 4, 6, 2))[1] == [Range(P0, 4, 6, 2)]


def test_workers_that_start_together_on_an_empty_bucket_all_find_the_tables(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        for name in ("events", "dead_letters", "imports"):
            tables = [LakeTable(build_store(settings), load_table(name)) for _ in range(8)]
            list(pool.map(LakeTable.ensure, tables))
            assert all(table.transactions() == {} for table in tables)


def test_holes_and_records_are_counted_by_the_commits(settings: Settings) -> None:
    worker = Worker(settings)
    worker.take_over(P0)
    worker.flush(Range(P0, 0, 10, 7))
    worker.flush(Range(P0, 10, 12, 0))
    worker.events.refresh()
    (landed,) = read_landed("events", worker.events.transactions())
    assert (landed.first, landed.wanted, landed.records, landed.holes) == (0, 12, 7, 5)


def test_a_dead_letter_whose_record_is_compacted_away_before_its_events_land_is_a_record_and_no_hole(settings: Settings) -> None:
    first, second = Worker(settings, bad=[0]), Worker(settings, bad=[0])
    first.take_over(P0)
    first.flush(Range(P0, 0, 5, 5), stop_before="before events upload")
    second.take_over(P0)
    second.compacted = {0}
    second.flush(Range(P0, 0, 5, 4))
    second.events.refresh()
    (landed,) = read_landed("events", second.events.transactions())
    assert (landed.records, landed.holes) == (5, 0)
    assert (_offsets(settings, "events"), _offsets(settings, "dead_letters")) == ([1, 2, 3, 4], [0])


def test_records_that_kafka_no_longer_has_are_a_named_gap(settings: Settings) -> None:
    worker = Worker(settings)
    worker.take_over(P0)
    worker.flush(Range(P0, 0, 5, 5))
    later = Worker(settings)
    assert later.take_over(P0, earliest=9) == {0: 9}
    assert later.landing.gaps == [Gap(P0, 5, 9)]
    (landed,) = read_landed("events", later.events.transactions())
    assert landed.gaps == (Gap(P0, 5, 9),)


def test_a_log_that_ends_before_the_wanted_offset_stops_the_worker(settings: Settings) -> None:
    worker = Worker(settings)
    worker.take_over(P0)
    worker.flush(Range(P0, 0, 5, 5))
    with pytest.raises(LostTailError, match=r"ends at offset 3, and the lake has landed up to 5.*make a new topic"):
        Worker(settings).take_over(P0, latest=3)


def test_a_new_topic_starts_by_policy_and_an_added_partition_at_its_beginning(settings: Settings) -> None:
    worker = Worker(settings, start_offset="latest")
    assert worker.take_over(P0, latest=70, partition_count=1) == {0: 70}
    assert worker.take_over(P0, P1, latest=90, partition_count=2) == {0: 70, 1: 0}


def test_a_topic_in_the_place_of_another_is_met_once_and_the_old_one_has_ended(settings: Settings) -> None:
    first, second = Worker(settings), Worker(settings)
    first.take_over(P0, P1)
    assert not first.landing.is_topic_replaced
    anew = [Position("topic-2", partition) for partition in range(2)]
    first.take_over(anew[0])
    second.take_over(anew[1])
    assert (first.landing.is_topic_replaced, second.landing.is_topic_replaced) == (True, False)
    found = read_landed("events", second.events.transactions())
    assert [(one.position, one.has_ended) for one in found] == [(P0, True), (P1, True), (anew[0], False), (anew[1], False)]
    assert {one.topic for one in found} == {"raw-events"}


def test_a_topic_that_comes_back_in_the_place_of_its_successor_has_not_ended(settings: Settings) -> None:
    worker, other = Worker(settings), Position("topic-2", 0)
    for position in (P0, other, P0):
        worker.landing.is_topic_replaced = False
        worker.take_over(position)
    assert worker.landing.is_topic_replaced
    found = read_landed("events", worker.events.transactions())
    assert [(one.position, one.has_ended) for one in found] == [(P0, False), (other, True)]


def test_two_workers_that_meet_a_new_topic_together_both_start_by_policy(settings: Settings) -> None:
    first, second = (Worker(settings, start_offset="latest") for _ in range(2))
    assert first.take_over(P0, latest=70) == {0: 70}
    assert second.take_over(P1, latest=80) == {1: 80}


def test_a_step_that_loses_a_record_commits_nothing(settings: Settings) -> None:
    worker = Worker(settings)
    worker.take_over(P0)
    with pytest.raises(UnbalancedError, match=r"6 records were consumed, 5 became events.*-1 records"):
        _flush_losing_one(worker)
    assert _offsets(settings, "events") == []


def _flush_losing_one(worker: Worker) -> None:
    def judge(ranges: Sequence[Range], held: Mapping[Position, frozenset[int]]) -> Judged:
        judged = worker.judge(ranges, held)
        return Judged(judged.events.slice(1), judged.dead, judged.held)

    for _ in worker.landing.flush([Range(P0, 0, 6, 6)], judge, [], []):
        pass


def test_a_file_that_was_uploaded_too_long_ago_is_read_again_and_not_committed(settings: Settings) -> None:
    now = [0.0]
    worker = Worker(settings, clock=lambda: time.monotonic() + now[0])
    worker.take_over(P0)
    landed: list[Range] = []
    steps = worker.landing.flush([Range(P0, 0, 3, 3)], worker.judge, [], landed)
    uploads = 0
    for step in steps:
        uploads += step == "before events upload"
        now[0] = 601.0 if step == "before events commit" and uploads == 1 else 0.0
    assert (uploads, len(landed)) == (2, 1)
    assert _offsets(settings, "events") == [0, 1, 2]


@pytest.mark.parametrize("is_rival", [False, True], ids=["own commit", "a rival's take-over"])
def test_a_look_that_fails_half_way_does_not_let_a_commit_pass_unseen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, is_rival: bool
) -> None:
    worker = Worker(settings)
    worker.take_over(P0)
    first = worker
    if is_rival:
        first = Worker(settings)
        first.take_over(P0)
    first.flush(Range(P0, 0, 3, 3))
    wanted = Range(P0, 0, 3, 3) if is_rival else Range(P0, 3, 6, 3)
    get = worker.events.store.get
    failures = [botocore.exceptions.ReadTimeoutError(endpoint_url="http://127.0.0.1")]

    def failing_get(key: str) -> bytes:
        # The first log file that a look reads: the handle is ahead by then.
        if failures:
            raise failures.pop()
        return get(key)

    monkeypatch.setattr(worker.events.store, "get", failing_get)
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        worker.flush(wanted)
    _, landed, fenced = worker.flush(wanted)
    assert (len(landed), len(fenced)) == ((0, 1) if is_rival else (1, 0))
    assert _offsets(settings, "events") == list(range(3 if is_rival else 6))


def test_a_gap_is_reported_even_when_the_reply_to_its_commit_is_lost(settings: Settings) -> None:
    worker = Worker(settings)
    worker.take_over(P0)
    worker.flush(Range(P0, 0, 5, 5))
    later = Worker(settings)
    later.events.commit = LostReply(later.events, is_applied=True)  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        later.take_over(P0, earliest=9)
    assert later.take_over(P0, earliest=9) == {0: 9}
    assert later.landing.gaps == [Gap(P0, 5, 9)]
