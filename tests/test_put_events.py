"""PutEvents read item by item: what is no event is refused by itself, and what is accepted the worker takes for an event."""

import json
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.parsing.exact_json import Unreadable
from agents.parsing.fit import Unfit
from agents.validate import ValidateRules, validate_batch
from pipeline.collect.outgoing import Item, Limits, Sender, TooMuchError
from pipeline.collect.put_events import PutEventsReader
from pipeline.topology import ENDPOINT_UPDATES, RAW_EVENTS, REJECTED_EVENTS
from schemas.records import Reason
from tests.validate_inputs import build_records

SENDER = Sender(1764000001000, "api", "192.0.2.1", "Boto3/1.44", 1764000000000)
BYTES_MAX = 100_000
WHEN = "2026-01-01T00:00:00.000Z"
EVENT = {
    "EventType": "cart.add",
    "Timestamp": WHEN,
    "AppPackageName": "com.example.shop",
    "AppTitle": "Shop",
    "AppVersionCode": "42",
    "SdkName": "sdk",
    "ClientSdkVersion": "1.2.3",
    "Attributes": {"sku": "A1 é😀"},
    "Metrics": {"price": 9.5},
    "Session": {"Id": "s1", "StartTimestamp": WHEN, "StopTimestamp": "2026-01-01T00:05:00Z"},
}


def read(body: bytes | dict[str, Any]) -> list[Item]:
    return PutEventsReader("shop", SENDER, Limits(BYTES_MAX)).read(body if isinstance(body, bytes) else json.dumps(body).encode())


def batch(events: dict[str, Any], endpoint: Any = None, endpoint_id: str = "phone-1") -> dict[str, Any]:
    return {"BatchItem": {endpoint_id: {"Endpoint": {} if endpoint is None else endpoint, "Events": events}}}


def records(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The stream records that go to raw-events."""
    return [json.loads(item.outgoing.value) for item in items if item.outgoing.topic is RAW_EVENTS]


def refusals(items: Sequence[Item]) -> dict[str | None, tuple[Reason, str]]:
    return {item.event_id: (item.refusal.reason, item.refusal.error) for item in items if item.refusal is not None}


def test_every_member_of_an_event_has_its_place_in_the_stream_record() -> None:
    endpoint = {
        "Demographic": {
            "Make": "apple",
            "Model": "iPhone",
            "Platform": "ios",
            "PlatformVersion": "17",
            "Locale": "en_US",
            "AppVersion": "2.5",
        }
    }
    (_, item) = read(batch({"e1": EVENT}, endpoint, "Phone/1"))
    assert json.loads(item.outgoing.value) == {
        "event_id": "e1",
        "event_type": "cart.add",
        "event_timestamp": 1767225600000,
        "arrival_timestamp": 1764000001000,
        "event_version": "3.0",
        "application": {
            "app_id": "shop",
            "package_name": "com.example.shop",
            "title": "Shop",
            "version_name": "2.5",
            "version_code": "42",
            "sdk": {"name": "sdk", "version": "1.2.3"},
        },
        "client": {"client_id": "Phone/1"},
        "device": {"locale": {"code": "en_US"}, "make": "apple", "model": "iPhone", "platform": {"name": "ios", "version": "17"}},
        "session": {"session_id": "s1", "start_timestamp": 1767225600000, "stop_timestamp": 1767225900000},
        "attributes": {"sku": "A1 é😀"},
        "metrics": {"price": 9.5},
        "client_context": {"custom": {"endpoint": json.dumps(endpoint)}},
        "headwater": {
            "client_ip": "192.0.2.1",
            "user_agent": "Boto3/1.44",
            "sent_at": 1764000000000,
            "received_at": 1764000001000,
            "source": "api",
        },
    }
    assert item.outgoing.key == b"shop/phone/1"


def test_event_read_member_by_member_gives_the_same_record_as_the_quick_way() -> None:
    (quick,), (slow,) = records(read(batch({"e1": EVENT}))), records(read(batch({"e1": EVENT | {"Unknown": 1}})))
    assert slow == quick | {"Unknown": 1}


def test_endpoint_with_content_is_an_update_and_an_empty_one_is_none() -> None:
    items = read(batch({"e1": EVENT}, {"Address": "a@example.com", "User": {"UserId": "u1"}}))
    assert [item.outgoing.topic for item in items] == [ENDPOINT_UPDATES, RAW_EVENTS]
    update = json.loads(items[0].outgoing.value)
    assert update["endpoint"] == {"Address": "a@example.com", "User": {"UserId": "u1"}}
    assert (update["app_id"], update["endpoint_id"], update["operation"]) == ("shop", "phone-1", "update")
    assert [item.outgoing.topic for item in read(batch({"e1": EVENT}, {}))] == [RAW_EVENTS]


@pytest.mark.parametrize(
    "body", [{"BatchItem": {}}, {"EventsRequest": {"BatchItem": {}}}, {"BatchItem": {"phone-1": {"Endpoint": {}, "Events": {}}}}]
)
def test_body_without_events_has_no_items(body: dict[str, Any]) -> None:
    assert read(body) == []


def test_body_within_the_operations_name_is_read_as_one_without_it() -> None:
    assert [record["event_id"] for record in records(read({"EventsRequest": batch({"e1": EVENT})}))] == ["e1"]


@pytest.mark.parametrize("body", [{}, {"BatchItem": None}, {"Batchitem": {}}, {"batch": []}])
def test_body_without_batch_item_is_refused_by_name(body: dict[str, Any]) -> None:
    with pytest.raises(Unfit, match="'BatchItem' is missing"):
        read(body)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "'BatchItem.phone-1.Events' is missing"),
        ({"Endpoint": {}}, "'BatchItem.phone-1.Events' is missing"),
        ({"Endpoint": {}, "Events": None}, "'BatchItem.phone-1.Events' is missing"),
        ({"Endpoint": {}, "events": {"e1": EVENT}}, "'BatchItem.phone-1.events' is unknown"),
        ({"Endpoint": {}, "Events": {}, "Event": {"e1": EVENT}}, "'BatchItem.phone-1.Event' is unknown"),
    ],
)
def test_entry_whose_events_are_not_where_they_belong_is_refused_by_name(entry: dict[str, Any], said: str) -> None:
    (found,) = refusals(read({"BatchItem": {"phone-1": entry}})).values()
    assert said in found[1]


def test_unknown_name_in_an_entry_costs_its_events_nothing() -> None:
    items = read({"BatchItem": {"phone-1": {"Endpoint": {}, "Events": {"e1": EVENT}, "Foo": 1}}})
    assert [record["event_id"] for record in records(items)] == ["e1"]
    assert "'BatchItem.phone-1.Foo' is unknown" in refusals(items)[None][1]


def test_entry_with_an_endpoint_alone_updates_it() -> None:
    (item,) = read({"BatchItem": {"phone-1": {"Endpoint": {"Address": "a"}}}})
    assert (item.outgoing.topic, item.refusal) == (ENDPOINT_UPDATES, None)


@pytest.mark.parametrize(
    ("sent", "kept"), [("_session_start", "_session.start"), ("_session_stop", "_session.stop"), ("_session.start", "_session.start")]
)
@pytest.mark.parametrize("odd", [{}, {"Unknown": 1}])
def test_legacy_spelling_of_session_events_is_taken(sent: str, kept: str, odd: dict[str, Any]) -> None:
    assert [record["event_type"] for record in records(read(batch({"e1": EVENT | {"EventType": sent} | odd})))] == [kept]


@pytest.mark.parametrize(
    ("timestamp", "ms"),
    [
        ("2026-01-01T00:00:00Z", 1767225600000),
        ("2026-01-01T01:00:00.5+01:00", 1767225600500),
        ("2026-01-01T00:00:00.123456789Z", 1767225600123),
        ("2026-01-01T00:00:00", 1767225600000),
        (1767225600000, 1767225600000),
        ("1900-01-01T00:00:00Z", -2208988800000),
        ("9999-12-31T23:59:59.999Z", 253402300799999),
    ],
)
def test_timestamp_in_every_form_that_clients_send(timestamp: Any, ms: int) -> None:
    assert [record["event_timestamp"] for record in records(read(batch({"e1": EVENT | {"Timestamp": timestamp}})))] == [ms]


# What is wrong with an event, the reason, and what the answer names.
BAD: dict[str, tuple[Any, Reason, str]] = {
    "no type": ({"Timestamp": WHEN}, Reason.MISSING_FIELD, "'EventType' is missing"),
    "empty type": (EVENT | {"EventType": ""}, Reason.MISSING_FIELD, "'EventType' is empty"),
    "type a number": (EVENT | {"EventType": 7}, Reason.WRONG_TYPE, "'EventType' is 7"),
    "no time": ({"EventType": "x"}, Reason.MISSING_FIELD, "'Timestamp' is missing"),
    "no such time": (EVENT | {"Timestamp": "yesterday"}, Reason.BAD_TIMESTAMP, "'Timestamp' is \"yesterday\""),
    "before 1900": (EVENT | {"Timestamp": "1899-12-31T23:59:59Z"}, Reason.BAD_TIMESTAMP, "from 1900 to 9999"),
    "no object": (5, Reason.NOT_AN_OBJECT, "Event 'bad' is 5"),
    "null": (None, Reason.NOT_AN_OBJECT, "Event 'bad' is null"),
    "too large": (EVENT | {"Attributes": {"k": "v" * BYTES_MAX}}, Reason.TOO_LARGE, f"expected at most {BYTES_MAX}"),
}
RAW_BAD = {
    "half a surrogate": (rb'{"EventType":"\ud800","Timestamp":"2026-01-01T00:00:00Z"}', Reason.NOT_JSON),
    "not a number": (rb'{"EventType":"x","Timestamp":"2026-01-01T00:00:00Z","Metrics":{"m":NaN}}', Reason.NOT_JSON),
    "number beyond floats": (rb'{"EventType":"x","Timestamp":"2026-01-01T00:00:00Z","Metrics":{"m":1e999}}', Reason.NUMBER_OUT_OF_RANGE),
    "5,000 digits": (
        b'{"EventType":"x","Timestamp":"2026-01-01T00:00:00Z","Metrics":{"m":' + b"9" * 5000 + b"}}",
        Reason.NUMBER_OUT_OF_RANGE,
    ),
    "wrong UTF-8": (b'{"EventType":"\xff","Timestamp":"2026-01-01T00:00:00Z"}', Reason.NOT_UTF8),
    "control character": (b'{"EventType":"a\x01b","Timestamp":"2026-01-01T00:00:00Z"}', None),
    "too deep": (b'{"EventType":"x","Timestamp":"2026-01-01T00:00:00Z","u":' + b"[" * 80 + b"]" * 80 + b"}", Reason.TOO_DEEP),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_event_is_refused_by_name_and_its_neighbours_are_not(name: str) -> None:
    bad, reason, said = BAD[name]
    items = read(batch({"before": EVENT, "bad": bad, "after": EVENT}))
    assert [record["event_id"] for record in records(items)] == ["before", "after"]
    assert list(refusals(items)) == ["bad"]
    assert refusals(items)["bad"][0] is reason
    assert said in refusals(items)["bad"][1]
    (rejected,) = [json.loads(item.outgoing.value) for item in items if item.outgoing.topic is REJECTED_EVENTS]
    assert (rejected["reason"], rejected["app_id"], rejected["endpoint_id"], rejected["event_id"]) == (reason, "shop", "phone-1", "bad")
    assert ("value" in rejected) is (name != "too large")


@pytest.mark.parametrize("name", RAW_BAD)
def test_event_that_is_hardly_json_costs_no_neighbour(name: str) -> None:
    raw, reason = RAW_BAD[name]
    good = json.dumps(EVENT).encode()
    items = read(b'{"BatchItem":{"phone-1":{"Endpoint":{},"Events":{"before":' + good + b',"bad":' + raw + b',"after":' + good + b"}}}}")
    kept = [record["event_id"] for record in records(items)]
    assert kept == (["before", "after"] if reason is not None else ["before", "bad", "after"])
    assert [found for found, _ in refusals(items).values()] == ([reason] if reason is not None else [])


@pytest.mark.parametrize("entry", [5, None, [], {"Endpoint": {}, "Events": 5}, {"Endpoint": {}, "Events": []}])
def test_bad_entry_is_refused_and_the_other_endpoints_are_not(entry: Any) -> None:
    body = {"BatchItem": {"bad": entry, "phone-1": {"Endpoint": {}, "Events": {"e1": EVENT}}}}
    items = read(body)
    assert [item.endpoint_id for item in items if item.refusal is None] == ["phone-1"]
    assert [item.endpoint_id for item in items if item.refusal is not None] == ["bad"]


@pytest.mark.parametrize("endpoint", [7, "x", [], {"Attributes": {"k": "no list"}}, {"User": 5}, {"Metrics": {"m": "x"}}])
def test_bad_endpoint_is_refused_and_its_events_are_not(endpoint: Any) -> None:
    items = read(batch({"e1": EVENT}, endpoint))
    assert [(item.event_id, item.refusal is None) for item in items] == [(None, False), ("e1", True)]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b'"x"', b'{"BatchItem":5}', b'{"BatchItem":[]}', b"\xff", b"[" * 100_000, b"{}{}"]
)
def test_body_that_is_none_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises((Unreadable, Unfit)):
        read(body)


HALF = rb'"\ud83d"'


def test_id_that_is_no_text_is_refused_and_its_neighbours_are_not() -> None:
    good = json.dumps(EVENT).encode()
    items = read(b'{"BatchItem":{"phone-1":{"Endpoint":{},"Events":{"good":' + good + b"," + HALF + b":" + good + b"}}}}")
    assert [record["event_id"] for record in records(items)] == ["good"]
    assert [reason for reason, _ in refusals(items).values()] == [Reason.NOT_JSON]
    items = read(
        b'{"BatchItem":{'
        + HALF
        + b':{"Endpoint":{},"Events":{"lost":'
        + good
        + b'}},"phone-1":{"Endpoint":{},"Events":{"good":'
        + good
        + b"}}}}"
    )
    assert [record["event_id"] for record in records(items)] == ["good"]
    assert len(refusals(items)) == 1


@pytest.mark.parametrize("is_pretty", [False, True])
def test_what_stands_twice_under_one_name_is_read_twice(is_pretty: bool) -> None:
    def dump(document: Any) -> bytes:
        return json.dumps(document, indent=2 if is_pretty else None).encode()

    first, second = dump(EVENT | {"EventType": "first"}), dump(EVENT | {"EventType": "second"})
    items = read(b'{"BatchItem": {"phone-1": {"Endpoint": {}, "Events": {"e": ' + first + b', "e": ' + second + b"}}}}")
    assert [(record["event_id"], record["event_type"]) for record in records(items)] == [("e", "first"), ("e", "second")]
    entry = b'"phone-1": {"Events": {"%b": %b}}'
    items = read(b'{"BatchItem": {' + entry % (b"e1", first) + b", " + entry % (b"e2", second) + b"}}")
    assert [(record["event_id"], record["event_type"]) for record in records(items)] == [("e1", "first"), ("e2", "second")]


def test_bytes_that_are_no_text_hide_nothing_that_stands_twice() -> None:
    event = json.dumps(EVENT).encode()
    body = b'{"BatchItem":{"phone-1":{"Events":{"e":%b,"e":%b,"bad":{"EventType":"\xff","Timestamp":"x"}}}}}' % (event, event)
    items = read(body)
    assert [record["event_id"] for record in records(items)] == ["e", "e"]
    assert refusals(items)["bad"][0] is Reason.NOT_UTF8


def test_without_the_count_of_names_what_stands_twice_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.collect.put_events.count_names", lambda _: mock.ANY)
    event = json.dumps(EVENT).encode()
    assert len(records(read(b'{"BatchItem":{"phone-1":{"Events":{"e":' + event + b',"e":' + event + b"}}}}"))) == 1


@pytest.mark.parametrize(("count", "is_taken"), [(9, True), (10, True), (11, False)])
def test_request_may_hold_so_many_items_and_no_more(count: int, is_taken: bool) -> None:
    body = json.dumps(batch({f"e{number}": {"EventType": "x", "Timestamp": WHEN} for number in range(count)})).encode()
    reader = PutEventsReader("shop", SENDER, Limits(BYTES_MAX, items_max=10))
    if is_taken:
        assert len(reader.read(body)) == count
    else:
        with pytest.raises(TooMuchError, match="more than 10 items"):
            reader.read(body)


@pytest.mark.parametrize("part", [b'"i":0,', b'"%d":{},'])
def test_body_of_very_many_small_things_is_refused_before_it_is_parsed(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.collect.put_events.split_request", lambda _: pytest.fail("it was parsed"))
    text = b"".join(part % number if b"%" in part else part for number in range(300_000)).rstrip(b",")
    with pytest.raises(TooMuchError):
        read(b'{"BatchItem":{"phone-1":{"Events":{' + text + b"}}}}")


def test_endpoint_that_each_event_repeats_counts_each_time() -> None:
    endpoint = {"Attributes": {"about": ["x" * 50_000]}}
    events = {f"e{number}": {"EventType": "x", "Timestamp": WHEN} for number in range(100)}
    with pytest.raises(TooMuchError, match="1000000 bytes"):
        PutEventsReader("shop", SENDER, Limits(BYTES_MAX, bytes_max=1_000_000)).read(json.dumps(batch(events, endpoint)).encode())


def test_what_is_refused_keeps_the_network_of_its_sender_only() -> None:
    (item,) = read(batch({"bad": {"EventType": "x"}}))
    rejected = json.loads(item.outgoing.value)
    assert rejected["headwater"]["client_ip"] == json.loads(rejected["value"])["headwater"]["client_ip"] == "192.0.2.0"


def test_more_than_pinpoint_took_is_kept() -> None:
    event = EVENT | {"Attributes": {f"k{number}": "v" * 300 for number in range(60)}}
    (record,) = records(read(batch({"e1": event})))
    assert record["attributes"] == event["Attributes"]


def test_unknown_names_and_loose_types_are_kept() -> None:
    (record,) = records(read(batch({"e1": EVENT | {"Extra": {"a": [1.50]}, "Attributes": {"n": 7, "b": True}}})))
    assert (record["Extra"], record["attributes"]) == ({"a": [1.5]}, {"n": 7, "b": True})


def test_event_without_an_id_gets_one_of_its_own() -> None:
    first, second = (records(read(batch({"": EVENT})))[0]["event_id"] for _ in range(2))
    assert first
    assert first != second


NAMES = st.sampled_from([*EVENT, "event_id", "application", "client", "headwater", "metrics", "Zzz", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=True) | st.text(max_size=8) | st.just(WHEN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | NAMES, inner, max_size=4),
    max_leaves=6,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda odd: EVENT | odd) | VALUES


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.dictionaries(st.text(max_size=6), EVENTS, min_size=1, max_size=4), endpoint=VALUES)
def test_what_is_accepted_is_an_event_to_the_worker_and_each_item_has_one_outcome(events: dict[str, Any], endpoint: Any) -> None:
    items = read(json.dumps(batch(events, endpoint)).encode("utf-8", "surrogatepass"))
    assert [item.event_id for item in items if item.event_id is not None] == list(events)
    values = [item.outgoing.value for item in items if item.outgoing.topic is RAW_EVENTS]
    validated = validate_batch(build_records(values), ValidateRules(1_000_000))
    assert validated.dead.num_rows == 0, validated.dead["error"].to_pylist()


def test_without_the_judgement_what_is_accepted_would_be_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.collect.put_events.judge_record", lambda document, _: json.dumps(document, default=str).encode())
    (item,) = read(batch({"e1": EVENT | {"Timestamp": "yesterday"}}))
    assert item.outgoing.topic is RAW_EVENTS
    assert validate_batch(build_records([item.outgoing.value]), ValidateRules(1_000_000)).dead.num_rows == 1
