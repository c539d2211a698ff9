"""A preload's events are those of the simulator: the first round byte for byte, each later one with ids and times of its own."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from pipeline.config import Settings
from pipeline.producer import Producer, record_key
from pipeline.simulate import preload
from pipeline.simulate.plan import Plan
from pipeline.simulate.preload import WEEK, make_events, preload_topic
from pipeline.stores import confluent_options
from schemas.errors import UsageError
from tests.conftest import RunHeadwater
from tests.simulated import START, messages_of
from tests.test_simulate import fits_schema, parse_exactly
from tests.test_simulate_write import Clock

CLEAN = Plan(users=1500, days=9, start=START, seed=5, dirty=0.0)
POOL, ROUNDS = 2_000, 4
Record = tuple[bytes, bytes]


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[list[Record]]:
    """Four rounds over a small pool, the last cut short."""
    monkeypatch.setattr(preload, "POOL_MESSAGES", POOL)
    monkeypatch.setattr(preload, "BLOCK_MESSAGES", 300)
    made = list(itertools.chain.from_iterable(make_events(CLEAN, ROUNDS * POOL - 7)))
    assert len(made) == ROUNDS * POOL - 7
    return [made[start : start + POOL] for start in range(0, len(made), POOL)]


def shape(value: Any) -> Any:
    """Names and types of a document, at every depth."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else type(value).__name__


def test_first_round_is_what_the_plan_sends_when_nothing_goes_wrong(rounds: list[list[Record]]) -> None:
    assert rounds[0] == [(message.key, message.value) for message in messages_of(CLEAN)[:POOL]]


def test_dirt_of_the_plan_is_left_out(rounds: list[list[Record]]) -> None:
    dirty = Plan(users=1500, days=9, start=START, seed=5, dirty=0.3)
    assert next(make_events(dirty, POOL)) == rounds[0][:300]


def test_every_event_id_of_all_rounds_is_distinct_and_a_uuid(rounds: list[list[Record]]) -> None:
    ids = [json.loads(value)["event_id"] for _, value in itertools.chain.from_iterable(rounds)]
    assert len(set(ids)) == len(ids)
    assert all(len(event_id) == 36 and event_id[14] == "4" and event_id[19] == "a" for event_id in ids)


def test_later_rounds_have_the_same_keys_columns_and_sizes(rounds: list[list[Record]]) -> None:
    seen: Counter[str] = Counter()
    for number, later in enumerate(rounds[1:], 1):
        for (key, value), (first_key, first_value) in zip(later, rounds[0], strict=number < ROUNDS - 1):
            record, first = parse_exactly(value), parse_exactly(first_value)
            assert key == first_key == record_key(record["application"]["app_id"], record["client"]["client_id"], "")
            assert len(value) == len(first_value)
            assert shape(record) == shape(first)
            assert json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() == value
            seen[record["event_type"]] += 1
            # As of the simulator's own: checking against the schema takes half a millisecond.
            assert seen[record["event_type"]] > 100 or fits_schema(record)
    assert len(seen) > 20


def test_times_of_a_round_lie_whole_weeks_before_those_of_the_first(rounds: list[list[Record]]) -> None:
    names = ("event_timestamp", "arrival_timestamp")
    for number, later in enumerate(rounds):
        for (_, value), (_, first_value) in zip(later, rounds[0], strict=False):
            record, first = json.loads(value), json.loads(first_value)
            assert [first[name] - record[name] for name in names] == [number * WEEK] * 2
            assert {record["session"].get(name, 0) - first["session"].get(name, 0) for name in ("start_timestamp", "stop_timestamp")} <= {
                0,
                -number * WEEK,
            }
            assert record["headwater"].get("received_at", record["arrival_timestamp"]) == record["arrival_timestamp"]


def test_session_id_says_when_the_session_started_in_every_round(rounds: list[list[Record]]) -> None:
    seen = set()
    for _, value in itertools.chain.from_iterable(rounds):
        record = json.loads(value)
        session = record["session"]
        if session:
            began = datetime.fromtimestamp(session["start_timestamp"] // 1000, UTC).strftime("%Y%m%d-%H%M%S")
            expected = f"{record['client']['client_id'][:8]}-{began}{session['start_timestamp'] % 1000:03d}"
            assert session["session_id"] == expected
            seen.add(expected)
    assert len(seen) > 100


def test_records_of_one_mail_share_its_id_within_a_round_and_no_round_has_that_of_another(rounds: list[list[Record]]) -> None:
    mails_of_round = []
    for made in rounds:
        mails: defaultdict[str, set[str]] = defaultdict(set)
        for _, value in made:
            record = json.loads(value)
            if "facets" in record:
                mails[record["facets"]["email_channel"]["mail_event"]["mail"]["message_id"]].add(record["event_type"])
        mails_of_round.append(mails)
    first = mails_of_round[0]
    assert any({"_email.send", "_email.delivered"} <= types for types in first.values())
    for later in mails_of_round[1:-1]:
        assert Counter(map(frozenset, later.values())) == Counter(map(frozenset, first.values()))
        assert not set(later) & set(first)


def test_a_preload_is_spread_as_the_shop_is() -> None:
    records = list(itertools.chain.from_iterable(make_events(Plan(users=5000, days=9, start=START, seed=5), 20_000)))
    documents = [json.loads(value) for _, value in records]
    assert len({document["event_type"] for document in documents}) > 30
    assert len({document["client"]["client_id"] for document in documents}) > 1500
    assert len({document["headwater"].get("user_agent") for document in documents}) > 30
    assert 650 < sum(len(value) for _, value in records) / len(records) < 950


def test_the_same_plan_gives_the_same_bytes(rounds: list[list[Record]]) -> None:
    assert list(itertools.chain.from_iterable(make_events(CLEAN, ROUNDS * POOL - 7))) == list(itertools.chain.from_iterable(rounds))
    other = Plan(users=1500, days=9, start=START, seed=6, dirty=0.0)
    assert next(make_events(other, POOL)) != rounds[0][:300]


def test_more_events_than_there_are_weeks_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "POOL_MESSAGES", 100)
    with pytest.raises(UsageError, match=r"Option '--preload' is 1000000; expected at most \d+ of this shop"):
        next(make_events(CLEAN, 1_000_000))


def test_a_shop_of_one_repeats_its_few_messages() -> None:
    records = list(itertools.chain.from_iterable(make_events(Plan(users=1, days=1, start=START, seed=12), 200)))
    assert len({json.loads(value)["event_id"] for _, value in records}) == 200


def test_rate_spreads_a_preload_over_the_time_that_it_takes_once_the_pool_is_made(
    settings: Settings, topics: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, make = Clock(), preload.make_events

    def make_slowly(plan: Plan, count: int) -> Iterator[list[Record]]:
        clock.time += 60
        yield from make(plan, count)

    monkeypatch.setattr(preload, "make_events", make_slowly)
    producer = Producer(settings, topics[0])
    *_, last = preload_topic(CLEAN, producer, 1000, clock.pace(rate=200))
    producer.flush()
    assert (last.sent, producer.acknowledged) == (1000, 1000)
    assert last.secs == pytest.approx(5, abs=0.2)


def test_command_fills_the_topic_each_event_in_the_partition_of_its_key(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater
) -> None:
    done = run_headwater("simulate", "--preload", "6000", "--users", "200", "--days", "3", "--start", "2026-10-01", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["sent"], report["acknowledged"], report["to"]) == (6000, 6000, topics[0])
    consumer = confluent_kafka.Consumer(confluent_options(settings) | {"group.id": "reader"})
    consumer.assign([confluent_kafka.TopicPartition(topics[0], number, 0) for number in range(settings.topic_partitions)])
    records: list[Any] = []
    while len(records) < 6000 and (some := consumer.consume(6000, 10)):
        records += some
    consumer.close()
    assert len({json.loads(record.value())["event_id"] for record in records}) == 6000
    assert {record.partition() for record in records} == set(range(settings.topic_partitions))
    assert all(record.partition() == confluent_kafka.murmur2(record.key(), settings.topic_partitions) for record in records)


@pytest.mark.parametrize(
    "others", [("--live", "--rate", "10"), ("--to", "a.ndjson"), ("--ledger", "truth.json")], ids=["live", "file", "ledger"]
)
def test_what_a_preload_cannot_do_is_refused(run_headwater: RunHeadwater, tmp_path: Path, others: tuple[str, ...]) -> None:
    done = run_headwater("simulate", "--preload", "10", *others)
    assert done.returncode == 2
    assert f"Option '--preload' is given with '{others[0]}'" in done.stderr.replace("\n", " ")
    assert not Path(others[-1]).exists()
