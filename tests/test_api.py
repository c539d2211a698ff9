"""The HTTP API on real Kafka: every door writes what lands, and every bad request gets a 4xx that names the field."""

import base64
import gzip
import http.client
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import cbor2
import confluent_kafka
import pytest
from backports import zstd
from botocore.exceptions import ClientError
from pydantic import SecretStr

from pipeline.config import Settings
from pipeline.definitions.database import open_definitions
from pipeline.definitions.guests import allow_guests, forbid_guests
from pipeline.definitions.key import Scope
from pipeline.definitions.keys import revoke_key
from pipeline.stores import confluent_options
from pipeline.topics import ensure_topics
from pipeline.topology import ENDPOINT_UPDATES, RAW_EVENTS, REJECTED_EVENTS, Topic, topic_name
from tests.api_process import ApiProcess, client, make_access_key, make_app, make_write_key, serving
from tests.conftest import settings_apart
from tests.worker_process import wait_until

WHEN = "2026-01-01T00:00:00.000Z"
EVENT = {"EventType": "cart.add", "Timestamp": WHEN, "Attributes": {"sku": "A1"}, "Metrics": {"price": 9.5}}


class Door:
    """The API of one test: asked over plain HTTP, and what Kafka got from it."""

    def __init__(self, api: ApiProcess, settings: Settings) -> None:
        self.api, self.settings = api, settings
        self.write_key = make_write_key(settings)
        self._read: dict[str, int] = {}

    def ask(
        self, method: str, path: str, body: bytes | Any = b"", headers: dict[str, str] | None = None, is_keyed: bool = True
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers in lower case, and the body as JSON where it is."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = ({"authorization": f"Bearer {self.write_key}"} if is_keyed else {}) | (headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=30)
        try:
            connection.request(method, path, sent, given)
            answer = connection.getresponse()
            text = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, json.loads(text) if "json" in found.get("content-type", "") else text
        finally:
            connection.close()

    def written(self, topic: Topic) -> list[tuple[bytes, dict[str, Any]]]:
        """Key and value of what came into a topic since it was asked last."""
        name = topic_name(self.settings, topic)
        consumer = confluent_kafka.Consumer(confluent_options(self.settings) | {"group.id": "reader", "enable.auto.commit": False})
        try:
            found: list[tuple[bytes, dict[str, Any]]] = []
            for partition in consumer.list_topics(name, timeout=10).topics[name].partitions:
                place = confluent_kafka.TopicPartition(name, partition)
                end = consumer.get_watermark_offsets(place, timeout=10)[1]
                start = self._read.get(f"{name}/{partition}", 0)
                consumer.assign([confluent_kafka.TopicPartition(name, partition, start)])
                while start < end:
                    record = consumer.poll(10)
                    assert record is not None
                    assert record.error() is None
                    key, value, offset = record.key(), record.value(), record.offset()
                    assert key is not None
                    assert value is not None
                    assert offset is not None
                    found.append((key, json.loads(value)))
                    start = offset + 1
                self._read[f"{name}/{partition}"] = end
            return found
        finally:
            consumer.close()

    def values(self, topic: Topic) -> list[dict[str, Any]]:
        return [value for _, value in self.written(topic)]


@pytest.fixture(scope="module")
def shared(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One API for all tests of this file: each looks at what came into Kafka since the one before."""
    folder = tmp_path_factory.mktemp("api")
    settings = settings_apart(
        stack,
        folder / "home",
        topic_partitions=2,
        api_streams="clicks=shop,elsewhere=news",
        api_body_bytes_max=200_000,
        message_bytes_max=50_000,
    )
    ensure_topics(settings)
    make_app(settings, "shop")
    make_app(settings, "news")
    with serving(ApiProcess(settings, folder)) as api:
        yield Door(api, settings)


@pytest.fixture
def door(shared: Door) -> Door:
    for topic in (RAW_EVENTS, ENDPOINT_UPDATES, REJECTED_EVENTS):
        shared.written(topic)
    return shared


def batch(*ids: str, endpoint: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"BatchItem": {"Phone/1": {"Endpoint": endpoint or {}, "Events": {event_id: EVENT | changes for event_id in ids}}}}


def test_put_events_writes_one_record_an_event_and_an_update_of_the_endpoint(door: Door) -> None:
    status, _, answer = door.ask("POST", "/v1/apps/shop/events", batch("e1", "e2", endpoint={"Address": "a@example.com"}))
    accepted = {"StatusCode": 202, "Message": "Accepted"}
    assert status == 202
    assert answer == {"Results": {"Phone/1": {"EndpointItemResponse": accepted, "EventsItemResponse": {"e1": accepted, "e2": accepted}}}}
    events = door.written(RAW_EVENTS)
    assert {key for key, _ in events} == {b"shop/phone/1"}
    assert {value["event_id"] for _, value in events} == {"e1", "e2"}
    assert {value["headwater"]["client_ip"] for _, value in events} == {"127.0.0.1"}
    assert [value["endpoint"] for value in door.values(ENDPOINT_UPDATES)] == [{"Address": "a@example.com"}]


def test_bad_item_is_answered_400_and_kept_in_rejected_events_while_its_neighbours_are_accepted(door: Door) -> None:
    request = batch("good", "bad")
    request["BatchItem"]["Phone/1"]["Events"]["bad"] = {"EventType": "x", "Timestamp": "yesterday"}
    _, _, answer = door.ask("POST", "/v1/apps/shop/events", request)
    events = answer["Results"]["Phone/1"]["EventsItemResponse"]
    assert {event_id: each["StatusCode"] for event_id, each in events.items()} == {"good": 202, "bad": 400}
    assert "'Timestamp' is \"yesterday\"" in events["bad"]["Message"]
    assert [value["event_id"] for value in door.values(RAW_EVENTS)] == ["good"]
    assert [(value["event_id"], value["reason"]) for value in door.values(REJECTED_EVENTS)] == [("bad", "bad_timestamp")]


def test_body_that_is_not_json_is_answered_400_and_kept(door: Door) -> None:
    status, headers, answer = door.ask("POST", "/v1/apps/shop/events", b'{"BatchItem":')
    assert (status, headers["x-amzn-errortype"]) == (400, "BadRequestException")
    assert set(answer) == {"Message", "RequestID"}
    assert answer["RequestID"] == headers["x-amzn-requestid"]
    assert [value["value"] for value in door.values(REJECTED_EVENTS)] == ['{"BatchItem":']


def test_update_endpoint_takes_an_id_that_is_percent_encoded(door: Door) -> None:
    pinpoint = client("pinpoint", door.api, make_access_key(door.settings, "shop"))
    assert (
        pinpoint.update_endpoint(ApplicationId="shop", EndpointId="x/1 é", EndpointRequest={"Address": "a"})["MessageBody"]["Message"]
        == "Accepted"
    )
    assert [value["endpoint_id"] for value in door.values(ENDPOINT_UPDATES)] == ["x/1 é"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_packed_bodies_are_taken(door: Door, encoding: str) -> None:
    text = json.dumps(batch("packed")).encode()
    packed = gzip.compress(text) if encoding == "gzip" else zstd.compress(text)
    status, _, _ = door.ask("POST", "/v1/apps/shop/events", packed, {"content-encoding": encoding})
    assert status == 202
    assert [value["event_id"] for value in door.values(RAW_EVENTS)] == ["packed"]


def test_firehose_and_kinesis_records_of_every_form_are_taken_and_garbage_is_a_dead_letter(door: Door) -> None:
    key = make_access_key(door.settings, "shop")
    stream_record = {"event_type": "stream", "event_timestamp": 1767225600000, "application": {"app_id": "shop"}}
    records = [
        b'{"event":"one"}{"event":"two"}',
        b'{"event":"three"}\n{"event":"four"}\n',
        json.dumps(json.dumps({"event": "five"})).encode(),
        json.dumps(stream_record).encode(),
        json.dumps(batch("six", EventType="six")).encode(),
        b'[{"event":"seven"}]',
        b"garbage",
        b'{"event":"eight"}{"event":"cut',
    ]
    answer = client("firehose", door.api, key).put_record_batch(DeliveryStreamName="clicks", Records=[{"Data": data} for data in records])
    assert answer["FailedPutCount"] == 0
    types = sorted(value["event_type"] for value in door.values(RAW_EVENTS))
    assert types == sorted(["one", "two", "three", "four", "five", "stream", "six", "seven", "eight"])
    assert len(door.values(REJECTED_EVENTS)) == 2
    kinesis = client("kinesis", door.api, key)
    assert (
        kinesis.put_records(StreamName="clicks", Records=[{"Data": data, "PartitionKey": "p"} for data in records])["FailedRecordCount"]
        == 0
    )
    assert kinesis.put_record(StreamName="clicks", Data=records[0], PartitionKey="p")["ShardId"]
    assert client("firehose", door.api, key).put_record(DeliveryStreamName="clicks", Record={"Data": records[0]})["RecordId"]
    values = door.values(RAW_EVENTS)
    assert len(values) == 13
    assert {value["headwater"]["source"] for value in values} == {"kinesis:clicks", "firehose:clicks"}


def test_record_of_another_app_than_the_key_has_is_refused(door: Door) -> None:
    record = json.dumps({"event_type": "x", "event_timestamp": 1767225600000, "application": {"app_id": "news"}}).encode()
    client("firehose", door.api, make_access_key(door.settings, "shop")).put_record(DeliveryStreamName="clicks", Record={"Data": record})
    assert door.values(RAW_EVENTS) == []
    assert ["'application.app_id' is \"news\"" in value["error"] for value in door.values(REJECTED_EVENTS)] == [True]
    client("firehose", door.api, make_access_key(door.settings)).put_record(DeliveryStreamName="clicks", Record={"Data": record})
    assert [value["application"]["app_id"] for value in door.values(RAW_EVENTS)] == ["news"]


def delivery(request_id: str, *records: Any, **changes: Any) -> dict[str, Any]:
    data = [{"data": base64.b64encode(record if isinstance(record, bytes) else json.dumps(record).encode()).decode()} for record in records]
    return {"requestId": request_id, "timestamp": 1767225600000, "records": data} | changes


def deliver(door: Door, body: dict[str, Any], request_id: str = "r-1", write_key: str | None = None) -> tuple[int, Any]:
    headers = {"x-amz-firehose-request-id": request_id, "x-amz-firehose-access-key": door.write_key if write_key is None else write_key}
    status, _, answer = door.ask("POST", "/v1/firehose/clicks", body, headers, is_keyed=False)
    return status, answer


def test_second_delivery_of_firehose_repeats_ids_and_times(door: Door) -> None:
    body = delivery("r-1", {"event": "one"}, {"event": "two", "event_id": "own"}, b"garbage")
    for _ in range(2):
        status, answer = deliver(door, body)
        assert (status, answer["requestId"]) == (200, "r-1")
    found = [(value["event_id"], value["event_timestamp"]) for value in door.values(RAW_EVENTS)]
    assert sorted(found) == sorted([("r-1/0/0", 1767225600000), ("own", 1767225600000)] * 2)
    assert len(door.values(REJECTED_EVENTS)) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (delivery("r-2"), 400),
        ({"requestId": "r-1"}, 400),
        (delivery("r-1", records=[{"data": "%"}]), 400),
        (delivery("r-1", records=5), 400),
    ],
)
def test_bad_delivery_is_refused_in_firehoses_form(door: Door, body: dict[str, Any], status: int) -> None:
    found, answer = deliver(door, body)
    assert found == status
    assert (answer["requestId"], set(answer)) == ("r-1", {"requestId", "timestamp", "errorMessage"})


def test_delivery_with_a_wrong_key_is_refused(door: Door) -> None:
    assert deliver(door, delivery("r-1"), write_key="hwk_wrong")[0] == 403


CALLS: list[dict[str, Any]] = [
    {
        "type": "track",
        "event": "order.paid",
        "messageId": "m1",
        "anonymousId": "a1",
        "timestamp": WHEN,
        "properties": {"total": 12.5, "sku": "Z"},
    },
    {"type": "page", "messageId": "m2", "anonymousId": "a1", "name": "Basket", "timestamp": WHEN, "context": {"page": {"path": "/basket"}}},
    {"type": "screen", "messageId": "m3", "anonymousId": "a1", "name": "Home", "timestamp": WHEN},
    {"type": "identify", "messageId": "m4", "anonymousId": "a1", "userId": "u1", "traits": {"plan": "gold", "age": 7}, "timestamp": WHEN},
    {"type": "group", "messageId": "m5", "userId": "u1", "groupId": "g1", "timestamp": WHEN},
    {"type": "alias", "messageId": "m6", "userId": "u1", "previousId": "a1", "timestamp": WHEN},
]


def test_segments_calls_become_events_and_those_that_say_who_update_the_endpoint(door: Door) -> None:
    status, _, answer = door.ask("POST", "/v1/batch", {"batch": CALLS, "sentAt": "2026-01-01T00:00:05Z"})
    assert (status, answer) == (200, {"success": True})
    found = {value["event_id"]: value for value in door.values(RAW_EVENTS)}
    assert {event_id: value["event_type"] for event_id, value in found.items()} == {
        "m1": "order.paid", "m2": "page.view", "m3": "screen.view", "m4": "user.identify", "m5": "user.group", "m6": "user.alias",
    }  # fmt: skip
    assert (found["m1"]["attributes"], found["m1"]["metrics"]) == ({"sku": "Z"}, {"total": 12.5})
    assert found["m2"]["attributes"] == {"path": "/basket", "name": "Basket"}
    assert found["m1"]["headwater"]["sent_at"] == 1767225605000
    updates = {value["endpoint_id"]: value["endpoint"] for value in door.values(ENDPOINT_UPDATES) if value["endpoint_id"] == "a1"}
    assert updates == {"a1": {"User": {"UserId": "u1", "UserAttributes": {"plan": ["gold"], "age": ["7"]}}}}


@pytest.mark.parametrize("call", CALLS, ids=[str(call["type"]) for call in CALLS])
def test_one_call_may_come_alone(door: Door, call: dict[str, Any]) -> None:
    basic = "Basic " + base64.b64encode(f"{door.write_key}:".encode()).decode()
    status, _, _ = door.ask("POST", f"/v1/{call['type']}", call, {"authorization": basic})
    assert status == 200
    assert [value["event_id"] for value in door.values(RAW_EVENTS)] == [call["messageId"]]


def test_page_that_is_left_has_its_key_in_the_body(door: Door) -> None:
    status, headers, _ = door.ask(
        "POST",
        "/v1/batch",
        {"writeKey": door.write_key, "batch": CALLS[:1]},
        {"content-type": "text/plain", "origin": "https://a.example"},
        is_keyed=False,
    )
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
    assert len(door.values(RAW_EVENTS)) == 1


def test_bad_call_is_named_and_kept_while_its_neighbours_land(door: Door) -> None:
    bad = [
        {"type": "buy"},
        {"type": "track", "anonymousId": "a1"},
        {"type": "page"},
        5,
        {"type": "track", "event": "x", "anonymousId": "a", "timestamp": "?"},
    ]
    status, _, answer = door.ask("POST", "/v1/batch", {"batch": [*bad, CALLS[0]]})
    assert status == 200
    assert len(answer["rejected"]) == len(bad)
    assert "'type' is \"buy\"" in answer["rejected"][0]["error"]
    assert [value["event_id"] for value in door.values(RAW_EVENTS)] == ["m1"]
    assert len(door.values(REJECTED_EVENTS)) == len(bad)


@pytest.mark.parametrize(
    "raw", [rb'{"type":"track","event":"\ud83d","anonymousId":"a"}', b'{"type":"page","anonymousId":"a","properties":{"n":NaN}}']
)
def test_call_that_is_hardly_json_costs_no_neighbour(door: Door, raw: bytes) -> None:
    status, _, answer = door.ask("POST", "/v1/batch", b'{"batch":[' + raw + b"," + json.dumps(CALLS[0]).encode() + b"]}")
    assert (status, len(answer["rejected"])) == (200, 1)
    assert [value["event_id"] for value in door.values(RAW_EVENTS)] == ["m1"]


def test_lines_are_taken_one_by_one(door: Door) -> None:
    lines = b'{"event":"a","ts":1767225600}\nbroken\n{"event_type":"b","event_timestamp":1767225600000,"event_id":"own"}\n\n{"no":"type"}'
    status, _, answer = door.ask("POST", "/v1/apps/shop/ndjson", lines)
    assert (status, answer["accepted"], [each["line"] for each in answer["rejected"]]) == (200, 2, [2, 5])
    assert {value["event_type"]: value["event_timestamp"] for value in door.values(RAW_EVENTS)} == {"a": 1767225600000, "b": 1767225600000}


def test_cbor_of_kinesis_is_taken_and_answered(door: Door) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    def call(body: bytes) -> tuple[int, Any]:
        headers = {"Content-Type": "application/x-amz-cbor-1.1", "X-Amz-Target": "Kinesis_20131202.PutRecords"}
        request = AWSRequest("POST", f"{door.api.url}/", data=body, headers=headers)
        SigV4Auth(Credentials(*make_access_key(door.settings, "shop")), "kinesis", "us-east-1").add_auth(request)
        status, found, text = door.ask("POST", "/", body, dict(request.headers), is_keyed=False)
        assert found["content-type"] == "application/x-amz-cbor-1.1"
        return status, cbor2.loads(text)

    status, answer = call(cbor2.dumps({"StreamName": "clicks", "Records": [{"Data": b'{"event":"cbor"}', "PartitionKey": "p"}]}))
    assert (status, answer["FailedRecordCount"]) == (200, 0)
    assert [value["event_type"] for value in door.values(RAW_EVENTS)] == ["cbor"]
    shared, referred = bytes.fromhex("d81c81d81d00"), bytes.fromhex("d9010082d81900d81900")
    endless = cbor2.dumps({"StreamName": "clicks", "Records": [{"Data": 1 << 40_000, "PartitionKey": "p"}]})
    odd = cbor2.dumps({"StreamName": "clicks", "Records": [{"Data": "\xe9", "PartitionKey": "p"}]})
    for broken in (b"\xff\xff", cbor2.dumps(5), b"\x9f" * 5000, shared, referred, endless, odd):
        assert call(broken)[0] == 400


# Requests that are wrong, the status, AWS's name for it and a part of the message.
BAD: dict[str, tuple[tuple[str, str, Any, dict[str, str]], int, str, str]] = {
    "no key": (("POST", "/v1/apps/shop/events", {}, {"authorization": ""}), 403, "MissingAuthenticationTokenException", "not signed"),
    "unknown key": (
        ("POST", "/v1/apps/shop/events", {}, {"authorization": "Bearer hwk_x"}),
        403,
        "UnrecognizedClientException",
        "write key",
    ),
    "broken basic": (("POST", "/v1/batch", {}, {"authorization": "Basic %"}), 400, "IncompleteSignatureException", "base64"),
    "another app": (("POST", "/v1/apps/news/events", {}, {}), 403, "AccessDeniedException", "of app 'shop'"),
    "another scope": (("GET", "/v1/apps/shop", b"", {}), 403, "AccessDeniedException", "may not 'read'"),
    "not JSON": (("POST", "/v1/apps/shop/events", b"{", {}), 400, "BadRequestException", "not JSON"),
    "no object": (("POST", "/v1/apps/shop/events", [], {}), 400, "BadRequestException", "an object with BatchItem"),
    "BatchItem a list": (("POST", "/v1/apps/shop/events", {"BatchItem": []}, {}), 400, "BadRequestException", "'BatchItem'"),
    "no endpoint": (("PUT", "/v1/apps/shop/endpoints/x", 7, {}), 400, "BadRequestException", "The endpoint is JSON and no object, found 7"),
    "no batch": (("POST", "/v1/batch", {"batch": 5}, {}), 400, "BadRequestException", "'batch' is 5"),
    "unknown encoding": (("POST", "/v1/apps/shop/events", {}, {"content-encoding": "br"}), 415, "UnsupportedMediaTypeException", "'br'"),
    "not gzip": (("POST", "/v1/apps/shop/events", b"plain", {"content-encoding": "gzip"}), 400, "BadRequestException", "gzip"),
    "half a gzip": (
        ("POST", "/v1/apps/shop/events", gzip.compress(b"{}" * 500)[:-9], {"content-encoding": "gzip"}),
        400,
        "BadRequestException",
        "gzip",
    ),
    "too large": (("POST", "/v1/apps/shop/events", b"x" * 200_001, {}), 413, "PayloadTooLargeException", "200000 bytes"),
    "a bomb": (
        ("POST", "/v1/apps/shop/events", gzip.compress(b"0" * 200_001), {"content-encoding": "gzip"}),
        413,
        "PayloadTooLargeException",
        "200000",
    ),
    "unknown path": (("POST", "/v2/nothing", {}, {}), 404, "NotFoundException", "/docs"),
    "another method": (("PATCH", "/v1/apps", {}, {}), 405, "MethodNotAllowedException", "PATCH"),
    "basic that is no base64": (("POST", "/v1/batch", {}, {"authorization": "Basic \xe9"}), 400, "IncompleteSignatureException", "base64"),
    "key that is no text": (
        ("POST", "/v1/batch", b'{"batch":[],"writeKey":"\\ud800"}', {"authorization": ""}),
        400,
        "BadRequestException",
        "surrogate",
    ),
    "context that is no text": (
        ("POST", "/v1/batch", b'{"batch":[],"context":{"locale":"\\ud83d"}}', {}),
        400,
        "BadRequestException",
        "surrogate",
    ),
    "a slash too many": (("POST", "/v1/apps/shop/events/", {}, {}), 404, "NotFoundException", "/docs"),
    "many members": (("POST", "/v1/batch", gzip.compress(b"") * 20, {"content-encoding": "gzip"}), 400, "BadRequestException", "members"),
    "many items": (("POST", "/v1/apps/shop/ndjson", b"0\n" * 10_001, {}), 413, "PayloadTooLargeException", "10000"),
    "many calls": (("POST", "/v1/batch", {"batch": [0] * 10_001}, {}), 413, "PayloadTooLargeException", "10000"),
    "unknown stream": (("POST", "/v1/apps/shop/ndjson?stream=x", {}, {}), 400, "BadRequestException", "'stream' is 'x'"),
}


@pytest.mark.attack("S1")
@pytest.mark.parametrize("name", BAD)
def test_bad_request_is_refused_in_awss_shape_and_nothing_of_it_reaches_raw_events(door: Door, name: str) -> None:
    (method, path, body, headers), status, kind, said = BAD[name]
    found, answered, answer = door.ask(method, path, body, headers)
    assert (found, answered["x-amzn-errortype"]) == (status, kind)
    assert said in answer["Message"]
    assert answer["RequestID"] == answered["x-amzn-requestid"]
    assert door.values(RAW_EVENTS) == []


@pytest.mark.parametrize(
    ("target", "body", "kind"),
    [
        ("", b"{}", "UnknownOperationException"),
        ("Kinesis_20131202.DescribeStream", b"{}", "UnknownOperationException"),
        ("AWSCognitoIdentityService.GetId", b"{", "SerializationException"),
        ("AWSCognitoIdentityService.GetId", b"5", "SerializationException"),
        ("AWSCognitoIdentityService.GetId", b'{"IdentityPoolId":"us-east-1:x"}', "ResourceNotFoundException"),
        ("AWSCognitoIdentityService.GetId", b'{"IdentityPoolId":[{}]}', "ResourceNotFoundException"),
        ("AWSCognitoIdentityService.GetCredentialsForIdentity", b'{"IdentityId":7}', "ResourceNotFoundException"),
        (
            "AWSCognitoIdentityService.GetCredentialsForIdentity",
            b'{"IdentityId":"us-east-1:a1b2c3d4-0000-4000-8000-00000000abcd\\n"}',
            "ResourceNotFoundException",
        ),
        ("Firehose_20150804.PutRecord", b"{}", "MissingAuthenticationTokenException"),
    ],
)
def test_bad_target_is_refused_in_json_11s_shape(door: Door, target: str, body: bytes, kind: str) -> None:
    status, headers, answer = door.ask("POST", "/", body, {"x-amz-target": target}, is_keyed=False)
    assert (status, answer["__type"], headers["content-type"]) == (400, kind, "application/x-amz-json-1.1")


@pytest.mark.parametrize(
    ("service", "call", "kind"),
    [
        ("firehose", ("put_record", {"DeliveryStreamName": "nowhere", "Record": {"Data": b"{}"}}), "ResourceNotFoundException"),
        ("firehose", ("put_record", {"DeliveryStreamName": "elsewhere", "Record": {"Data": b"{}"}}), "AccessDeniedException"),
        ("kinesis", ("put_record", {"StreamName": "nowhere", "Data": b"{}", "PartitionKey": "p"}), "ResourceNotFoundException"),
        ("pinpoint", ("get_app", {"ApplicationId": "nowhere"}), "AccessDeniedException"),
    ],
)
def test_boto3_reads_the_name_of_each_error(door: Door, service: str, call: tuple[str, dict[str, Any]], kind: str) -> None:
    with pytest.raises(ClientError) as error:
        getattr(client(service, door.api, make_access_key(door.settings, "shop")), call[0])(**call[1])
    assert error.value.response["Error"]["Code"] == kind


@pytest.mark.attack("S1")
def test_signature_of_another_service_is_refused(door: Door) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body = json.dumps(batch("e1")).encode()
    for service, status in (("mobiletargeting", 202), ("kinesis", 403), ("s3", 403)):
        request = AWSRequest("POST", f"{door.api.url}/v1/apps/shop/events", data=body, headers={})
        SigV4Auth(Credentials(*make_access_key(door.settings, "shop")), service, "us-east-1").add_auth(request)
        assert door.ask("POST", "/v1/apps/shop/events", body, dict(request.headers), is_keyed=False)[0] == status, service


@pytest.mark.attack("S1")
def test_same_request_again_within_the_window_lands_with_the_same_ids(door: Door) -> None:
    """A replayed request is harmless: what it writes is what it wrote before, and the worker sets resends aside."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body = json.dumps(batch("replayed")).encode()
    request = AWSRequest("POST", f"{door.api.url}/v1/apps/shop/events", data=body, headers={})
    SigV4Auth(Credentials(*make_access_key(door.settings, "shop")), "mobiletargeting", "us-east-1").add_auth(request)
    for _ in range(2):
        assert door.ask("POST", "/v1/apps/shop/events", body, dict(request.headers), is_keyed=False)[0] == 202
    first, second = door.written(RAW_EVENTS)
    assert first[0] == second[0]
    assert {name: first[1][name] for name in ("event_id", "event_type", "event_timestamp")} == {
        name: second[1][name] for name in ("event_id", "event_type", "event_timestamp")
    }


@pytest.mark.attack("S1")
def test_revoked_key_is_refused_within_seconds(door: Door) -> None:
    import datetime as dt

    key = make_access_key(door.settings, "shop")
    pinpoint = client("pinpoint", door.api, key)
    pinpoint.put_events(ApplicationId="shop", EventsRequest=batch("e1"))
    with open_definitions(door.settings).begin() as connection:
        revoke_key(connection, key[0], dt.datetime.now(dt.UTC))

    def is_refused() -> bool:
        try:
            pinpoint.put_events(ApplicationId="shop", EventsRequest=batch("e1"))
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "UnrecognizedClientException")
        return False

    wait_until(is_refused, "the revoked key is refused", 20)


def test_bad_data_is_refused_by_every_door_of_records(door: Door) -> None:
    assert deliver(door, {"requestId": "r-1", "timestamp": 1, "records": [{"data": "\xe9"}]})[0] == 400
    key = make_access_key(door.settings, "shop")
    body = json.dumps({"DeliveryStreamName": "clicks", "Records": [{"Data": "\xe9"}]}).encode()
    status, _, answer = ask_signed(door, key, "firehose", body, {"X-Amz-Target": "Firehose_20150804.PutRecordBatch"})
    assert (status, answer["__type"]) == (400, "SerializationException")


def ask_signed(door: Door, key: tuple[str, str], service: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("POST", f"{door.api.url}/", data=body, headers=headers)
    SigV4Auth(Credentials(*key), service, "us-east-1").add_auth(request)
    return door.ask("POST", "/", body, dict(request.headers), is_keyed=False)


def test_presigned_request_tells_nothing_of_the_senders_clock(door: Door) -> None:
    from botocore.auth import SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    clocks = []
    for signer in (SigV4Auth, SigV4QueryAuth):
        line = b'{"event":"x"}'
        request = AWSRequest("POST", f"{door.api.url}/v1/apps/shop/ndjson", data=line if signer is SigV4Auth else b"", headers={})
        signer(Credentials(*make_access_key(door.settings, "shop")), "mobiletargeting", "us-east-1").add_auth(request)
        path = request.url.removeprefix(door.api.url)
        body = line if signer is SigV4Auth else b""
        assert door.ask("POST", path, body, dict(request.headers), is_keyed=False)[0] == 200
        clocks += [value["headwater"].get("sent_at") for value in door.values(RAW_EVENTS)]
    # A presigned request has no body; that it is let in is enough, and the other one tells its clock.
    assert [clock is not None for clock in clocks] == [True]


def test_relay_may_say_whose_address_it_was_and_not_what_the_clock_was(door: Door) -> None:
    line = {"event_type": "x", "event_timestamp": 1767225600000, "headwater": {"client_ip": "203.0.113.7", "sent_at": 5, "source": "me"}}
    assert door.ask("POST", "/v1/apps/shop/ndjson", line)[0] == 200
    (value,) = door.values(RAW_EVENTS)
    assert (value["headwater"]["client_ip"], value["headwater"]["source"], value["headwater"].get("sent_at")) == (
        "203.0.113.7",
        "ndjson",
        None,
    )


def test_delivery_has_our_clock_for_its_arrival_and_its_own_for_when_it_happened(door: Door) -> None:
    assert deliver(door, delivery("r-9", {"event": "x"}, timestamp=253_402_300_799_999), "r-9")[0] == 200
    (value,) = door.values(RAW_EVENTS)
    assert value["event_timestamp"] == 253_402_300_799_999
    assert value["arrival_timestamp"] == value["headwater"]["received_at"] < 4_000_000_000_000


def test_guests_of_a_pool_that_is_forbidden_are_refused_though_the_app_has_another(door: Door) -> None:
    with open_definitions(door.settings).begin() as connection:
        kept, gone = allow_guests(connection, "shop"), allow_guests(connection, "shop")
    cognito = client("cognito-identity", door.api, ("", ""))
    given = [
        cognito.get_credentials_for_identity(IdentityId=cognito.get_id(IdentityPoolId=pool)["IdentityId"])["Credentials"]
        for pool in (kept, gone)
    ]
    with open_definitions(door.settings).begin() as connection:
        forbid_guests(connection, gone)

    def send(each: dict[str, str]) -> None:
        session = {
            "aws_access_key_id": each["AccessKeyId"],
            "aws_secret_access_key": each["SecretKey"],
            "aws_session_token": each["SessionToken"],
        }
        boto3.client("pinpoint", endpoint_url=door.api.url, region_name="us-east-1", **session).put_events(
            ApplicationId="shop", EventsRequest=batch("g")
        )

    def is_refused() -> bool:
        try:
            send(given[1])
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "UnrecognizedClientException")
        return False

    wait_until(is_refused, "guests of the pool are refused", 20)
    send(given[0])


def test_address_that_asks_for_guests_keys_too_often_is_told_when_to_come_again(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    make_app(settings)
    with serving(ApiProcess(settings, tmp_path, HEADWATER_API_GUESTS_PER_MIN="5", HEADWATER_API_TRUSTED_PROXIES="127.0.0.1")) as api:
        door = Door(api, settings)

        def ask(address: str) -> int:
            headers = {"x-amz-target": "AWSCognitoIdentityService.GetId", "x-forwarded-for": address}
            return door.ask("POST", "/", b"{}", headers, is_keyed=False)[0]

        assert [ask("192.0.2.1") for _ in range(7)] == [400] * 5 + [429] * 2
        # By the address that a trusted proxy tells; of IPv6 by the network of one customer.
        assert ask("192.0.2.2") == 400
        assert [ask(f"2001:db8::{number}") for number in range(7)][-2:] == [429] * 2


def test_address_that_nobody_trusted_tells_is_not_believed(door: Door) -> None:
    door.ask("POST", "/v1/apps/shop/events", batch("e1"), {"x-forwarded-for": "203.0.113.9"})
    assert [value["headwater"]["client_ip"] for value in door.values(RAW_EVENTS)] == ["127.0.0.1"]


def test_key_whose_secret_cannot_be_opened_is_left_out_and_the_others_can_still_be_revoked(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    import datetime as dt

    from cryptography.fernet import Fernet

    make_app(settings)
    lost = settings.model_copy(update={"definitions_key": SecretStr(Fernet.generate_key().decode())})
    key, unreadable = make_access_key(settings, "shop"), make_access_key(lost, "shop")
    with serving(ApiProcess(settings, tmp_path)) as api:
        pinpoint = client("pinpoint", api, key)
        pinpoint.put_events(ApplicationId="shop", EventsRequest=batch("e1"))
        with pytest.raises(ClientError, match="UnrecognizedClient"):
            client("pinpoint", api, unreadable).put_events(ApplicationId="shop", EventsRequest=batch("e1"))
        assert unreadable[0] in api.log.read_text()
        with open_definitions(settings).begin() as connection:
            revoke_key(connection, key[0], dt.datetime.now(dt.UTC))

        def is_refused() -> bool:
            try:
                pinpoint.put_events(ApplicationId="shop", EventsRequest=batch("e1"))
            except ClientError:
                return True
            return False

        wait_until(is_refused, "the revoked key is refused", 20)


def test_readiness_names_what_does_not_answer(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    make_app(settings)
    with serving(ApiProcess(settings, tmp_path, HEADWATER_KAFKA="127.0.0.1:1")) as api:
        status, _, answer = Door(api, settings).ask("GET", "/ready", is_keyed=False)
        assert (status, answer) == (503, {"status": "not ready", "kafka": "does not answer", "lake": "ok", "keys": "ok"})


def test_key_over_its_own_rate_is_told_when_to_come_again(door: Door) -> None:
    write_key = make_write_key(door.settings, events_per_sec=5)
    answers = [
        door.ask(
            "POST", "/v1/apps/shop/events", batch(*(f"{turn}-{place}" for place in range(5))), {"authorization": f"Bearer {write_key}"}
        )
        for turn in range(3)
    ]
    refused = [headers for status, headers, _ in answers if status == 429]
    assert refused
    assert {headers["retry-after"] for headers in refused} <= {"1", "2"}
    # Everybody else goes on.
    assert door.ask("POST", "/v1/apps/shop/events", batch("other"))[0] == 202


def test_guest_gets_keys_that_send_events_of_one_app_and_nothing_else(door: Door) -> None:
    with open_definitions(door.settings).begin() as connection:
        pool_id = allow_guests(connection, "shop")
    cognito = client("cognito-identity", door.api, ("", ""))
    identity = cognito.get_id(IdentityPoolId=pool_id)["IdentityId"]
    given = cognito.get_credentials_for_identity(IdentityId=identity)["Credentials"]
    session = {"aws_session_token": given["SessionToken"]}

    def guest(service: str) -> Any:
        return boto3.client(
            service, endpoint_url=door.api.url, region_name="us-east-1",
            aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretKey"], **session,
        )  # fmt: skip

    guest("pinpoint").put_events(ApplicationId="shop", EventsRequest=batch("guest"))
    guest("kinesis").put_record(StreamName="clicks", Data=b'{"event":"guest"}', PartitionKey="p")
    assert len(door.values(RAW_EVENTS)) == 2
    for call, given_app in (("put_events", "news"), ("get_app", "shop"), ("delete_app", "shop")):
        with pytest.raises(ClientError) as error:
            getattr(guest("pinpoint"), call)(ApplicationId=given_app, **({"EventsRequest": batch("e")} if call == "put_events" else {}))
        assert error.value.response["Error"]["Code"] == "AccessDeniedException"


def test_operators_questions_are_answered(door: Door) -> None:
    assert door.ask("GET", "/health", is_keyed=False)[2] == {"status": "ok"}
    assert door.ask("GET", "/ready", is_keyed=False)[2] == {"status": "ok", "kafka": "ok", "lake": "ok", "keys": "ok"}
    metrics = door.ask("GET", "/metrics", is_keyed=False)[2].decode()
    assert 'headwater_api_items_accepted_total{door="put_events"}' in metrics
    # Behind a proxy on this machine everybody looks local.
    assert door.ask("GET", "/metrics", headers={"x-forwarded-for": "192.0.2.1"}, is_keyed=False)[0] == 403


def test_browser_may_ask_from_every_page(door: Door) -> None:
    headers = {
        "origin": "https://a.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-amz-date",
    }
    status, found, _ = door.ask("OPTIONS", "/v1/apps/shop/events", headers=headers, is_keyed=False)
    assert (status, found["access-control-allow-origin"]) == (200, "*")
    assert "authorization" in found["access-control-allow-headers"]


def test_log_holds_no_body_and_no_secret(door: Door) -> None:
    door.ask("POST", "/v1/apps/shop/events?X-Amz-Signature=hushhush", batch("secret-id"), {"user-agent": "spy"})
    text = door.api.log.read_text()
    assert "/v1/apps/shop/events" in text
    for hidden in ("hushhush", "secret-id", door.write_key):
        assert hidden not in text


def test_log_names_who_was_refused_and_why(door: Door) -> None:
    key = make_access_key(door.settings, "shop")
    with pytest.raises(ClientError):
        client("pinpoint", door.api, key).get_apps(PageSize="x")
    with pytest.raises(ClientError):
        client("firehose", door.api, key).put_record(DeliveryStreamName="nowhere", Record={"Data": b"{}"})
    found = [line for line in door.api.log.read_text().splitlines() if key[0] in line]
    assert [line.split()[-1] for line in found] == ["BadRequestException", "ResourceNotFoundException"]
    assert key[1] not in door.api.log.read_text()


def test_wrong_stream_in_the_settings_is_named(settings: Settings, tmp_path: Path) -> None:
    api = ApiProcess(settings, tmp_path, HEADWATER_API_STREAMS="clicks")
    with pytest.raises(AssertionError, match="Setting 'HEADWATER_API_STREAMS' is 'clicks'; expected name=app"):
        api.start()


def test_api_that_lets_everybody_in_says_so_when_it_starts(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    make_app(settings)
    with serving(ApiProcess(settings, tmp_path, HEADWATER_API_AUTH="off")) as api:
        door = Door(api, settings)
        assert door.ask("POST", "/v1/apps/shop/events", batch("e1"), is_keyed=False)[0] == 202
        assert "HEADWATER_API_AUTH is off" in api.log.read_text()


@pytest.mark.attack("S1")
def test_scopes_of_keys_are_kept(door: Door) -> None:
    reader: Any = client("pinpoint", door.api, make_access_key(door.settings, "shop", frozenset({Scope.READ})))
    assert reader.get_app(ApplicationId="shop")["ApplicationResponse"]["Id"] == "shop"
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_events(ApplicationId="shop", EventsRequest=batch("e"))
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.delete_app(ApplicationId="shop")


def test_gzip_of_many_members_is_one_body(door: Door) -> None:
    text = json.dumps(batch("members")).encode()
    packed = io.BytesIO()
    for part in (text[:50], text[50:]):
        member: bytes = gzip.compress(part)
        packed.write(member)
    assert door.ask("POST", "/v1/apps/shop/events", packed.getvalue(), {"content-encoding": "gzip"})[0] == 202
