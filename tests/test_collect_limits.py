"""What one request may hold: ordinary traffic is far from it, whatever door it comes through."""

import json
from typing import Any

from pipeline.collect.calls import CallReader, parse_calls
from pipeline.collect.free_json import RecordReader
from pipeline.collect.outgoing import Items, Limits, Sender
from pipeline.collect.put_events import PutEventsReader
from pipeline.config import Settings

SENDER = Sender(1764000001000, "api", "192.0.2.1", "Boto3/1.44", 1764000000000)
WHEN = "2026-01-01T00:00:00.000Z"
RICH: dict[str, Any] = {f"name-{number}": f"https://shop.example.com/{number}?at=12:30:00,x" for number in range(40)}


def limits() -> Limits:
    """Those of the settings as they are by default."""
    defaults = {name: Settings.model_fields[name].default for name in ("message_bytes_max", "api_items_max", "api_held_bytes_max")}
    return Limits(defaults["message_bytes_max"], defaults["api_items_max"], defaults["api_held_bytes_max"])


def test_hundred_rich_events_of_ten_endpoints_are_taken() -> None:
    event = {"EventType": "x", "Timestamp": WHEN, "Attributes": RICH, "Metrics": {f"m-{number}": number * 1.5 for number in range(40)}}
    endpoint = {"Address": "a@example.com", "Attributes": {name: [value, value] for name, value in RICH.items()}}
    batch = {f"e{number}": {"Endpoint": endpoint, "Events": {f"{number}-{place}": event for place in range(10)}} for number in range(10)}
    items = PutEventsReader("shop", SENDER, limits()).read(json.dumps({"BatchItem": batch}).encode())
    assert (len(items), [item.refusal for item in items if item.refusal]) == (110, [])


def test_thousands_of_plain_events_in_one_request_are_taken() -> None:
    event = {"EventType": "x", "Timestamp": WHEN, "Attributes": {"sku": "A1"}, "Metrics": {"price": 9.5}}
    body = {"BatchItem": {"e": {"Endpoint": {}, "Events": {f"id-{number}": event for number in range(5_000)}}}}
    assert len(PutEventsReader("shop", SENDER, limits()).read(json.dumps(body).encode())) == 5_000


def test_delivery_of_ten_thousand_records_is_taken() -> None:
    reader, items = RecordReader("shop", SENDER, limits()), Items(limits())
    for number in range(10_000):
        items.add(
            reader.read(json.dumps({"event": "click", "id": str(number), "page": {"url": "https://a.example/", "at": WHEN}}).encode())
        )
    assert len(items.made) == 10_000


def test_five_hundred_rich_calls_are_taken() -> None:
    calls = [
        {"type": "track", "event": "x", "anonymousId": "a", "messageId": str(n), "timestamp": WHEN, "properties": RICH} for n in range(500)
    ]
    parsed = parse_calls(json.dumps({"batch": calls}).encode(), limits())
    assert len(CallReader("shop", SENDER, limits(), {}).read_all(parsed["batch"])) == 500
