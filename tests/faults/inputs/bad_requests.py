"""Requests to the collector that must be refused: signatures, write keys, dates, hosts and methods, each spoilt in one way."""

import base64
import datetime as dt
import hashlib
import http.client
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from unittest import mock

import confluent_kafka
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pipeline.config import Settings
from pipeline.definitions.database import open_definitions
from pipeline.definitions.key import Scope
from pipeline.definitions.keys import list_keys, revoke_key
from pipeline.stores import confluent_options
from pipeline.topology import TOPICS, topic_name
from tests.api_process import ApiProcess, make_access_key, make_write_key

PATH = "/v1/apps/shop/events"
HEX = "0123456789abcdef"
# How far a caller's clock may be off.
WINDOW_SECS = 900


@dataclass(frozen=True)
class Request:
    """As it goes over the wire."""

    method: str = "POST"
    path: str = PATH
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = field(default_factory=list)

    def with_header(self, name: str, value: str) -> "Request":
        """The header changed, or added."""
        return replace(self, headers=[*((key, old) for key, old in self.headers if key.lower() != name.lower()), (name, value)])

    def header(self, name: str) -> str:
        return next(value for key, value in self.headers if key.lower() == name.lower())


class Caller:
    """Signs and sends to one API; `chance` makes each event another."""

    def __init__(self, api: ApiProcess, settings: Settings, chance: random.Random) -> None:
        self.api, self.settings, self.chance = api, settings, chance
        self.key = make_access_key(settings, "shop", frozenset({Scope.INGEST}))

    def body(self) -> bytes:
        event = {"EventType": "x", "Timestamp": "2026-01-01T00:00:00Z"}
        return json.dumps({"BatchItem": {"e": {"Endpoint": {}, "Events": {f"{self.chance.getrandbits(64):x}": event}}}}).encode()

    def sign(
        self,
        body: bytes | None = None,
        key: tuple[str, str] | None = None,
        service: str = "mobiletargeting",
        region: str = "us-east-1",
        off_secs: float = 0,
        is_presigned: bool = False,
        headers: dict[str, str] | None = None,
    ) -> Request:
        """A request as botocore signs it, by a clock that is `off_secs` ahead."""
        sent = self.body() if body is None else body
        unsent = AWSRequest(
            "POST", self.api.url + PATH, data=b"" if is_presigned else sent, headers={"Content-Type": "application/json"} | (headers or {})
        )
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=off_secs)
        with mock.patch("botocore.auth.get_current_datetime", return_value=now):
            signer = (SigV4QueryAuth if is_presigned else SigV4Auth)(Credentials(*(key or self.key)), service, region)
            signer.add_auth(unsent)
        return Request("POST", unsent.url.removeprefix(self.api.url), sent, list(unsent.headers.items()))

    def send(self, request: Request) -> int:
        """The status of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=60)
        try:
            connection.putrequest(request.method, request.path, skip_host="host" in {name.lower() for name, _ in request.headers})
            for name, value in [*request.headers, ("content-length", str(len(request.body)))]:
                connection.putheader(name, value.encode())
            connection.endheaders(request.body)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def ends(self) -> dict[str, int]:
        """The end of every partition of every topic of ours."""
        consumer = confluent_kafka.Consumer(confluent_options(self.settings) | {"group.id": "looks", "enable.auto.commit": False})
        try:
            return {
                f"{name}/{partition}": consumer.get_watermark_offsets(confluent_kafka.TopicPartition(name, partition), timeout=30)[1]
                for name in (topic_name(self.settings, topic) for topic in TOPICS)
                for partition in consumer.list_topics(name, timeout=30).topics[name].partitions
            }
        finally:
            consumer.close()


Attack = Callable[[Caller], Request]


def _spoil_signature(caller: Caller) -> Request:
    """One digit of the signature is another."""
    request = caller.sign()
    authorization = request.header("authorization")
    place = len(authorization) - 1 - caller.chance.randrange(64)
    other = caller.chance.choice([digit for digit in HEX if digit != authorization[place]])
    return request.with_header("authorization", authorization[:place] + other + authorization[place + 1 :])


def _spoil_body(caller: Caller) -> Request:
    """A request that was overheard, with one byte of its body changed."""
    request = caller.sign()
    place = caller.chance.randrange(len(request.body))
    return replace(request, body=request.body[:place] + bytes([request.body[place] ^ 1]) + request.body[place + 1 :])


def _replay_with_another_body(caller: Caller) -> Request:
    return replace(caller.sign(), body=caller.body())


def _another_in_scope(part: str, other: str) -> Attack:
    def build(caller: Caller) -> Request:
        request = caller.sign()
        return request.with_header("authorization", request.header("authorization").replace(f"/{part}/", f"/{other}/"))

    return build


def _another_header_signed(caller: Caller) -> Request:
    """A header that was signed has another value."""
    return caller.sign(headers={"X-Amz-Meta": "a"}).with_header("X-Amz-Meta", "b")


def _another_method(caller: Caller) -> Request:
    return replace(caller.sign(), method="PUT", path="/v1/apps/shop/endpoints/e")


def _another_query(caller: Caller) -> Request:
    return replace(caller.sign(), path=f"{PATH}?x={caller.chance.random()}")


def _another_host(caller: Caller) -> Request:
    return caller.sign().with_header("host", "pinpoint.us-east-1.amazonaws.com")


def _host_unsigned(caller: Caller) -> Request:
    request = caller.sign()
    return request.with_header("authorization", request.header("authorization").replace("host;", ""))


def _date_changed(caller: Caller) -> Request:
    request = caller.sign()
    date = request.header("X-Amz-Date")
    return request.with_header("X-Amz-Date", date[:-2] + ("0" if date[-2] != "0" else "1") + "Z")


def _twice(caller: Caller) -> Request:
    request = caller.sign()
    return replace(request, headers=[*request.headers, ("authorization", request.header("authorization"))])


def _off_by(low: int, high: int) -> Attack:
    """Either way; what is ahead is so by minutes more, since some pass until it is sent."""

    def build(caller: Caller) -> Request:
        off = caller.chance.randint(low, high)
        return caller.sign(off_secs=caller.chance.choice([-off, off + 240]))

    return build


def _unsigned_payload(kind: str) -> Attack:
    """S3's ways to leave the body out of the signature: a body in chunks that sign themselves, and no signature of it at all."""

    def build(caller: Caller) -> Request:
        body = caller.body()
        request = caller.sign(body, headers={"X-Amz-Content-SHA256": kind, "X-Amz-Decoded-Content-Length": str(len(body))})
        if not kind.startswith("STREAMING"):
            return request
        return replace(request, body=b"%x;chunk-signature=%b\r\n%b\r\n0\r\n\r\n" % (len(body), b"0" * 64, body))

    return build


def _target_unsigned(caller: Caller) -> Request:
    """The header that says what is asked was not signed."""
    body = json.dumps({"StreamName": "shop", "Data": "e30=", "PartitionKey": "p"}).encode()
    unsent = AWSRequest("POST", caller.api.url + "/", data=body, headers={})
    SigV4Auth(Credentials(*caller.key), "kinesis", "us-east-1").add_auth(unsent)
    return Request("POST", "/", body, [*unsent.headers.items(), ("X-Amz-Target", "Kinesis_20131202.PutRecord")])


def _presigned_over(caller: Caller) -> Request:
    return replace(caller.sign(off_secs=-4000 - caller.chance.randrange(10_000), is_presigned=True))


def _revoked(caller: Caller) -> Request:
    key = make_access_key(caller.settings, "shop")
    _revoke(caller.settings, key[0])
    return caller.sign(key=key)


def _write_key(spoil: Callable[[str, random.Random], str], as_basic: bool = False) -> Attack:
    def build(caller: Caller) -> Request:
        key = spoil(make_write_key(caller.settings), caller.chance)
        shown = "Basic " + base64.b64encode(f"{key}:".encode()).decode() if as_basic else f"Bearer {key}"
        return Request(body=caller.body(), headers=[("authorization", shown)])

    return build


def _spoil_character(key: str, chance: random.Random) -> str:
    place = chance.randrange(4, len(key))
    return key[:place] + chance.choice([letter for letter in "abcXYZ019" if letter != key[place]]) + key[place + 1 :]


def _revoked_write_key(caller: Caller) -> Request:
    key = make_write_key(caller.settings)
    with open_definitions(caller.settings).begin() as connection:
        newest = max((each for each in list_keys(connection) if each.kind == "write"), key=lambda each: each.created_at)
        revoke_key(connection, newest.key_id, dt.datetime.now(dt.UTC))
    return Request(body=caller.body(), headers=[("authorization", f"Bearer {key}")])


def _revoke(settings: Settings, key_id: str) -> None:
    with open_definitions(settings).begin() as connection:
        revoke_key(connection, key_id, dt.datetime.now(dt.UTC))


ATTACKS: dict[str, Attack] = {
    "signature, a digit": _spoil_signature,
    "signature by another secret": lambda caller: caller.sign(key=(caller.key[0], "x" * 40)),
    "signature of nobody": lambda caller: caller.sign(key=("AKIAIOSFODNN7EXAMPLE", caller.key[1])),
    "body, a byte": _spoil_body,
    "body, another": _replay_with_another_body,
    "region named other than signed": _another_in_scope("us-east-1", "eu-west-1"),
    "service named other than signed": _another_in_scope("mobiletargeting", "kinesis"),
    "service signed other": lambda caller: caller.sign(service=caller.chance.choice(["s3", "kinesis", "firehose", "sts"])),
    "header that is signed": _another_header_signed,
    "method": _another_method,
    "query": _another_query,
    "host": _another_host,
    "host not signed": _host_unsigned,
    "date": _date_changed,
    "authorization twice": _twice,
    "clock, just beyond the window": _off_by(WINDOW_SECS + 30, WINDOW_SECS + 120),
    "clock, by hours": _off_by(3600, 80_000),
    "body in chunks": _unsigned_payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    "body in chunks, unsigned": _unsigned_payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    "body not signed": _unsigned_payload("UNSIGNED-PAYLOAD"),
    "target not signed": _target_unsigned,
    "presigned, with a body": lambda caller: caller.sign(is_presigned=True),
    "presigned, over": _presigned_over,
    "key revoked": _revoked,
    "scope missing": lambda caller: caller.sign(key=make_access_key(caller.settings, "shop", frozenset({Scope.READ}))),
    "key of another app": lambda caller: caller.sign(key=make_access_key(caller.settings, "news")),
    "write key, a character": _write_key(_spoil_character),
    "write key, cut": _write_key(lambda key, _: key[:-1]),
    "write key, longer": _write_key(lambda key, _: key + "A"),
    "write key, its hash": _write_key(lambda key, _: hashlib.sha256(key.encode()).hexdigest()),
    "write key, other case": _write_key(lambda key, _: key.swapcase()),
    "write key as basic, a character": _write_key(_spoil_character, as_basic=True),
    "write key of another app": lambda caller: Request(
        body=caller.body(), headers=[("authorization", f"Bearer {make_write_key(caller.settings, 'news')}")]
    ),
    "write key revoked": _revoked_write_key,
    "no key": lambda caller: Request(body=caller.body()),
}
