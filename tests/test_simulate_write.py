"""Sending: files and Kafka hold every message in its order, at the pace asked for, and a run that is interrupted ends cleanly."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import confluent_kafka
import pyarrow as pa
import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from pipeline.config import Settings, load_settings
from pipeline.producer import Producer
from pipeline.simulate.encoding import ENCODINGS, build_encode
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.plan import Plan
from pipeline.simulate.write import COMPRESSIONS, FileTarget, KafkaTarget, Pace, run_simulation
from pipeline.stack.programs import environment
from pipeline.stores import confluent_options, kafka_python_options
from schemas.errors import UnavailableError, UsageError
from tests.conftest import RunHeadwater, free_port_offset
from tests.simulated import START, messages_of
from tests.validate_inputs import event

PLAN = Plan(users=150, days=2, start=START, seed=11, dirty=0.1)
LINES = [message.value for message in messages_of(PLAN) if message.value]


class Clock:
    """Time that passes only by waiting; ends the run after so many waits."""

    def __init__(self, waits_max: int = 1 << 30) -> None:
        self.time = 1_790_000_000.0
        self.waits_left = waits_max

    def now(self) -> float:
        return self.time

    def wait(self, secs: float) -> bool:
        self.time += secs
        self.waits_left -= 1
        return self.waits_left < 0

    def pace(self, rate: float = 0, duration: float = 0) -> Pace:
        return Pace(rate, duration, self.now, self.wait)


@pytest.mark.parametrize("name", ["a.ndjson", "a.jsonl", "a.json", "a.ndjson.gz", "a.ndjson.zst"])
def test_file_holds_every_message_on_a_line_and_is_the_same_each_time(tmp_path: Path, name: str) -> None:
    contents = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        target = FileTarget(tmp_path / folder / name)
        *_, last = run_simulation(PLAN, target, Clock().pace())
        target.close()
        contents.append((tmp_path / folder / name).read_bytes())
        assert last.sent == target.acknowledged == len(LINES)
        assert last.share == 1
    assert contents[0] == contents[1]
    with pa.input_stream(pa.py_buffer(contents[0]), compression=COMPRESSIONS.get(Path(name).suffix)) as stream:
        assert stream.read().split(b"\n")[:-1] == LINES


def test_ledger_leaves_out_the_empty_messages_that_a_file_cannot_hold(tmp_path: Path) -> None:
    ledger = Ledger(PLAN)
    target = FileTarget(tmp_path / "a.ndjson")
    list(run_simulation(PLAN, target, Clock().pace(), ledger))
    target.close()
    assert any(not message.value for message in messages_of(PLAN))
    assert ledger.report()["sent"] == len(LINES)
    assert "empty" not in ledger.report()["dead_letters"]


@pytest.mark.parametrize("name", ["a.csv", "a", "a.gz", "kafka.txt", "a.ndjson.bz2"])
def test_file_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"Option '--to' is '.*'; expected kafka, or a file that ends in"):
        FileTarget(tmp_path / name)


@pytest.mark.parametrize("name", ["missing/a.ndjson", "missing/a.ndjson.gz"])
def test_file_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"File '.*missing/a.* cannot be written"):
        FileTarget(tmp_path / name)


def test_rate_spreads_the_days_over_the_time_that_they_take(tmp_path: Path) -> None:
    with closing(FileTarget(tmp_path / "a.ndjson")) as target:
        *_, last = run_simulation(PLAN, target, Clock().pace(rate=100))
    assert last.secs == pytest.approx(len(messages_of(PLAN)) / 100, abs=0.1)


def test_run_ends_after_the_duration(tmp_path: Path) -> None:
    with closing(FileTarget(tmp_path / "a.ndjson")) as target:
        *_, last = run_simulation(PLAN, target, Clock().pace(rate=100, duration=2))
    assert 195 <= last.sent <= 205
    assert last.share == pytest.approx(1, abs=0.05)


def test_run_ends_when_waiting_says_so_and_the_ledger_counts_what_was_sent(tmp_path: Path) -> None:
    ledger = Ledger(PLAN)
    target = FileTarget(tmp_path / "a.ndjson")
    *_, last = run_simulation(PLAN, target, Clock(waits_max=7).pace(rate=100), ledger)
    target.close()
    assert ledger.report()["sent"] == last.sent == len((tmp_path / "a.ndjson").read_bytes().splitlines()) > 0


def test_live_run_keeps_to_the_clock(tmp_path: Path) -> None:
    clock = Clock()
    target = FileTarget(tmp_path / "a.ndjson")
    for progress in run_simulation(Plan(users=5000, is_live=True, dirty=0.0), target, clock.pace(rate=200, duration=20)):
        assert progress.share is not None
    target.close()
    arrivals = [json.loads(line)["arrival_timestamp"] / 1000 for line in (tmp_path / "a.ndjson").read_bytes().splitlines()]
    assert all(clock.time - 21 <= arrival <= clock.time for arrival in arrivals)
    assert len(arrivals) == pytest.approx(200 * 20, rel=0.25)


def test_kafka_has_every_message_under_its_key_in_the_order_of_its_endpoint(settings: Settings, topics: list[str]) -> None:
    topic = topics[0]
    target = KafkaTarget(settings, topic)
    *_, last = run_simulation(PLAN, target, Clock().pace())
    target.close()
    assert last.sent == target.acknowledged == len(messages_of(PLAN))
    assert read_topic(settings, topic, last.sent) == expected_by_key()


def expected_by_key() -> dict[bytes, list[bytes]]:
    expected: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for message in messages_of(PLAN):
        expected[message.key].append(message.value)
    return dict(expected)


def read_topic(settings: Settings, topic: str, count: int) -> dict[bytes, list[bytes]]:
    found: defaultdict[bytes, list[bytes]] = defaultdict(list)
    consumer = confluent_kafka.Consumer(confluent_options(settings) | {"group.id": "reader"})
    consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in range(settings.topic_partitions)])
    deadline = time.monotonic() + 60
    left = count
    while left and time.monotonic() < deadline:
        for record in consumer.consume(1000, 0.5):
            found[record.key() or b""].append(record.value() or b"")
            left -= 1
    consumer.close()
    return dict(found)


def test_large_records_among_many_keep_their_place(settings: Settings, topics: list[str]) -> None:
    records = [(b"shop/a", (b"%06d" % number) + b"x" * (200_000 if number % 100 == 7 else 10)) for number in range(3000)]
    producer = Producer(settings, topics[0])
    producer.send_many(records)
    producer.flush()
    assert (producer.sent, producer.acknowledged) == (3000, 3000)
    assert read_topic(settings, topics[0], 3000) == {b"shop/a": [value for _, value in records]}


@pytest.mark.parametrize("by", ["the broker", "the client"])
def test_a_record_that_is_refused_is_an_error_and_not_counted(settings: Settings, topics: list[str], by: str) -> None:
    topic = topics[0]
    options: dict[str, Any] = {"message.max.bytes": 2000} if by == "the client" else {}
    if by == "the broker":
        topic = f"{settings.topic_prefix}small"
        admin = KafkaAdminClient(**kafka_python_options(settings))
        admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "2000"})])
        admin.close()
    producer = Producer(settings, topic, **options)
    producer.send_many([(b"k", b"fine")] * 10)
    producer.flush()
    # Random bytes stay as large when packed.
    refused = os.urandom(4_100_000)
    with pytest.raises(UnavailableError, match=f"refused a record of topic '{topic}': .*; 10 of 1. are acknowledged"):
        producer.send_many([(b"k", refused)])


def test_producer_that_wants_each_acknowledgement_gets_it(settings: Settings, topics: list[str]) -> None:
    found: list[tuple[object, int, int]] = []
    producer = Producer(settings, topics[0], lambda tag, partition, offset: found.append((tag, partition, offset)))
    for number in range(50):
        producer.send(b"k", b"v", tag=number)
    producer.flush()
    assert [tag for tag, _, _ in found] == list(range(50))
    assert producer.acknowledged == 50


def test_kafka_that_is_away_is_named_with_the_way_out() -> None:
    settings = load_settings(port_offset=free_port_offset())
    with pytest.raises(UnavailableError, match=rf"Kafka at '{settings.kafka_servers}' .*does not answer .*headwater up"):
        KafkaTarget(settings, "raw-events")


def test_topic_that_is_not_there_is_not_made_in_passing(settings: Settings) -> None:
    for _ in range(2):
        with pytest.raises(UnavailableError, match="has no topic 'nowhere'"):
            KafkaTarget(settings, "nowhere")


def test_command_prints_what_was_sent_and_writes_the_ledger(run_headwater: RunHeadwater, topics: list[str], tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    done = run_headwater(
        "simulate", "--users", "100", "--days", "2", "--start", "2026-10-01", "--seed", "3", "--ledger", str(path), "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["to"] == topics[0]
    assert report["sent"] == report["acknowledged"] == json.loads(path.read_text())["sent"] > 0
    assert report["is_interrupted"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--users", "-3"], "Option '--users' is -3; expected"),
        (["--rate", "-1"], "Option '--rate' is -1; expected"),
        (["--live"], "without '--rate'"),
        (["--to", "elsewhere"], "Option '--to' is 'elsewhere'; expected kafka"),
        (["--to", "a.ndjson", "--ledger", "/nowhere/at/all.json"], "File '/nowhere/at/all.json' cannot be written"),
        (["--compare", "/nowhere.json"], "File '/nowhere.json' is no ledger"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_was_expected(run_headwater: RunHeadwater, arguments: list[str], words: str) -> None:
    done = run_headwater("simulate", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_interrupted_run_says_what_was_sent_and_leaves_whole_lines(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "live.ndjson"
    command = [sys.executable, "-m", "pipeline.cli", "simulate", "--live", "--rate", "2000", "--users", "3000", "--to", str(path), "--json"]
    running = subprocess.Popen(command, env=os.environ | environment(settings), stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (path.exists() and path.stat().st_size > 100_000):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    report = json.loads(output)
    assert (running.returncode, report["is_interrupted"]) == (0, True)
    assert report["sent"] == report["acknowledged"] == len(path.read_bytes().splitlines())
    assert path.read_bytes().endswith(b"\n")


def test_messages_travel_as_json_as_avro_or_by_turns() -> None:
    values = [event(event_id=f"id-{number}") for number in range(4)]
    heads = {name: [value[:2] for value in map(build_encode(name), values)] for name in ENCODINGS}
    assert heads == {"json": [b'{"'] * 4, "avro": [b"\xc3\x01"] * 4, "mixed": [b"\xc3\x01", b'{"'] * 2}
    with_more = event(more=1)
    assert build_encode("avro")(with_more) == with_more
    with pytest.raises(UsageError, match="'--encoding' is 'xml'; expected one of json, avro, mixed"):
        build_encode("xml")


def test_file_of_lines_takes_no_avro(run_headwater: RunHeadwater, tmp_path: Path) -> None:
    done = run_headwater("simulate", "--users", "10", "--days", "1", "--to", str(tmp_path / "a.ndjson"), "--encoding", "avro")
    assert done.returncode == 2
    assert "--encoding" in done.stderr
