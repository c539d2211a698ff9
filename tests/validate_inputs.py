"""Inputs of the tests of `validate`: one event that fills every column, records around values, and a writer of odd JSON."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import xxhash

from schemas.records import RECORDS

EVENT: dict[str, Any] = {
    "event_id": "id-1",
    "event_type": "cart.add",
    "event_timestamp": 1767225600000,
    "arrival_timestamp": 1767225601200,
    "event_version": "3.1",
    "application": {
        "app_id": "shop",
        "cognito_identity_pool_id": "us-east-1:x",
        "package_name": "com.example.shop",
        "title": "Shop",
        "version_name": "2.5",
        "version_code": "42",
        "sdk": {"name": "sdk", "version": "1.2.3"},
    },
    "client": {"client_id": "ep-1", "cognito_id": "us-east-1:y"},
    "device": {
        "locale": {"code": "en_US", "country": "US", "language": "en"},
        "make": "apple",
        "model": "iPhone",
        "platform": {"name": "ios", "version": "17.1"},
    },
    "session": {"session_id": "s1", "start_timestamp": 1767225300000, "stop_timestamp": 1767225600000},
    "attributes": {"sku": "SKU-1", "plan": "gold"},
    "metrics": {"price": 9.5, "quantity": 2},
    "client_context": {"custom": {"endpoint": '{"ChannelType":"EMAIL","User":{"UserId":"u1"}}', "legacy_identifier": "app1"}},
    "awsAccountId": "111122223333",
    "headwater": {"client_ip": "192.0.2.1", "user_agent": "UA", "sent_at": 1767225600500, "received_at": 1767225600600, "source": "test"},
}

FACETS: dict[str, Any] = {
    "email_channel": {
        "mail_event": {
            "mail": {"message_id": "m1", "destination": ["r@example.com"], "headers": [{"name": "Subject", "value": "Hi"}]},
            "delivery": {"recipients": ["r@example.com"], "processing_time_millis": 1310},
            "send": {},
        }
    }
}


def event(**changes: Any) -> bytes:
    """The event as compact JSON, top-level members changed or, where `...`, left out."""
    members = {name: value for name, value in (EVENT | changes).items() if value is not ...}
    return json.dumps(members, separators=(",", ":")).encode()


def with_raw(member: bytes) -> bytes:
    """The event with one more member, as bytes that json.dumps would not write."""
    return b"{" + member + b"," + event()[1:]


def build_records(values: Sequence[bytes | None], origins: Sequence[str | None] | None = None) -> pa.Table:
    """RECORDS with these values at offsets 0, 1, ... of partition 3."""
    count = len(values)
    columns = {
        "value": pa.array(values, pa.binary()),
        "value_bytes": pa.array([len(value or b"") for value in values], pa.int64()),
        "key": pa.array([b"shop/ep-%d" % place for place in range(count)], pa.binary()),
        "origin": pa.array(origins or [None] * count, pa.string()),
        "_topic_id": pa.array(["topic-id"] * count, pa.string()),
        "_partition": pa.array([3] * count, pa.int32()),
        "_offset": pa.array(range(count), pa.int64()),
        "_appended_at": pa.array([1767225602000] * count, pa.timestamp("ms", tz="UTC")),
        "_payload_hash": pa.array([xxhash.xxh3_64_intdigest(value or b"") - (1 << 63) for value in values], pa.int64()),
    }
    return pa.table(columns).select(RECORDS.names).cast(RECORDS)


def render(document: Any, before_colon: str = "", after_colon: str = "", between: str = "", is_ascii: bool = False) -> str:
    """JSON text of a document in which objects are lists of (name, value), so that a name can stand twice; `bytes` are literals."""
    if isinstance(document, bytes):
        return document.decode()
    if isinstance(document, list):
        style = (before_colon, after_colon, between, is_ascii)
        if all(isinstance(member, tuple) for member in document) and document:
            members = (f"{json.dumps(n, ensure_ascii=is_ascii)}{before_colon}:{after_colon}{render(v, *style)}" for n, v in document)
            return "{" + between + f",{between}".join(members) + between + "}"
        return "[" + f",{between}".join(render(item, *style) for item in document) + "]"
    return json.dumps(document, ensure_ascii=is_ascii)
