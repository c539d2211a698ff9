"""The second landing stream: what the collector refused becomes dead letters, each once, beside the events of the same worker."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import fastavro.schema
import fastavro.validation
import pyarrow as pa
import pytest

from agents.flush_report import FlushReport
from agents.land import Position, Range
from agents.parsing.fit import MS_MAX, MS_MIN
from agents.redact import HASH_PREFIX, RedactRules, redact_records
from agents.rejected_envelope import read_envelope
from agents.rejected_steps import RejectedRules, RejectedSteps
from pipeline.audit import count_waiting
from pipeline.config import Settings
from pipeline.doctor.finding import State
from pipeline.stores import build_store
from pipeline.stream_status import read_stream_status
from pipeline.topology import ENDPOINT_UPDATES, topic_name
from pipeline.worker import build_streams
from schemas.records import DEAD, Reason
from schemas.tables import FOLDER, load_table
from sinks.lake import LakeTable
from sinks.store import Store
from tests.conftest import RunHeadwater
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.kills import land_under_kills
from tests.faults.rig.load import Load
from tests.refusals import ENVELOPE, REFUSED, envelope
from tests.stream import GARBAGE, audit, events, has_landed, metrics, raw_events, rejected_events, rows, send
from tests.test_doctor import look, only
from tests.test_land import Worker
from tests.validate_inputs import build_records, event
from tests.worker_process import WorkerProcess, running, wait_until

OFF = RedactRules()
KEY = b"a secret"
SECRET = "bob@example.com"


def run(values: Sequence[bytes | None], redact: RedactRules = OFF, message_bytes_max: int = 1_000_000) -> list[dict[str, Any]]:
    """The dead letters that become of records with these values."""
    records = build_records(values)
    stepped = RejectedSteps(RejectedRules(redact, message_bytes_max)).run(records, [], FlushReport())
    assert (stepped.rows.num_rows, stepped.keys, stepped.dead.schema) == (0, {}, DEAD)
    # Whatever becomes of a record, where it lies and the hash of what was received stay.
    for name in ("_topic_id", "_partition", "_offset", "_appended_at", "_payload_hash"):
        assert stepped.dead[name].equals(records[name]), name
    found: list[dict[str, Any]] = stepped.dead.to_pylist()
    return found


def one(value: bytes | None, **rules: Any) -> dict[str, Any]:
    (found,) = run([value], **rules)
    return found


def removing(*names: str) -> RedactRules:
    return RedactRules(removed=frozenset(names))


def hashing(*names: str) -> RedactRules:
    return RedactRules(hashed=frozenset(names), key=KEY)


def hashed(text: str) -> str:
    return HASH_PREFIX + hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


# The envelope


def test_an_envelope_is_what_its_avro_schema_says_and_its_reasons_are_those_of_dead_letters() -> None:
    document = json.loads((FOLDER / "rejected_event.avsc").read_text())
    schema = fastavro.schema.parse_schema(document)
    assert fastavro.validation.validate(ENVELOPE, schema, strict=True)
    assert document["fields"][0]["type"]["symbols"] == [reason.value for reason in Reason]


def test_the_example_of_the_reference_is_an_envelope() -> None:
    _, _, text = (FOLDER / "README.md").read_text().partition("## The rejected event\n")
    example, *_ = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    found = read_envelope(example.encode())
    assert (found.reason, found.value_bytes, found.known["event_id"]) == (Reason.BAD_TIMESTAMP, len(found.value or b""), "order-9")


def test_an_envelope_becomes_a_dead_letter_with_what_was_refused_in_it() -> None:
    found = one(envelope())
    assert {name: found[name] for name in ("reason", "error", "value", "value_bytes", "key", "origin")} == {
        "reason": "wrong_type",
        "error": "Field 'event_type' is 7; expected a text that is not empty.",
        "value": REFUSED,
        "value_bytes": len(REFUSED),
        "key": b"shop/ep-0",
        "origin": None,
    }
    known = [found[name] for name in ("event_id", "event_type", "app_id", "endpoint_id", "event_timestamp")]
    assert known == ["id-1", "7", "shop", "ep-1", dt.datetime.fromtimestamp(1767225600, dt.UTC)]


def test_every_record_becomes_one_row_in_the_order_of_the_records() -> None:
    values = [envelope(event_id=f"id-{number}") if number % 3 else b"garbage-%d" % number for number in range(30)]
    found = run(values)
    assert [row["event_id"] for row in found] == [f"id-{number}" if number % 3 else None for number in range(30)]
    assert [row["reason"] for row in found[:3]] == ["not_json", "wrong_type", "wrong_type"]
    assert run([]) == []


def test_what_was_not_utf8_comes_in_base64_and_is_kept_as_it_was() -> None:
    refused = b"\xff\x00 not text"
    found = one(envelope(reason="not_utf8", value=None, value_base64=base64.b64encode(refused).decode(), value_bytes=len(refused)))
    assert (found["reason"], found["value"], found["value_bytes"]) == ("not_utf8", refused, len(refused))


def test_members_may_be_missing_null_or_more_than_this_release_knows() -> None:
    bare = {"reason": "empty", "error": "The value is empty.", "value_bytes": 0}
    found = one(json.dumps(bare | {"of_a_later_release": {"x": [1]}}).encode())
    assert (found["reason"], found["value"], found["value_bytes"], found["app_id"]) == ("empty", None, 0, None)
    assert one(envelope(value="\u0000ä🎈", value_bytes=7))["value"] == "\u0000ä🎈".encode()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (MS_MIN - 1, None),
        (MS_MIN, MS_MIN),
        (MS_MAX, MS_MAX),
        (MS_MAX + 1, None),
        (10**18, None),
        (1764000000000.0, 1764000000000),
    ],
)
def test_a_clock_that_no_column_holds_is_null_and_costs_nothing_else(sent: float, kept: int | None) -> None:
    found = one(envelope(event_timestamp=sent))
    moment = found["event_timestamp"]
    since = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert (None if moment is None else (moment - since) // dt.timedelta(milliseconds=1)) == kept
    assert (found["reason"], found["value"]) == ("wrong_type", REFUSED)


NO_ENVELOPES: list[tuple[bytes | None, str, str]] = [
    (None, "empty", "The value is empty"),
    (b"garbage", "not_json", "Character 0 is not JSON"),
    (b"\xff", "not_utf8", "Byte 0 is not UTF-8"),
    (b"[1]", "not_an_object", "The value is JSON and no object"),
    (b"[" * 70, "too_deep", "opens level 65"),
    (b'{"reason":"empty","reason":"empty"}', "duplicate_key", "'reason'"),
    (event(), "missing_field", "Field 'reason' is missing; expected one of empty, too_large"),
    (envelope(error=...), "missing_field", "Field 'error' is missing; expected a text."),
    (envelope(value_bytes=...), "missing_field", "Field 'value_bytes' is missing; expected a whole number."),
    (envelope(reason="bored"), "wrong_type", "Field 'reason' is \"bored\"; expected one of empty, too_large"),
    (envelope(value={"a": 1}, value_bytes=7), "wrong_type", "Field 'value' is {\"a\":1}; expected a text."),
    (envelope(value_bytes="9"), "wrong_type", "Field 'value_bytes' is \"9\"; expected a whole number."),
    (envelope(value_bytes=-1), "wrong_type", "Field 'value_bytes' is -1; expected a size in bytes"),
    (envelope(value_bytes=2**60), "wrong_type", "expected a size in bytes"),
    (envelope(value_bytes=True), "wrong_type", "Field 'value_bytes' is true"),
    (envelope(event_timestamp="now"), "wrong_type", "Field 'event_timestamp' is \"now\"; expected a whole number."),
    (envelope(event_id=7), "wrong_type", "Field 'event_id' is 7; expected a text."),
    (envelope(headwater=[]), "wrong_type", "Field 'headwater' is []; expected an object."),
    (envelope(value_base64="eA=="), "wrong_type", "Field 'value_base64' is \"eA==\"; expected null beside a value."),
    (envelope(value=None, value_base64="%"), "wrong_type", "Field 'value_base64' is \"%\"; expected base64."),
    (envelope(value=None, value_base64="ä"), "wrong_type", "expected base64."),
]


@pytest.mark.parametrize(("value", "reason", "error"), NO_ENVELOPES, ids=range(len(NO_ENVELOPES)))
def test_a_record_that_is_no_envelope_is_a_dead_letter_itself_with_its_own_bytes(value: bytes | None, reason: str, error: str) -> None:
    found = one(value)
    assert (found["reason"], found["value"], found["value_bytes"]) == (reason, value, len(value or b""))
    assert error in found["error"]
    if reason == "wrong_type" and found["app_id"] is not None:
        assert (found["app_id"], found["endpoint_id"]) == ("shop", "ep-1")


# Sizes


@pytest.mark.parametrize(("size", "reason"), [(1999, "wrong_type"), (2000, "wrong_type"), (2001, "too_large")])
def test_the_limit_of_a_message_is_that_of_what_was_refused(size: int, reason: str) -> None:
    refused = json.dumps({"a": "x" * (size - 9)}, separators=(",", ":")).encode() + b" "
    assert len(refused) == size
    found = one(envelope(value=refused), message_bytes_max=2000)
    assert (found["reason"], found["value"]) == (reason, refused if reason == "wrong_type" else None)
    assert (found["value_bytes"], found["event_id"]) == (size, "id-1")
    if reason == "too_large":
        assert found["error"] == (
            "What was refused has 2001 bytes; expected at most 2000 (setting MESSAGE_BYTES_MAX). "
            "It was refused as wrong_type: Field 'event_type' is 7; expected a text that is not empty."
        )
    assert one(b"x" * size, message_bytes_max=2000)["reason"] == ("not_json" if reason == "wrong_type" else "too_large")


# Redaction


def personal(**members: Any) -> bytes:
    return event(event_type=7, attributes={"email": SECRET, "sku": "x"}, metrics={"email": 1, "price": 2}, **members)


@pytest.mark.parametrize("rules", [removing("email"), hashing("email"), hashing("endpoint_id", "event_id")])
def test_what_was_refused_is_redacted_as_the_same_record_of_raw_events_is(rules: RedactRules) -> None:
    sent = personal()
    as_event = redact_records(build_records([sent]), rules).to_pylist()[0]
    found = one(envelope(value=sent), redact=rules)
    assert (found["value"], found["key"]) == (as_event["value"], as_event["key"])
    assert (SECRET.encode() in found["value"]) == ("email" not in rules.removed | rules.hashed)
    assert found["value_bytes"] == len(sent)
    # The control: with redaction off it stands there.
    assert SECRET.encode() in one(envelope(value=sent))["value"]


def test_ids_beside_it_are_redacted_by_the_same_names() -> None:
    for name in ("endpoint_id", "client_id", "EndpointId"):
        assert one(envelope(), redact=hashing(name))["endpoint_id"] == hashed("ep-1")
        assert one(envelope(), redact=removing(name))["endpoint_id"] is None
    found = one(envelope(), redact=hashing("event_id"))
    assert (found["event_id"], found["endpoint_id"], found["app_id"], found["key"]) == (hashed("id-1"), "ep-1", "shop", None)
    # A name that is one of the envelope's own is not the item's.
    assert one(envelope(), redact=removing("value", "error", "reason"))["reason"] == "wrong_type"


@pytest.mark.parametrize(
    "given",
    [
        {"value": f"email={SECRET}", "value_bytes": 21},
        {"value": f'["{SECRET}"]', "value_bytes": 19},
        {"value": f'{{"email": "{SECRET}"', "value_bytes": 27},
        {"value": None, "value_base64": base64.b64encode(SECRET.encode()).decode()},
        {"value": None},
    ],
)
def test_while_redaction_is_on_what_cannot_be_read_keeps_nothing(given: dict[str, Any]) -> None:
    sent = envelope(reason="not_json", error=f"Character 0 is not JSON, found '{SECRET}'; expected one JSON object.", **given)
    found = one(sent, redact=removing("email"))
    assert (found["value"], found["key"], found["reason"]) == (None, None, "not_json")
    assert SECRET not in repr(found)
    # What the envelope itself says can be read, and is redacted by name.
    assert found["event_id"] == "id-1"
    assert SECRET in one(sent)["error"]


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (f"garbage {SECRET}".encode(), False),
        (envelope(reason=..., value=None, value_base64=base64.b64encode(SECRET.encode()).decode()), False),
        (envelope(reason=..., value={"email": SECRET}), True),
        (envelope(reason="bored", value=personal()), True),
        (envelope(value={"email": SECRET}, endpoint_id=SECRET), True),
    ],
)
def test_a_record_that_is_no_envelope_is_redacted_too_and_its_error_quotes_nothing(value: bytes, is_kept: bool) -> None:
    found = one(value, redact=removing("email", "endpoint_id"))
    assert SECRET not in repr(found)
    assert base64.b64encode(SECRET.encode()) not in (found["value"] or b"")
    assert (found["value"] is not None) == is_kept


@pytest.mark.parametrize(
    "error",
    [f"Field 'attributes.e-mail' is {SECRET}; expected less.", f'Found {{"EMAIL": "{SECRET}"', f'Found {{"\\u0065mail": "{SECRET}"'],
)
def test_the_collectors_words_are_left_out_when_they_may_quote_what_is_redacted(error: str) -> None:
    found = one(envelope(error=error), redact=removing("email"))
    assert SECRET not in repr(found)
    assert found["error"].startswith("The collector refused it; its words are left out")
    assert one(envelope(), redact=removing("email"))["error"] == ENVELOPE["error"]
    assert one(envelope(error=error))["error"] == error


def test_the_rows_fit_the_table_whatever_was_sent() -> None:
    values = [value for value, *_ in NO_ENVELOPES] + [envelope(), envelope(value=None), b"{}", b"null", b" "]
    for rules in (OFF, removing("email"), hashing("event_id")):
        assert pa.Table.from_pylist(run(values, rules), schema=DEAD).num_rows == len(values)


# Beside the events, in one worker


class Beside:
    """The landing of one worker's two streams, with a partition of each; offsets that are odd are judged dead in the first, all in the second."""

    def __init__(self, settings: Settings, number: int, is_shared: bool = False) -> None:
        self.events = Worker(settings, bad=range(1, 10_000, 2))
        self.rejected = Worker(settings, bad=range(10_000))
        if is_shared:
            self.rejected.landing.events, self.rejected.landing.dead_letters = self.events.events, self.events.dead_letters
        self.places = {self.events: Position("topic-raw", number), self.rejected: Position("topic-rejected", number)}
        for worker, place in self.places.items():
            worker.take_over(place, partition_count=4)

    def land(self, worker: Worker, start: int) -> int:
        """Land five records; returns how often the table was looked at for it."""
        steps, landed, fenced = worker.flush(Range(self.places[worker], start, start + 5, 5))
        assert (len(landed), fenced) == (1, [])
        return steps.count("before look")


def test_two_workers_that_land_both_streams_at_the_same_time_are_refused_by_nobody_in_a_loop(settings: Settings) -> None:
    pairs, flushes = [Beside(settings, number) for number in range(2)], 12

    def land(pair: Beside, worker: Worker) -> int:
        return sum(pair.land(worker, 5 * number) for number in range(flushes))

    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(land, pair, worker) for pair in pairs for worker in pair.places]
        found = [look.result(timeout=120) for look in looks]
    # Each looked once a flush: what the other three committed meanwhile, to the same two tables, refused none.
    assert found == [flushes] * 4
    said = audit(settings)
    assert said["is_clean"], said
    assert (said["landed"], said["dead"]) == (60, 180)


def test_a_commit_of_the_same_partition_is_refused_so_the_count_of_looks_would_show_it(settings: Settings) -> None:
    pair = Beside(settings, 0)
    rival = Worker(settings, bad=range(10_000))
    place = pair.places[pair.rejected]
    fenced: list[Range] = []
    steps = pair.rejected.landing.flush([Range(place, 0, 5, 5)], pair.rejected.judge, fenced, [])
    taken = [next(steps) for _ in range(3)]
    rival.take_over(place, partition_count=4)
    taken += list(steps)
    assert (taken.count("before look"), len(fenced)) == (2, 1)


@pytest.mark.parametrize("is_shared", [True, False], ids=["one handle", "a handle each"])
def test_a_stream_that_was_idle_catches_up_with_nothing_since_both_have_one_handle(
    settings: Settings, is_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Beside(settings, 0, is_shared)
    for number in range(20):
        pair.land(pair.events, 5 * number)
    read: list[str] = []
    get = Store.get

    def note_and_get(store: Store, key: str) -> bytes:
        read.append(key)
        return get(store, key)

    monkeypatch.setattr(Store, "get", note_and_get)
    assert pair.land(pair.rejected, 0) == 1
    # The control: with a handle of its own it reads every version that it has missed.
    assert (len([key for key in read if "lake/events/_delta_log" in key]) >= 20) == (not is_shared)
    monkeypatch.undo()
    streams = build_streams(settings)
    of_events = [stream.ingest.landing for stream in streams if stream.ingest.landing.events.name == "events"]
    assert (len(of_events), len({id(landing.events) for landing in of_events})) == (2, 1)
    assert len({id(stream.ingest.landing.dead_letters) for stream in streams}) == 1
    assert audit(settings)["is_clean"]


@pytest.mark.timeout(600)
def test_one_worker_lands_events_and_refusals_and_every_command_tells_of_both(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    topic = rejected_events(settings)
    refused = [(b"shop/ep-1", envelope(event_id=f"refused-{number}")) for number in range(20)]
    mended = event(event_id="mended", event_type=7)
    send(settings, [*events(40, endpoints=9), GARBAGE])
    send(settings, [*refused, (b"k", b"no envelope"), (b"shop/ep-1", envelope(event_id="mended", value=mended))], topic=topic)

    # Before a worker ran: it waits, and is told by the id of its envelope.
    said = json.loads(run_headwater("trace", "refused-7", "--json").stdout)
    assert (said["answers"], said["waiting"][0]["topic"], said["waiting"][0]["refused"]) == (["waiting"], topic, "wrong_type")
    assert said["looked"]["records"] == 63
    assert run_headwater("trace", "refused-7", "--app", "bank").returncode == 6
    assert count_waiting(settings) == 63

    worker = WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3")
    with running(worker):
        wait_until(lambda: has_landed(settings, 63), "both topics in the lake")
        wait_until(lambda: metrics(worker)["headwater_records_consumed_total"] == 63, "the metrics of the last flush")
        _check_idle(settings, worker)
        found = metrics(worker)
        assert (found["headwater_flush_failures_total"], found["headwater_partitions_fenced_total"]) == (0, 0)
        assert (found["headwater_events_landed_total"], found["headwater_dead_letters_total"]) == (46, 23)

        raw, other, _ = read_stream_status(settings)["topics"]
        assert (raw["topic"], other["topic"], raw["lag"], other["lag"]) == (raw_events(settings), topic, 0, 0)
        assert sum(row["next_offset"] for row in other["partitions"]) == 22
        assert (raw["ended_topics"], other["ended_topics"], raw["gaps"], other["gaps"]) == ([], [], [], [])
        assert only(look(settings, "group"), f"group {settings.worker_group}").state == State.OK
        _check_replay(settings, run_headwater)
        assert worker.stop() == 0

    done = run_headwater("audit", "--deep", "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["waiting"], said["consumed"], said["landed"], said["dead"]) == (0, 0, 70, 47, 23)
    assert {one["topic"]: one["compared"] for one in said["deep"]["partitions"]}.keys() == {
        raw_events(settings),
        topic,
        topic_name(settings, ENDPOINT_UPDATES),
    }
    assert (said["deep"]["compared"], said["deep"]["equal"]) == (70, 70)
    said = json.loads(run_headwater("trace", "refused-7", "--json").stdout)
    assert (said["answers"], said["dead_letters"][0]["topic"]) == (["dead letter"], topic)
    status, out = (done := run_headwater("dead-letters", "list", "--limit", "100")).returncode, done.stdout
    assert (status, out.count(f"{topic}/"), out.count(f"{raw_events(settings)}/")) == (0, 22, 1)
    stored = rows(settings, "dead_letters", ["topic", "reason", "value", "event_id", "_partition"])
    assert Counter((place, reason) for place, reason, *_ in stored) == {
        (topic, "wrong_type"): 21,
        (topic, "not_json"): 1,
        (raw_events(settings), "not_json"): 1,
    }
    assert {value for place, _, value, event_id, _ in stored if event_id in {f"refused-{number}" for number in range(20)}} == {REFUSED}


def _check_idle(settings: Settings, worker: WorkerProcess) -> None:
    """A flush of events alone is one commit; the other stream, which is idle, commits nothing beside it."""
    table = LakeTable(build_store(settings), load_table("events"))
    table.refresh()
    version, flushes = table.version(), metrics(worker)["headwater_flushes_total"]
    for number in range(3):
        send(settings, events(2, f"idle-{number}"))
        wait_until(partial(has_landed, settings, 65 + 2 * number), "events while the other topic is idle")
    wait_until(lambda: metrics(worker)["headwater_records_consumed_total"] == 69, "the metrics of the last flush")
    table.refresh()
    assert table.version() - version == metrics(worker)["headwater_flushes_total"] - flushes > 0


def _check_replay(settings: Settings, run_headwater: RunHeadwater) -> None:
    """What was refused goes to raw-events, without its envelope; the dry run says what becomes of it there."""
    choice = ("dead-letters", "replay", "--event-id", "mended", "--json")
    said = json.loads(run_headwater(*choice).stdout)
    assert (said["meant"], said["landing"], said["dead_again"]) == (1, 0, {"wrong_type": 1})
    fix = ("--fix-sql", 'replace(value, \'"event_type":7\', \'"event_type":"order.paid"\')')
    said = json.loads(run_headwater(*choice, *fix).stdout)
    assert (said["landing"], said["sent"], base64.b64decode(said["examples"][0]["before"])) == (
        1,
        0,
        event(event_id="mended", event_type=7),
    )
    done = run_headwater(*choice, *fix, "--send")
    assert (done.returncode, json.loads(done.stdout)["sent"]) == (0, 1), done.stderr
    wait_until(lambda: has_landed(settings, 70), "what was mended")
    assert json.loads(run_headwater(*choice, *fix, "--send").stdout)["replayed"] == 1
    assert rows(settings, "events", ["event_id", "event_type"]).count(("mended", "order.paid")) == 1
    ((name, sent_topic),) = rows(settings, "dead_letter_replays", ["step", "topic"])[:1]
    assert (name, sent_topic) == ("begun", raw_events(settings))
    said = json.loads(run_headwater("trace", "mended", "--json").stdout)
    assert said["answers"] == ["landed", "dead letter"]
    assert said["dead_letters"][0]["replay"]["sent_as"].startswith(f"{raw_events(settings)}/")


# kill -9


class RefusalLoad(Load):
    """A load of what the collector refused."""

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes, str]:
        return b"shop/%d" % chance.randrange(10), envelope(event_id=f"id-{number}"), f"id-{number}"


def land_refusals_under_kills(settings: Settings, folder: Path, *steps: str, guards_off: str = "") -> Counter[int]:
    """Refusals, and a worker that dies at each of these steps of landing them; returns the hashes of what was sent."""
    topic = rejected_events(settings)
    load = RefusalLoad(settings, folder, random.Random(5), per_sec=30, resent=0, malformed=0, topic=topic)
    worker = FaultWorker(settings, folder, guards_off=guards_off)
    land_under_kills(worker, load, steps, lambda count: len(set(hashes(settings))) >= count)
    return Counter(entry["payload_hash"] % (1 << 64) for entry in load.ledger.entries())


def hashes(settings: Settings) -> Counter[int]:
    return Counter(digest % (1 << 64) for (digest,) in rows(settings, "dead_letters", ["_payload_hash"]))


@pytest.mark.timeout(600)
def test_a_worker_killed_in_mid_flush_of_what_was_refused_lands_each_once(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    steps = ("before dead_letters commit", "after dead_letters commit", "after events commit")
    sent = land_refusals_under_kills(settings, tmp_path, *steps)
    assert hashes(settings) == sent
    found = audit(settings)
    assert found["is_clean"], found
    assert (found["consumed"], found["dead"], found["landed"]) == (sent.total(), sent.total(), 0)


@pytest.mark.timeout(600)
def test_without_the_offset_check_a_kill_doubles_what_was_refused_control(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    sent = land_refusals_under_kills(settings, tmp_path, "before Kafka commit", guards_off="offset_check")
    assert hashes(settings) != sent
    assert hashes(settings).total() > sent.total()
